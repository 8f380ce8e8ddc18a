// What restoring leaves alone, as pellucid/guards.py has it: hidden pixels, black bars, flat
// pictures; and whether a picture is grey.

const BAR_BLACK = 20; // brightest level of a black bar
const BAR_SPREAD = 2;
const BAR_EDGE = 3; // mean step from a bar to the picture
const BAR_SHARE = 0.02; // of a side, at least
const DARK = 32; // mean under which colours are too faint to call a picture grey
const TONED = 4; // levels by which the colours of a toned picture may stray
const TONED_RANGE = 32; // of brightness, at least, over which its colours are compared
const TONED_SIDE = 256; // px that are looked at
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
function isToned({ width, height, rgb }) {
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
  if (total / sample.length < DARK) return false;
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
