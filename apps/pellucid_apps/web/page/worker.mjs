// The worker owns the engine, the model and the pixels; the page asks, and shows what comes back.
import { Engine } from "./engine.mjs";
import { decode, encode } from "./picture.mjs";
import { Cancelled, mix, restore } from "./restore.mjs";

const KEPT_BYTES = 150e6; // of pixels, so that another strength needs no other run

let engine;
let model = { name: "" };
let cancelled = new Set();
const kept = new Map(); // id -> {picture, restored, same: a blob, of what was left}, oldest first

const handlers = {
  async start({ options }) {
    engine = await Engine.start(options);
    return { engine: engine.name };
  },

  // {id, file, model, steps, amounts, megapixels} -> a blob, what was found, times
  async restore(job) {
    const { id } = job;
    const begin = performance.now();
    const progress = (share) => postMessage({ id, type: "progress", share });
    progress(0);
    await open(job.model);
    const picture = await decode(job.file, job.megapixels);
    kept.delete(id);
    makeRoom(sizeOf({ picture }));
    const start = performance.now();
    const { rgb, found, left } = await restore(picture, model.opened, {
      ...job,
      windowPixels: engine.windowPixels,
      progress,
      cancelled: () => cancelled.has(id),
    });
    const ms = performance.now() - start;
    // Coding what is left alone again would change it.
    const same = left && picture.type === `image/${picture.kind}` && new Blob([job.file], { type: picture.type });
    kept.set(id, { picture, restored: rgb, same });
    const blob = same || (await encode({ ...picture, rgb }, picture.told));
    const { width, height, told } = picture;
    return {
      blob, found, left, ms, width, height, notes: same ? [] : told.notes, engine: engine.name,
      model: job.model, steps: job.steps, totalMs: performance.now() - begin,
      loaded: performance.getEntriesByType("resource").map((entry) => entry.name),
    };
  },

  // {id, strength} -> a blob, or none if the pixels are no longer held
  async encode({ id, strength }) {
    const held = kept.get(id);
    if (!held) return { blob: null };
    const { picture, restored, same } = held;
    if (same) return { blob: same };
    const rgb = mix(picture.rgb, restored, strength);
    return { blob: await encode({ ...picture, rgb }, picture.told) };
  },
};

async function open(name) {
  if (model.name === name) return;
  await model.opened?.release();
  model = { name: "" };
  model = { name, opened: await engine.open(name) };
}

const sizeOf = ({ picture }) => 2 * picture.rgb.length + (picture.alpha?.length ?? 0);

// Let go of the oldest pixels until so many bytes more may be kept.
function makeRoom(bytes) {
  let total = [...kept.values()].reduce((sum, held) => sum + sizeOf(held), bytes);
  for (const [old, held] of kept) {
    if (total <= KEPT_BYTES) break;
    kept.delete(old);
    total -= sizeOf(held);
  }
}

let turn = Promise.resolve(); // one job after another

addEventListener("message", ({ data: job }) => {
  if (job.type === "cancel") return cancelled.add(job.id);
  if (job.type === "forget") return kept.delete(job.id);
  cancelled.delete(job.id);
  turn = turn.then(async () => {
    try {
      postMessage({ id: job.id, call: job.call, type: "done", ...(await handlers[job.type](job)) });
    } catch (error) {
      const type = error instanceof Cancelled ? "cancelled" : "failed";
      postMessage({ id: job.id, call: job.call, type, message: told(error) });
    }
  });
});

function told(error) {
  if (error instanceof RangeError || /memory|allocat/i.test(error.message))
    return "memory ran out; close other tabs, or take a smaller picture or model";
  return error.message || String(error);
}
