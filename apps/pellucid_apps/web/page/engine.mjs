// onnxruntime-web: which of its engines this device runs rightly, and sessions of it.
import { knownPicture } from "./scene.mjs";

// By URL, so that names with a hash in them can take their place.
const SETS = {
  wasm: {
    api: new URL("./engine/ort.wasm.min.mjs", import.meta.url),
    glue: new URL("./engine/ort-wasm-simd-threaded.mjs", import.meta.url),
    code: new URL("./engine/ort-wasm-simd-threaded.wasm.gz", import.meta.url),
  },
  // WebGPU, on WebAssembly with JavaScript Promise Integration; it holds the CPU's kernels as well.
  jspi: {
    api: new URL("./engine/ort.jspi.min.mjs", import.meta.url),
    glue: new URL("./engine/ort-wasm-simd-threaded.jspi.mjs", import.meta.url),
    code: new URL("./engine/ort-wasm-simd-threaded.jspi.wasm.gz", import.meta.url),
  },
};
const MODELS = {
  pico: {
    card: new URL("./models/pico/card.json", import.meta.url),
    network: new URL("./models/pico/model.onnx", import.meta.url),
    measure: new URL("./models/pico/measure.onnx", import.meta.url),
    estimator: new URL("./models/pico/estimator.onnx", import.meta.url),
  },
  nano: {
    card: new URL("./models/nano/card.json", import.meta.url),
    network: new URL("./models/nano/model.onnx", import.meta.url),
    measure: new URL("./models/nano/measure.onnx", import.meta.url),
    estimator: new URL("./models/nano/estimator.onnx", import.meta.url),
  },
  tiny: {
    card: new URL("./models/tiny/card.json", import.meta.url),
    network: new URL("./models/tiny/model.onnx", import.meta.url),
    measure: new URL("./models/tiny/measure.onnx", import.meta.url),
    estimator: new URL("./models/tiny/estimator.onnx", import.meta.url),
  },
};
const TOLERANCE = 1e-3;
const GPU_PATIENCE = 20_000; // ms to open a model and to answer
const GPU = { executionProviders: [{ name: "webgpu", preferredLayout: "NCHW" }] }; // NHWC is wrong
const CPU = { executionProviders: ["wasm"] };

async function get(url) {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok) throw new Error(`cannot load ${url.pathname.split("/").pop()}: is the server there?`);
  return response;
}

async function unpacked(url) {
  const { body } = await get(url);
  return new Response(body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function hasGpu(options) {
  if (options.engine === "wasm" || options.small || !("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return false;
  const software = adapter.info?.isFallbackAdapter || adapter.info?.architecture === "swiftshader";
  return options.engine === "webgpu" || !software;
}

// options: {engine: "auto", "wasm" or "webgpu"; threads; small: a phone that is short of memory;
// quick, windowPixels: for tests}.
export class Engine {
  static async start(options) {
    const engine = new Engine();
    engine.options = options;
    engine.note = "";
    engine.gpu = await hasGpu(options);
    await engine.#load(engine.gpu ? SETS.jspi : SETS.wasm);
    return engine;
  }

  async #load(set) {
    const [ort, code] = await Promise.all([import(set.api.href), unpacked(set.code)]);
    ort.env.logLevel = "error";
    ort.env.wasm.wasmBinary = code;
    ort.env.wasm.wasmPaths = { mjs: set.glue.href };
    ort.env.wasm.numThreads = this.options.threads;
    this.ort = ort;
  }

  get name() {
    const { threads } = this.options;
    const cpu = `WebAssembly, ${threads} thread${threads > 1 ? "s" : ""}`;
    return (this.gpu ? "WebGPU" : cpu) + this.note;
  }

  // Largest window in px: WebGPU is only trusted with small ones.
  get windowPixels() {
    if (this.options.windowPixels) return this.options.windowPixels;
    return this.gpu || this.options.small ? 512 ** 2 : 1024 ** 2;
  }

  // A model whose answers to known pictures are right: {card, run(planes, dims, scene), measure,
  // estimate}. measure: a sample to the scene vector's statistics; estimate: a picture to amounts.
  async open(name) {
    if (!(name in MODELS)) throw new Error(`no model ${name}: pico, nano or tiny`);
    const files = MODELS[name];
    const bytes = (file) => get(files[file]).then((response) => response.arrayBuffer());
    const [card, ...graphs] = await Promise.all([
      get(files.card).then((response) => response.json()),
      ...["network", "measure", "estimator"].map(bytes),
    ]);
    if (this.gpu) {
      const patience = new Promise((_, reject) =>
        setTimeout(() => reject(new Error("it does not answer")), this.options.quick ? 3e5 : GPU_PATIENCE),
      );
      const opened = this.#sessions(card, graphs, GPU);
      try {
        return await Promise.race([opened, patience]);
      } catch (error) {
        this.gpu = false;
        this.note = ` (not WebGPU: ${String(error.message ?? error).slice(0, 80)})`;
        await this.#load(SETS.wasm); // a fresh one: what a failed GPU left behind is not trusted
      }
    }
    return this.#sessions(card, graphs, CPU);
  }

  async #sessions(card, [networkFile, measureFile, estimatorFile], where) {
    const create = (file, options) => this.ort.InferenceSession.create(new Uint8Array(file), options);
    const measurer = await create(measureFile, CPU);
    const estimator = await create(estimatorFile, CPU);
    const network = await create(networkFile, where);
    const picture = (planes, dims) => new this.ort.Tensor("float32", planes, dims);
    const model = {
      card,
      async measure({ planes, dims }) {
        const { scene } = await measurer.run({ input: picture(planes, dims) });
        return scene.data;
      },
      async estimate({ planes, dims }) {
        const { amounts } = await estimator.run({ picture: picture(planes, dims) });
        return amounts.data;
      },
      run: async (planes, dims, scene) => {
        const told = new this.ort.Tensor("float32", scene, [1, scene.length]);
        const { output } = await network.run({ input: picture(planes, dims), scene: told });
        return output.data;
      },
      release: () => Promise.all([measurer, estimator, network].map((session) => session.release())),
    };
    try {
      // One at a time: WebGPU's windows are large, and so is what it may get wrong there.
      const answers = where === GPU && !this.options.quick ? card.answers : card.answers.slice(0, 1);
      for (const answer of answers) await check(model, answer);
    } catch (error) {
      await model.release();
      throw error;
    }
    return model;
  }
}

async function check(model, { side, every, samples }) {
  const planes = knownPicture(side);
  const dims = [1, 3, side, side];
  const seen = { planes, dims };
  const scene = Float32Array.of(...(await model.measure(seen)), ...(await model.estimate(seen)));
  const output = await model.run(planes, dims, scene);
  let worst = 0;
  let at = 0;
  for (let c = 0; c < 3; c++)
    for (let y = 0; y < side; y += every)
      for (let x = 0; x < side; x += every) {
        const error = Math.abs(output[(c * side + y) * side + x] - samples[at++]);
        worst = error <= worst ? worst : error; // NaN counts as the worst
      }
  if (!(worst < TOLERANCE)) throw new Error(`wrong pixels, by ${(255 * worst).toFixed(1)} levels`);
}
