// WebP: sizes and metadata of its RIFF chunks. The result is written as PNG or JPEG, which can hold
// both; browsers write WebP without metadata.
import { setUpright, withoutThumbnail } from "./jpeg.mjs";

const name = (bytes, at) => String.fromCharCode(...bytes.subarray(at, at + 4));

// {width, height, exif, icc, notes, upright}; width 0 where only decoding tells it.
export function readWebp(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const told = { width: 0, height: 0, notes: [], upright: bytes.slice() };
  if (view.getUint32(4, true) + 8 > bytes.length) throw new Error("the WebP is cut off: its end is missing");
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    const body = bytes.subarray(at + 8, at + 8 + size);
    const type = name(bytes, at);
    if (type === "VP8X") {
      if (body[0] & 2) throw new Error("an animation; save the picture to restore as a file of its own");
      const side = (i) => 1 + body[i] + (body[i + 1] << 8) + (body[i + 2] << 16);
      [told.width, told.height] = [side(4), side(7)];
    }
    if (type === "ICCP") told.icc = body.slice();
    if (type === "EXIF") {
      const skipped = name(body, 0) === "Exif" ? 6 : 0; // some writers put JPEG's name in front
      told.exif = body.slice(skipped);
      withoutThumbnail(told.exif);
      setUpright(told.upright.subarray(at + 8 + skipped, at + 8 + size));
    }
    if (type === "XMP ") told.notes.push("its XMP is not kept");
    at += 8 + size + (size & 1);
  }
  return told;
}
