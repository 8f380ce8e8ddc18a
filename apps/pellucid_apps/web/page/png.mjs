// PNG: chunks that travel with the picture, and an encoder, because a canvas spoils colours under
// transparency and writes no metadata.

const SIGNATURE = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
const KEPT = new Set(["iCCP", "sRGB", "gAMA", "cHRM", "pHYs", "eXIf", "iTXt", "tEXt", "zTXt", "tIME"]);
const STRIP_ROWS = 64;

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function chunk(type, body) {
  const data = new Uint8Array(body.length + 12);
  const view = new DataView(data.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) data[4 + i] = type.charCodeAt(i);
  data.set(body, 8);
  let crc = 0xffffffff;
  for (let i = 4; i < data.length - 4; i++) crc = CRC[(crc ^ data[i]) & 255] ^ (crc >>> 8);
  view.setUint32(data.length - 4, ~crc);
  return data;
}

// {width, height, kept: chunks to write again, notes, upright: bytes to decode as stored}.
export function readPng(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const told = { width: 0, height: 0, kept: [], notes: [] };
  const decoded = [SIGNATURE];
  let ended = false;
  for (let at = 8; at + 12 <= bytes.length && !ended; ) {
    const end = at + 12 + view.getUint32(at);
    if (end > bytes.length) break;
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const whole = bytes.subarray(at, end);
    if (type === "IHDR") {
      [told.width, told.height] = [view.getUint32(at + 8), view.getUint32(at + 12)];
      if (bytes[at + 16] === 16) told.notes.push("it has 16 bits a colour, the result 8");
    }
    if (type === "acTL") throw new Error("an animation; save the picture to restore as a file of its own");
    if (KEPT.has(type)) told.kept.push(whole.slice());
    if (type !== "eXIf") decoded.push(whole); // whose turn must not be taken
    ended = type === "IEND";
    at = end;
  }
  if (!ended) throw new Error("the PNG is cut off: its end is missing");
  return { ...told, upright: new Blob(decoded) };
}

// Metadata of another format as PNG chunks. blocks: {exif, icc}.
export async function asChunks({ exif, icc }) {
  const chunks = [];
  if (icc) {
    const packed = await deflated([icc]);
    const name = new TextEncoder().encode("ICC profile\0\0");
    chunks.push(chunk("iCCP", new Uint8Array(await new Blob([name, ...packed]).arrayBuffer())));
  }
  if (exif) chunks.push(chunk("eXIf", exif));
  return chunks;
}

async function deflated(pieces) {
  const packed = [];
  const stream = new Blob(pieces).stream().pipeThrough(new CompressionStream("deflate"));
  for (let reader = stream.getReader(), read; !(read = await reader.read()).done; ) packed.push(read.value);
  return packed;
}

// {width, height, rgb, alpha or null} as a PNG: pieces of a Blob.
export async function writePng(picture, kept) {
  const { width, height, rgb, alpha } = picture;
  const channels = alpha ? 4 : 3;
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, alpha ? 6 : 2, 0, 0, 0], 8);

  const stride = width * channels;
  let above = new Uint8Array(stride);
  let row = new Uint8Array(stride);
  let y = 0;
  const rows = new ReadableStream({
    pull(controller) {
      const count = Math.min(STRIP_ROWS, height - y);
      const strip = new Uint8Array(count * (stride + 1));
      for (let k = 0; k < count; k++, y++) {
        for (let x = 0, p = 3 * y * width, q = 0; x < width; x++) {
          row[q++] = rgb[p++];
          row[q++] = rgb[p++];
          row[q++] = rgb[p++];
          if (alpha) row[q++] = alpha[y * width + x];
        }
        filter(row, above, channels, strip.subarray(k * (stride + 1), (k + 1) * (stride + 1)));
        [row, above] = [above, row];
      }
      controller.enqueue(strip);
      if (y === height) controller.close();
    },
  });
  const pieces = [SIGNATURE, chunk("IHDR", header), ...kept];
  const packed = rows.pipeThrough(new CompressionStream("deflate")).getReader();
  for (let read; !(read = await packed.read()).done; ) pieces.push(chunk("IDAT", read.value));
  return [...pieces, chunk("IEND", new Uint8Array(0))];
}

// PNG's filter 4, Paeth: good for photos, and one for all rows is fast.
function filter(row, above, channels, out) {
  out[0] = 4;
  for (let i = 0; i < row.length; i++) {
    const left = i < channels ? 0 : row[i - channels];
    const corner = i < channels ? 0 : above[i - channels];
    const up = above[i];
    const guess = left + up - corner;
    const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
    out[i + 1] = row[i] - (a <= b && a <= c ? left : b <= c ? up : corner);
  }
}
