// Windows of one shape that give the very pixels of the whole picture: an output pixel depends on
// inputs within the receptive field, so a window keeps what lies that far from its inner borders.

export const roundUp = (value, multiple) => Math.ceil(value / multiple) * multiple;

// [{start, from, to}]: windows of `side` from `start`; each keeps [from, to). All starts are
// multiples of `multiple`, as strided layers want. length: a multiple too.
function spans(length, most, margin, multiple) {
  if (length <= most) return { side: length, spans: [{ start: 0, from: 0, to: length }] };
  const inner = Math.max(most - 2 * margin, multiple);
  const count = Math.ceil((length - 2 * margin) / inner);
  // Equal shares rather than a last window that is nearly all overlap.
  const step = roundUp(Math.ceil((length - 2 * margin) / count), multiple);
  const side = Math.min(length, step + 2 * margin);
  const found = [];
  for (let from = 0, i = 0; from < length; i++) {
    const start = Math.min(i * step, length - side);
    const to = start + side === length ? length : start + side - margin;
    found.push({ start, from, to });
    from = to;
  }
  return { side, spans: found };
}

// The plan for a picture: padded sides, the window's shape, and the windows.
export function plan(width, height, card, windowPixels) {
  const multiple = card.multiple;
  const margin = roundUp(card.receptive_field, multiple);
  const [paddedWidth, paddedHeight] = [roundUp(width, multiple), roundUp(height, multiple)];
  const whole = paddedWidth * paddedHeight <= windowPixels;
  const least = 4 * margin; // of a smaller window almost nothing would be kept
  const square = Math.max(least, Math.floor(Math.sqrt(windowPixels) / multiple) * multiple);
  // A narrow picture leaves room for longer windows.
  const most = (other) =>
    Math.max(square, Math.floor(windowPixels / Math.min(other, square) / multiple) * multiple);
  const across = spans(paddedWidth, whole ? paddedWidth : most(paddedHeight), margin, multiple);
  const down = spans(paddedHeight, whole ? paddedHeight : most(paddedWidth), margin, multiple);
  const windows = down.spans.flatMap((row) => across.spans.map((column) => ({ row, column })));
  return { width: across.side, height: down.side, windows };
}
