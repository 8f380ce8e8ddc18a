// JPEG: what travels with the picture, by a walk over its segments (as pellucid/image/jpeg.py).

const [SOI, SOS, APP0, APP1, APP2, APP13] = [0xd8, 0xda, 0xe0, 0xe1, 0xe2, 0xed];
const [EXIF, XMP, ICC, IRB] = ["Exif\0\0", "http://ns.adobe.com/xap/1.0/\0", "ICC_PROFILE\0", "Photoshop 3.0\0"];
const MORE_XMP = "http://ns.adobe.com/xmp/extension/\0";
const GAIN_MAP = "urn:iso:std:iso:ts:21496:-1\0";

const text = (bytes, at, length) => String.fromCharCode(...bytes.subarray(at, at + length));
const latin = (string) => Uint8Array.from(string, (letter) => letter.charCodeAt(0));

// [{marker, at, end}] up to the first scan; `at` is the segment's body.
function* segments(bytes) {
  let position = 2;
  while (position + 4 <= bytes.length) {
    while (bytes[position] === 0xff && bytes[position + 1] === 0xff) position++;
    const marker = bytes[position + 1];
    if (bytes[position] !== 0xff) throw new Error("the JPEG's header is damaged");
    if (marker === 0x01 || (marker >= 0xd0 && marker <= SOI)) {
      position += 2;
      continue;
    }
    const end = position + 2 + (bytes[position + 2] << 8) + bytes[position + 3];
    if (end > bytes.length) break;
    yield { marker, start: position, at: position + 4, end };
    if (marker === SOS) return;
    position = end;
  }
  throw new Error("the JPEG is cut off: its end is missing");
}

const isFrame = (marker) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

// {width, height, kept: segments to write again, notes, upright: bytes to decode as stored}.
export function readJpeg(bytes) {
  const told = { width: 0, height: 0, kept: [], notes: [], upright: bytes.slice() };
  const starts = (at, name) => text(bytes, at, name.length) === name;
  let gainMap = false;
  let more = false;
  for (const { marker, start, at, end } of segments(bytes)) {
    if (isFrame(marker)) {
      told.height = (bytes[at + 1] << 8) + bytes[at + 2];
      told.width = (bytes[at + 3] << 8) + bytes[at + 4];
      if (bytes[at + 5] === 4) throw new Error("CMYK is for print; save it as an RGB picture first");
    } else if (marker === APP1 && starts(at, EXIF)) {
      const segment = bytes.slice(start, end);
      const place = 4 + EXIF.length;
      withoutThumbnail(segment.subarray(place));
      told.kept.push(segment);
      // The network sees pixels as stored, and the tag goes on: the result is turned as the input.
      setUpright(told.upright.subarray(at + EXIF.length, end));
    } else if (marker === APP1 && starts(at, XMP)) {
      const body = text(bytes, at, end - at);
      if (body.includes("hdrgm:Version")) gainMap = true;
      told.kept.push(app(APP1, latin(withoutGainMap(body))));
    } else if (marker === APP1 && starts(at, MORE_XMP)) {
      told.notes.push("its extended XMP is not kept");
    } else if (marker === APP2 && starts(at, ICC)) {
      told.kept.push(bytes.slice(start, end));
    } else if (marker === APP2 && starts(at, "MPF\0")) {
      more = true;
    } else if (marker === APP2 && starts(at, GAIN_MAP)) {
      gainMap = true;
    } else if (marker === APP13 && starts(at, IRB)) {
      told.kept.push(bytes.slice(start, end));
    } else if (marker === APP0 && starts(at, "JFIF\0")) {
      told.density = bytes.slice(at + 7, at + 12); // units and dots per inch
    }
  }
  if (gainMap) told.notes.push("its HDR gain map is not kept: the result is the standard-range picture");
  else if (more) told.notes.push("only its main picture is restored; the further ones are not kept");
  told.notes = [...new Set(told.notes)];
  return told;
}

// A canvas' JPEG with the segments in it: pieces of a Blob.
export function writeJpeg(bytes, told) {
  const head = [bytes.slice(0, 2)];
  const body = [];
  let rest = 0;
  for (const { marker, start, at, end } of segments(bytes)) {
    rest = start;
    if (marker === SOS) break;
    const segment = bytes.slice(start, end);
    if (marker === APP0 && told.density) segment.set(told.density, 4 + 7);
    if (marker === APP0) head.push(segment);
    else if (marker < APP0 || marker > 0xef) body.push(segment);
  }
  return [...head, ...told.kept, ...body, bytes.subarray(rest)];
}

function app(marker, body) {
  const length = body.length + 2;
  return Uint8Array.of(0xff, marker, length >> 8, length & 255, ...body);
}

// XMP that no longer promises the gain map, which would send viewers looking for it.
const withoutGainMap = (xmp) =>
  xmp
    .replace(/\s+hdrgm:\w+\s*=\s*("[^"]*"|'[^']*')/g, "")
    .replace(/<Container:Directory\b[^]*?<\/Container:Directory>/g, "");

// The first directory of an EXIF block: places of the orientation and of the thumbnail's link.
function directory(exif) {
  const order = text(exif, 0, 4);
  if (order !== "II*\0" && order !== "MM\0*") return null;
  const little = order[0] === "I";
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  try {
    const offset = view.getUint32(4, little);
    const entries = view.getUint16(offset, little);
    const link = offset + 2 + 12 * entries;
    view.getUint32(link, little); // the directory is whole
    for (let at = offset + 2; at < link; at += 12)
      if (view.getUint16(at, little) === 0x0112) return { view, little, link, orientation: at + 8 };
    return { view, little, link, orientation: 0 };
  } catch {
    return null;
  }
}

export function setUpright(exif) {
  const found = directory(exif);
  if (found?.orientation) found.view.setUint16(found.orientation, 1, found.little);
}

// Take away the link to the thumbnail, which shows the picture before.
export function withoutThumbnail(exif) {
  const found = directory(exif);
  if (found) found.view.setUint32(found.link, 0, found.little);
}
