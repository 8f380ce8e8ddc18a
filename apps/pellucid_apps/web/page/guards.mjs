// What restoring leaves alone, as pellucid/guards.py has it: hidden pixels, black bars, flat
// pictures; and whether a picture is grey, toned, drawn or a sky of stars.

const BAR_BLACK = 20; // brightest level of a black bar
const BAR_SPREAD = 2;
const BAR_EDGE = 3; // mean step from a bar to the picture
const BAR_SHARE = 0.02; // of a side, at least
const DARK = 32; // mean under which colours are too faint to call a picture grey
const TONED_SAMPLE = 1024; // pixels: fewer share too few brightnesses
const TONED = 4; // levels by which the colours of a toned picture may stray
const TONED_RANGE = 32; // of brightness, at least, over which its colours are compared
const TONED_SIDE = 256; // px that are looked at
// Levels of the sky at most, of its brightest parts over it, of a star over them.
const [SKY_DARK, SKY_EVEN, SKY_BRIGHT] = [40, 12, 100];
const SKY_POINTS = 40; // stars at least
const SKY_POINT = 0.012; // side of what is a point, as a share of the picture's long side
const SKY_SIDE = 512; // px
const CELL = 8; // px
const DRAWN_CELLS = 64; // about so many in each direction are looked at
const DRAWN_RANGE = 64; // levels between the darkest and the brightest, at least
const DRAWN_DARK = 12; // levels that most pixels exceed
const DRAWN_SHARE = 0.85;
const RINGING = 8; // rows that JPEG blurs a bar's edge over

// {left, top, part: {width, height, rgb, visible or null, grey}} to be restored; null: nothing.
export function shownPart(picture) {
  const { width, height, alpha } = picture;
  let box = { left: 0, top: 0, width, height };
  let visible = null;
  if (alpha?.includes(0)) {
    visible = alpha.map((a) => (a > 0 ? 1 : 0));
    box = bounds(visible, width, height);
    if (!box) return null;
  }
  let part = crop({ ...picture, visible }, box);
  if (part.visible?.includes(0)) fillHidden(part);
  else part.visible = null;
  if (isFlat(part)) return null;
  const inner = content(part);
  part = crop(part, inner);
  const left = box.left + inner.left;
  return { left, top: box.top + inner.top, part: { ...part, grey: isGrey(part.rgb) || isToned(part) } };
}

// The restored part back in the picture's place; hidden pixels keep their own colours.
export function putBack(picture, shown, restored) {
  if (shown.part.rgb === picture.rgb) return restored; // it is the whole picture
  const rgb = picture.rgb.slice();
  const { width, height, visible } = shown.part;
  for (let y = 0, i = 0; y < height; y++) {
    let p = 3 * ((shown.top + y) * picture.width + shown.left);
    for (let x = 0; x < width; x++, i++, p += 3) {
      if (visible && !visible[i]) continue;
      for (let c = 0; c < 3; c++) rgb[p + c] = restored[3 * i + c];
    }
  }
  return rgb;
}

function bounds(visible, width, height) {
  let [left, right, top, bottom] = [width, -1, height, -1];
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++) {
      if (!visible[i]) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

function crop(picture, { left, top, width, height }) {
  if (width === picture.width && height === picture.height && !picture.visible) return picture;
  const rgb = new Uint8Array(3 * width * height);
  const visible = picture.visible && new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const from = (top + y) * picture.width + left;
    rgb.set(picture.rgb.subarray(3 * from, 3 * (from + width)), 3 * y * width);
    visible?.set(picture.visible.subarray(from, from + width), y * width);
  }
  return { width, height, rgb, visible };
}

// Hidden pixels get the colour of the nearest visible one: distances in two passes over 5x5
// (Borgefors 1986), as OpenCV's distanceTransform takes them.
function fillHidden({ width, height, rgb, visible }) {
  const [side, diagonal, knight] = [1, 1.4, 2.1969].map((d) => Math.round(d * 65536));
  const before = [
    [-2, -1, knight], [-2, 1, knight], [-1, -2, knight], [-1, -1, diagonal],
    [-1, 0, side], [-1, 1, diagonal], [-1, 2, knight], [0, -1, side],
  ];
  const distance = Float64Array.from(visible, (seen) => (seen ? 0 : Infinity));
  const nearest = Int32Array.from(visible, (_, i) => i);
  const pass = (order, neighbours) => {
    for (const i of order) {
      if (distance[i] === 0) continue;
      const [y, x] = [Math.floor(i / width), i % width];
      for (const [dy, dx, step] of neighbours) {
        if (y + dy < 0 || y + dy >= height || x + dx < 0 || x + dx >= width) continue;
        const other = i + dy * width + dx;
        if (distance[other] + step < distance[i]) {
          distance[i] = distance[other] + step;
          nearest[i] = nearest[other];
        }
      }
    }
  };
  pass(visible.keys(), before);
  const backwards = function* () {
    for (let i = visible.length - 1; i >= 0; i--) yield i;
  };
  pass(backwards(), before.map(([dy, dx, step]) => [-dy, -dx, step]));
  for (let i = 0; i < nearest.length; i++)
    if (!visible[i]) rgb.copyWithin(3 * i, 3 * nearest[i], 3 * nearest[i] + 3);
}

