// One picture through one model: measured once, tile by tile, in one to three steps, with the rule
// of pellucid/steps.py. Pictures are {width, height, rgb}.
import { actsOn, chosen, holdHighlights, holdsHighlights, measureAmounts } from "./amounts.mjs";
import { putBack, shownPart } from "./guards.mjs";
import { free } from "./picture.mjs";
import { lightSample, textureSample, windowPlanes } from "./scene.mjs";
import { plan } from "./tiles.mjs";

const INPUT_WEIGHT = [1.0, 0.75, 0.5]; // share of the given picture in what each call sees
const STATE_STEP = [1.0, 1.0, 0.823]; // share of the newest estimate in a later call's state

const yieldToMessages = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => resolve(port1.close());
    port2.postMessage(0);
  });

export class Cancelled extends Error {}

// The scene vector of a picture, {scene, amounts}; amounts: of degradations, the scene's end.
async function measure(picture, model) {
  const { scene: told, scene_size } = model.card;
  const light = await model.measure(lightSample(picture, told));
  const scene = new Float32Array(scene_size);
  scene.set(await model.measure(textureSample(picture, told)));
  scene.set(light.subarray(0, told.light));
  return { scene, amounts: await measureAmounts(picture, model) };
}

// job: {steps, amounts (name -> 0..1, chosen by hand), windowPixels, progress(share), cancelled()}.
// -> {rgb, found: amounts by name, left: whether there was nothing to restore}.
export async function restore(picture, model, job) {
  const shown = shownPart(picture);
  const none = Object.fromEntries(model.card.degradations.map((name) => [name, 0]));
  if (!shown) return { rgb: picture.rgb, found: none, left: true };
  const { part } = shown;
  const { scene, amounts } = await measure(part, model);
  const found = Object.fromEntries(model.card.degradations.map((name, i) => [name, amounts[i]]));
  const told = chosen(amounts, model.card, job.amounts ?? {});
  if (!actsOn(told)) return { rgb: picture.rgb, found, left: true };
  const hold = holdsHighlights(told, model.card);
  const rgb = await steps({ ...part, hold }, scene, amounts, model, job);
  return { rgb: putBack(picture, shown, rgb), found, left: false };
}

async function steps(picture, scene, amounts, model, job) {
  const call = (seen, scene, amounts, number) => {
    const told = chosen(amounts, model.card, job.amounts ?? {});
    scene.set(told, scene.length - told.length);
    const progress = (share) => job.progress((number + share) / job.steps);
    return tiles(seen, model, scene, { ...job, progress });
  };
  let estimate = await call(picture, scene, amounts, 0);
  let carried = estimate;
  for (let number = 1; number < job.steps; number++) {
    carried = mix(carried, estimate, STATE_STEP[number]);
    const seen = { ...picture, rgb: mix(carried, picture.rgb, INPUT_WEIGHT[number]) };
    const measured = await measure(seen, model);
    mirror(seen); // predictions from both sides err apart
    const prediction = { ...seen, rgb: await call(seen, measured.scene, measured.amounts, number) };
    mirror(prediction);
    estimate = mix(carried, prediction.rgb, 1 / (number + 1));
  }
  return estimate;
}

async function tiles(picture, model, scene, job) {
  const { width, height } = picture;
  const layout = plan(width, height, model.card, job.windowPixels);
  const dims = [1, 3, layout.height, layout.width];
  const planes = new Float32Array(3 * layout.width * layout.height);
  const out = new Uint8Array(picture.rgb.length);
  for (const [index, { row, column }] of layout.windows.entries()) {
    await yieldToMessages();
    if (job.cancelled()) throw new Cancelled();
    windowPlanes(picture, column.start, row.start, layout.width, layout.height, planes);
    const restored = await model.run(planes, dims, scene);
    if (picture.grey) keepColour(planes, restored);
    if (picture.hold) holdHighlights(planes, restored);
    keep(restored, layout, row, column, picture, out);
    free(restored);
    job.progress((index + 1) / layout.windows.length);
  }
  return out;
}

// Put the part of a window that is exact into the picture, rounded to 8 bits.
function keep(restored, layout, row, column, picture, out) {
  const size = layout.width * layout.height;
  const [right, bottom] = [Math.min(column.to, picture.width), Math.min(row.to, picture.height)];
  for (let y = row.from; y < bottom; y++) {
    let at = (y - row.start) * layout.width + column.from - column.start;
    let p = 3 * (y * picture.width + column.from);
    for (let x = column.from; x < right; x++, at++, p += 3) {
      out[p] = level(restored[at]);
      out[p + 1] = level(restored[size + at]);
      out[p + 2] = level(restored[2 * size + at]);
    }
  }
}

// Only the luma of a grey picture is restored: every channel changes alike.
function keepColour(image, restored) {
  const size = image.length / 3;
  for (let i = 0; i < size; i++) {
    let change = 0;
    for (let c = 0; c < 3; c++) change += restored[c * size + i] - image[c * size + i];
    for (let c = 0; c < 3; c++) restored[c * size + i] = image[c * size + i] + change / 3;
  }
}

const level = (value) => Math.min(255, Math.max(0, value * 255 + 0.5)); // the array cuts it off

// one + share (other - one), rounded, in a new array; with nothing to mix, `other` itself.
export function mix(one, other, share) {
  if (share === 1) return other;
  const mixed = new Uint8Array(one.length);
  for (let i = 0; i < one.length; i++) mixed[i] = one[i] + share * (other[i] - one[i]) + 0.5;
  return mixed;
}

// Left to right, in place.
function mirror({ width, height, rgb }) {
  for (let y = 0; y < height; y++)
    for (let a = 3 * y * width, b = a + 3 * (width - 1); a < b; a += 3, b -= 3)
      for (let c = 0; c < 3; c++) [rgb[a + c], rgb[b + c]] = [rgb[b + c], rgb[a + c]];
}
