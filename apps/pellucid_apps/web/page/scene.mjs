// What of a picture is measured for its scene vector: the same samples as `pellucid restore` takes
// (pellucid/scene.py). A picture is {width, height, rgb, visible}: 8-bit RGB, row by row; visible: null,
// or 1 for each pixel that counts.

const ENLARGE = 8; // so that the measure's 4x4 means, and whole bands, are those of the thumbnail
const LEAST = 16; // sides of what the estimator takes at least

// As Python rounds: halves to even.
export function round(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

// Per output pixel: first input pixel, and the share of each one under it.
function coverage(length, small) {
  const scale = length / small;
  return Array.from({ length: small }, (_, i) => {
    const [start, stop] = [i * scale, Math.min((i + 1) * scale, length)];
    const first = Math.floor(start + 1e-9);
    const shares = [];
    for (let at = first; at < stop - 1e-9; at++)
      shares.push((Math.min(at + 1, stop) - Math.max(at, start)) / (stop - start));
    return { first, shares };
  });
}

// Area-averaged copy with its long side at most `side`.
export function thumbnail(picture, side) {
  const { width, height } = picture;
  const scale = side / Math.max(width, height);
  if (scale >= 1) return picture;
  return reduce(picture, Math.max(1, round(width * scale)), Math.max(1, round(height * scale)));
}

// Area-averaged copy of a smaller size.
export function reduce({ width, height, rgb }, narrow, low) {
  const small = { width: narrow, height: low, rgb: new Uint8Array(3 * narrow * low) };
  const columns = coverage(width, small.width);
  coverage(height, small.height).forEach(({ first, shares }, y) => {
    const sums = new Float64Array(3 * small.width);
    shares.forEach((share, below) => {
      const row = (first + below) * width;
      columns.forEach((column, x) => {
        for (let k = 0, p = 3 * (row + column.first); k < column.shares.length; k++, p += 3) {
          const weight = share * column.shares[k];
          sums[3 * x] += weight * rgb[p];
          sums[3 * x + 1] += weight * rgb[p + 1];
          sums[3 * x + 2] += weight * rgb[p + 2];
        }
      });
    });
    small.rgb.set(sums.map(round), 3 * y * small.width);
  });
  return small;
}

// float32 planes (3, rows, columns) in [0, 1] of the picture's rows and columns by number. Samples
// consist of whole cells, so what is too small may be taken twice: means stay.
function planesOf(picture, ...sides) {
  const [rows, columns] = sides.map((side) => (side.length < LEAST ? [...side, ...side] : side));
  const planes = new Float32Array(3 * rows.length * columns.length);
  const size = rows.length * columns.length;
  let at = 0;
  for (const row of rows)
    for (const column of columns) {
      const p = 3 * (row * picture.width + column);
      for (let c = 0; c < 3; c++) planes[c * size + at] = picture.rgb[p + c] / 255;
      at++;
    }
  return { planes, dims: [1, 3, rows.length, columns.length] };
}

const numbers = (count, of = (i) => i) => Array.from({ length: count }, (_, i) => of(i));

// The thumbnail, each pixel a square, for the measure of light. Of a picture with `visible` only
// its visible pixels, side by side.
export function lightSample(picture, told) {
  let small = thumbnail(picture, told.thumbnail_side);
  if (picture.visible) small = counted(picture, small, told);
  const spread = (length) => numbers(length * ENLARGE, (i) => Math.floor(i / ENLARGE));
  return planesOf(small, spread(small.height), spread(small.width));
}

function counted({ width, height, visible }, small, told) {
  const mask = new Uint8Array(3 * width * height);
  visible.forEach((seen, i) => mask.fill(255 * seen, 3 * i, 3 * i + 3));
  const shares = thumbnail({ width, height, rgb: mask }, told.thumbnail_side).rgb;
  const rgb = small.rgb.filter((_, p) => shares[p] >= 128);
  return rgb.length ? { width: rgb.length / 3, height: 1, rgb } : small;
}

// Bands of rows at full resolution, spread evenly, for the measure of texture. Of a picture with
// `visible` only whole visible cells, one under another.
export function textureSample(picture, told) {
  const { band } = told;
  if (picture.visible) picture = visibleCells(picture, band);
  // Too small for one band: the border is repeated.
  const clamp = (length) => (i) => Math.min(i, length - 1);
  const whole = (length) => (length < band ? band : Math.floor(length / band) * band);
  const columns = numbers(whole(picture.width), clamp(picture.width));
  const bands = whole(picture.height) / band;
  const every = Math.max(1, round((bands * band * columns.length) / told.enough_pixels));
  const rows = [];
  for (let b = 0; b < bands; b += every)
    for (let i = 0; i < band; i++) rows.push(Math.min(b * band + i, picture.height - 1));
  return planesOf(picture, rows, columns);
}

function visibleCells(picture, band) {
  const { width, height, rgb, visible } = picture;
  const cells = [];
  for (let top = 0; top + band <= height; top += band)
    for (let left = 0; left + band <= width; left += band) {
      const rows = numbers(band, (y) => (top + y) * width + left);
      if (rows.every((start) => !visible.subarray(start, start + band).includes(0))) cells.push(rows);
    }
  if (!cells.length) return picture;
  const shown = new Uint8Array(3 * cells.length * band * band);
  cells.flat().forEach((start, i) => shown.set(rgb.subarray(3 * start, 3 * (start + band)), 3 * i * band));
  return { width: band, height: cells.length * band, rgb: shown };
}

// Planes of one window, beyond the picture its last row and column again. out: reused memory.
export function windowPlanes(picture, left, top, width, height, out) {
  const { rgb, width: wide, height: high } = picture;
  const size = width * height;
  let at = 0;
  for (let y = 0; y < height; y++) {
    const row = Math.min(top + y, high - 1) * wide;
    for (let x = 0; x < width; x++, at++) {
      const p = 3 * (row + Math.min(left + x, wide - 1));
      out[at] = rgb[p] / 255;
      out[size + at] = rgb[p + 1] / 255;
      out[2 * size + at] = rgb[p + 2] / 255;
    }
  }
  return out;
}

// A picture that the exporter knows too (pellucid_export/web/card.py).
export function knownPicture(side) {
  const planes = new Float32Array(3 * side * side);
  let at = 0;
  for (let c = 0; c < 3; c++)
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) planes[at++] = ((7 * x + 13 * y + 29 * c + x * y) % 256) / 255;
  return planes;
}