// Whether a picture shows nothing: one colour, but for two levels.
function isFlat({ rgb }) {
  const low = [255, 255, 255];
  const high = [0, 0, 0];
  for (let p = 0; p < rgb.length; p += 3)
    for (let c = 0; c < 3; c++) {
      if (rgb[p + c] < low[c]) low[c] = rgb[p + c];
      if (rgb[p + c] > high[c]) high[c] = rgb[p + c];
      if (high[c] - low[c] > 2) return false;
    }
  return true;
}

// The picture without its black bars (letterbox, pillarbox).
function content({ width, height, rgb }) {
  // at(line, along, channel) for each of the four sides
  const rows = (line, along, c) => rgb[3 * (line * width + along) + c];
  const columns = (line, along, c) => rgb[3 * (along * width + line) + c];
  const from = (read, lines) => (line, along, c) => read(lines - 1 - line, along, c);
  const top = bar(rows, height, width);
  const bottom = bar(from(rows, height), height, width);
  const left = bar(columns, width, height);
  const right = bar(from(columns, width), width, height);
  return { left, top, width: width - left - right, height: height - top - bottom };
}

function bar(at, lines, length) {
  const corner = [0, 1, 2].map((c) => at(0, 0, c));
  if (Math.max(...corner) > BAR_BLACK) return 0;
  const off = (line, along, c) => Math.abs(at(line, along, c) - corner[c]);
  const flat = (line) => {
    for (let along = 0; along < length; along++)
      for (let c = 0; c < 3; c++) if (off(line, along, c) > BAR_SPREAD) return false;
    return true;
  };
  let count = 0;
  while (count < lines && flat(count)) count++;
  if (count === lines || count < BAR_SHARE * lines) return 0;
  for (let line = count; line < Math.min(count + RINGING, lines); line++) {
    let sum = 0;
    for (let along = 0; along < length; along++) for (let c = 0; c < 3; c++) sum += off(line, along, c);
    if (sum / (3 * length) >= BAR_EDGE) return count;
  }
  return 0;
}

// Whether R = G = B, or within a level in a picture that is not dark.
export function isGrey(rgb) {
  let apart = 0;
  let red = 0;
  for (let p = 0; p < rgb.length; p += 3) {
    const [r, g, b] = [rgb[p], rgb[p + 1], rgb[p + 2]];
    apart = Math.max(apart, Math.max(r, g, b) - Math.min(r, g, b));
    if (apart > 1) return false;
    red += r;
  }
  return apart === 0 || red / (rgb.length / 3) >= DARK;
}

// Whether a picture is a toned monochrome, such as sepia: its brightness tells its colours.
export function isToned({ width, height, rgb }) {
  const step = Math.max(1, Math.floor(Math.max(width, height) / TONED_SIDE));
  const sample = []; // [code, r, g, b]
  let total = 0;
  for (let y = 0; y < height; y += step)
    for (let x = 0; x < width; x += step) {
      const p = 3 * (y * width + x);
      const sum = rgb[p] + rgb[p + 1] + rgb[p + 2];
      sample.push([Math.floor(sum / 3), rgb[p], rgb[p + 1], rgb[p + 2]]);
      total += sum / 3;
    }
  if (sample.length < TONED_SAMPLE || total / sample.length < DARK) return false;
  const codes = sample.map(([code]) => code);
  if (percentile(codes, 0.95) - percentile(codes, 0.05) < TONED_RANGE) return false;
  const count = new Float64Array(256);
  for (const code of codes) count[code]++;
  return [1, 2, 3].every((c) => {
    const sums = new Float64Array(256);
    for (const pixel of sample) sums[pixel[0]] += pixel[c];
    const off = sample.map((pixel) => Math.abs(pixel[c] - sums[pixel[0]] / count[pixel[0]]));
    return percentile(off, 0.95) <= TONED;
  });
}

// With linear interpolation, as numpy has it.
function percentile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

