// How much of each degradation a picture has, what is chosen to be restored, and what follows: the
// rules of pellucid/estimator.py and pellucid/degradations.py.
import { isDrawn, isNightSky, isToned } from "./guards.mjs";
import { reduce, round, windowPlanes } from "./scene.mjs";
import { roundUp } from "./tiles.mjs";

export const FOUND = 0.3; // an amount from here on is worth restoring
export const ASKED = 0.6; // least amount of what is asked for by name
const WHOLE_PIXELS = 2 ** 20; // larger pictures are judged reduced
const FINE = ["noise", "jpeg"]; // but these in windows of the original
const [WINDOW, WINDOWS] = [256, 3];
const MULTIPLE = 16; // of the sides of what the estimator takes

// Amounts of a whole picture in the card's order. Of a sky of stars and of drawings all are 0: they
// are meant so. Toned pictures are judged by one channel: their cast is meant.
export async function measureAmounts(picture, model) {
  const amounts = await measure(isToned(picture) ? oneChannel(picture) : picture, model);
  if (actsOn(amounts) && (isNightSky(picture) || isDrawn(picture))) amounts.fill(0);
  return amounts;
}

function oneChannel({ width, height, rgb }) {
  return { width, height, rgb: rgb.map((_, p) => rgb[p - (p % 3) + 1]) };
}

async function measure(picture, model) {
  const { degradations } = model.card;
  const judge = async (seen, left, top, width, height) => {
    const [wide, high] = [roundUp(width, MULTIPLE), roundUp(height, MULTIPLE)];
    const planes = new Float32Array(3 * wide * high);
    windowPlanes(seen, left, top, wide, high, planes);
    return model.estimate({ planes, dims: [1, 3, high, wide] });
  };
  const { width, height } = picture;
  const scale = Math.sqrt(WHOLE_PIXELS / (width * height));
  if (scale >= 1) return judge(picture, 0, 0, width, height);
  const small = reduce(picture, Math.max(1, round(width * scale)), Math.max(1, round(height * scale)));
  const amounts = await judge(small, 0, 0, small.width, small.height);
  const starts = (side) =>
    new Set(Array.from({ length: WINDOWS }, (_, n) => round((Math.max(0, side - WINDOW) * n) / (WINDOWS - 1))));
  const windows = [];
  for (const top of starts(height))
    for (const left of starts(width))
      windows.push(await judge(picture, left, top, Math.min(WINDOW, width), Math.min(WINDOW, height)));
  degradations.forEach((name, i) => {
    if (FINE.includes(name)) amounts[i] = windows.reduce((sum, w) => sum + w[i], 0) / windows.length;
  });
  return amounts;
}

// What the model is told: amounts as measured, those chosen by hand (name -> 0..1) in their place.
export function chosen(amounts, { degradations }, byHand) {
  return degradations.map((name, i) => byHand[name] ?? amounts[i]);
}

export const actsOn = (told) => told.some((amount) => amount >= FOUND);

// Unless darkness is restored, no pixel may become white that was not.
export function holdsHighlights(told, { degradations }) {
  return !(told[degradations.indexOf("lowlight")] >= FOUND);
}

const HEADROOM = 0.25; // of what a pixel lacks to white, at least this share stays

// restored, in place; both (3, h, w) in [0, 1].
export function holdHighlights(image, restored) {
  for (let i = 0; i < image.length; i++) {
    const bound = Math.min(1 - HEADROOM * (1 - image[i]), 254 / 255);
    restored[i] = Math.min(restored[i], Math.max(bound, image[i]));
  }
}
