// Picture files to pixels and back, with nothing lost that the browser can keep.
import { readJpeg, writeJpeg } from "./jpeg.mjs";
import { asChunks, readPng, writePng } from "./png.mjs";
import { readWebp } from "./webp.mjs";

const QUALITY = 0.95;
const STRIP = 256; // rows that are read from a canvas at once
const LARGEST_FILE = 300e6;
export const SEES = "JPEG, PNG, WebP, AVIF and BMP";

function kindOf(bytes) {
  const at = (offset, text) => [...text].every((c, i) => bytes[offset + i] === c.charCodeAt(0));
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "jpeg";
  if (at(1, "PNG\r\n")) return "png";
  if (at(0, "RIFF") && at(8, "WEBP")) return "webp";
  if (at(4, "ftyp")) return "avif"; // or HEIC, which Safari reads
  if (at(0, "BM")) return "bmp";
  if (at(0, "GIF8")) throw new Error("GIF pictures have 256 colours and are not restored");
  if (at(0, "II*\0") || at(0, "MM\0*"))
    throw new Error("TIFF and raw files are not read by browsers; use the pellucid command");
  throw new Error(`not a picture that browsers read (${SEES})`);
}

// File -> {width, height, rgb, alpha or null, kind, type of the result, told}. Throws Error, one line, for all else.
export async function decode(file, megapixels) {
  if (file.size === 0) throw new Error("the file is empty");
  if (file.size > LARGEST_FILE) throw new Error(`the file has ${Math.round(file.size / 1e6)} MB, the limit is 300`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const kind = kindOf(bytes);
  const readers = { jpeg: readJpeg, png: readPng, webp: readWebp };
  const told = readers[kind]?.(bytes) ?? { notes: ["its metadata are not kept"], upright: bytes };
  refuse(told, megapixels); // before it is decoded
  // Colours stay as they are where the profile travels on; else they become sRGB.
  const colorSpaceConversion = kind in readers ? "none" : "default";
  const blob = told.upright instanceof Blob ? told.upright : new Blob([told.upright]);
  delete told.upright;
  const options = { colorSpaceConversion, premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(blob, options).catch(() => {
    throw new Error(`the ${kind.toUpperCase()} is damaged, or this browser cannot read it`);
  });
  try {
    refuse(bitmap, megapixels);
    const picture = read(bitmap);
    if (picture.alpha) exactUnderAlpha(bitmap, picture, told);
    if (told.exif || told.icc) told.kept = await asChunks(told);
    const type = picture.alpha || ["png", "webp"].includes(kind) ? "image/png" : "image/jpeg";
    return { ...picture, kind, type, told };
  } finally {
    bitmap.close();
  }
}

// Gives an array's memory back at once; large ones would pile up before they are collected.
export const free = (array) => array.buffer.transfer?.(0);

function refuse({ width, height }, megapixels) {
  const size = (width * height) / 1e6;
  if (size > megapixels)
    throw new Error(
      `${width}x${height} is ${Math.round(size)} megapixels, this page takes ${megapixels}; ` +
        "the pellucid command restores larger ones",
    );
}

function read(bitmap) {
  const { width, height } = bitmap;
  const rgb = new Uint8Array(3 * width * height);
  let alpha = null;
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    context.clearRect(0, 0, width, STRIP);
    context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
    const { data } = context.getImageData(0, 0, width, rows);
    let p = 3 * top * width;
    let q = top * width;
    for (let i = 0; i < data.length; i += 4, q++) {
      rgb[p++] = data[i];
      rgb[p++] = data[i + 1];
      rgb[p++] = data[i + 2];
      if (data[i + 3] !== 255 || alpha) {
        alpha ??= new Uint8Array(width * height).fill(255);
        alpha[q] = data[i + 3];
      }
    }
  }
  return { width, height, rgb, alpha };
}

// A 2D canvas multiplies colours with alpha, and rounds; a texture keeps them.
function exactUnderAlpha(bitmap, picture, told) {
  const { width, height, rgb, alpha } = picture;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
    told.notes.push("colours of see-through pixels are rounded");
    return;
  }
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  const [target, point] = [gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0];
  gl.framebufferTexture2D(target, point, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  const data = new Uint8Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  for (let i = 0, p = 0; i < alpha.length; i++, p += 3) {
    rgb.set(data.subarray(4 * i, 4 * i + 3), p);
    alpha[i] = data[4 * i + 3];
  }
  gl.getExtension("WEBGL_lose_context")?.loseContext();
}

// -> Blob of picture.type with the metadata of `told`.
export async function encode(picture, told) {
  if (picture.type === "image/png")
    return new Blob(await writePng(picture, told.kept ?? []), { type: picture.type });
  const { width, height, rgb } = picture;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  const strip = new ImageData(width, Math.min(STRIP, height)); // one, or all would pile up
  for (let top = 0; top < height; top += STRIP) {
    for (let i = 0, p = 3 * top * width; i < strip.data.length && p < rgb.length; i += 4) {
      strip.data[i] = rgb[p++];
      strip.data[i + 1] = rgb[p++];
      strip.data[i + 2] = rgb[p++];
      strip.data[i + 3] = 255;
    }
    context.putImageData(strip, 0, top);
  }
  const plain = await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY }).catch(() => null);
  canvas.width = canvas.height = 0; // gives its memory back at once
  if (plain?.type !== "image/jpeg") throw new Error(`this browser cannot write a JPEG of ${width}x${height}`);
  const pieces = told.kept ? writeJpeg(new Uint8Array(await plain.arrayBuffer()), told) : [plain];
  return new Blob(pieces, { type: "image/jpeg" });
}