// The same of whole levels, of which counts[level] are given.
function percentileOf(counts, share) {
  const at = share * (counts.reduce((sum, count) => sum + count, 0) - 1);
  const nth = (n) => {
    let level = 0;
    for (let seen = counts[0]; seen <= n; seen += counts[++level]);
    return level;
  };
  const low = nth(Math.floor(at));
  return low + (at - Math.floor(at)) * (nth(Math.ceil(at)) - low);
}

function countLevels(levels) {
  const counts = new Uint32Array(256);
  for (const level of levels) counts[level]++;
  return counts;
}

// Whether a picture is text, an interface or a drawing: nearly all of its cells have a colour that
// a quarter of their pixels share exactly.
export function isDrawn({ width, height, rgb }) {
  const [down, across] = [height, width].map((side) => Math.floor(side / CELL));
  if (!down || !across) return false;
  const [rows, columns] = [down, across].map((count) => Math.max(1, Math.floor(count / DRAWN_CELLS)));
  const counts = [0, 1, 2].map(() => new Uint32Array(256));
  const codes = new Uint32Array(CELL * CELL);
  let [cells, shared] = [0, 0];
  for (let row = 0; row < down; row += rows)
    for (let column = 0; column < across; column += columns) {
      for (let i = 0; i < codes.length; i++) {
        const p = 3 * ((CELL * row + Math.floor(i / CELL)) * width + CELL * column + (i % CELL));
        for (let c = 0; c < 3; c++) counts[c][rgb[p + c]]++;
        codes[i] = (rgb[p] << 16) | (rgb[p + 1] << 8) | rgb[p + 2];
      }
      codes.sort();
      const alike = codes.length / 4 - 1;
      cells++;
      if (codes.some((code, i) => i >= alike && code === codes[i - alike])) shared++;
    }
  const range = Math.max(...counts.map((of) => percentileOf(of, 0.99) - percentileOf(of, 0.01)));
  const middle = Math.max(...counts.map((of) => percentileOf(of, 0.5)));
  return range >= DRAWN_RANGE && middle >= DRAWN_DARK && shared / cells >= DRAWN_SHARE;
}

// Whether a picture is an even dark with many bright points: stars, not a dark photo.
export function isNightSky(picture) {
  const { width, height, luma } = brightest(picture);
  const side = Math.max(3, Math.round(SKY_POINT * Math.max(width, height)) | 1);
  const eroded = extreme(luma, width, height, side, Math.min);
  const without = extreme(eroded, width, height, side, Math.max); // morphological opening
  const counts = countLevels(without);
  const median = percentileOf(counts, 0.5);
  if (median > SKY_DARK || percentileOf(counts, 0.999) > 1.3 * median + SKY_EVEN) return false;
  return countIslands(luma.map((v, i) => (v - without[i] > SKY_BRIGHT ? 1 : 0)), width, height) >= SKY_POINTS;
}

// Reduced to SKY_SIDE px at most, by the largest value of each cell and channel.
function brightest({ width, height, rgb }) {
  const step = Math.ceil(Math.max(width, height) / SKY_SIDE);
  const [wide, high] = [width, height].map((side) => Math.ceil(side / step));
  const luma = new Uint8Array(wide * high);
  for (let y = 0, p = 0; y < height; y++)
    for (let x = 0; x < width; x++, p += 3) {
      const at = Math.floor(y / step) * wide + Math.floor(x / step);
      luma[at] = Math.max(luma[at], rgb[p], rgb[p + 1], rgb[p + 2]);
    }
  return { width: wide, height: high, luma };
}

// Smallest or largest value (of: Math.min or Math.max) of the square about each pixel.
function extreme(values, width, height, side, of) {
  const reach = (side - 1) / 2;
  const along = (from, length, stride) =>
    from.map((value, i) => {
      const place = Math.floor(i / stride) % length;
      for (let k = -Math.min(reach, place); k <= Math.min(reach, length - 1 - place); k++)
        value = of(value, from[i + k * stride]);
      return value;
    });
  return along(along(values, width, 1), height, width);
}

// Groups of pixels that touch, corners included; `mask` is emptied.
function countIslands(mask, width, height) {
  let islands = 0;
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start]) continue;
    islands++;
    mask[start] = 0;
    for (const open = [start]; open.length; ) {
      const at = open.pop();
      const [y, x] = [Math.floor(at / width), at % width];
      for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++)
        for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
          const near = row * width + column;
          if (!mask[near]) continue;
          mask[near] = 0;
          open.push(near);
        }
    }
  }
  return islands;
}
