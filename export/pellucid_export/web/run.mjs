// Restores pictures from stdin with onnxruntime-web: run.mjs ENGINE_FOLDER MODEL_FOLDER.
// In: height, width (uint32), then float32 planes (1, 3, height, width); out: the planes restored.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";

const [engine, folder] = process.argv.slice(2);
const ort = await import(pathToFileURL(path.join(engine, "ort.wasm.min.mjs")));
const wasm = gunzipSync(fs.readFileSync(path.join(engine, "ort-wasm-simd-threaded.wasm.gz")));
ort.env.wasm.wasmBinary = wasm;
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

const open = (name) =>
  ort.InferenceSession.create(fs.readFileSync(path.join(folder, name)), {
    executionProviders: ["wasm"],
  });
const { files } = JSON.parse(fs.readFileSync(path.join(folder, "card.json"), "utf8"));
const measure = await open(files.measure);
const estimator = files.estimator && (await open(files.estimator));
const network = await open(files.network);

function read(size) {
  const data = Buffer.alloc(size);
  for (let at = 0; at < size; ) {
    let count = 0;
    try {
      count = fs.readSync(0, data, at, size - at);
    } catch (error) {
      if (error.code === "EAGAIN") continue;
      throw error;
    }
    if (count === 0) process.exit(0); // whoever asked is done
    at += count;
  }
  return data;
}

function write(data) {
  for (let at = 0; at < data.length; ) {
    try {
      at += fs.writeSync(1, data, at);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

write(Buffer.from([1]));
for (;;) {
  const [height, width] = new Uint32Array(new Uint8Array(read(8)).buffer);
  const planes = new Float32Array(new Uint8Array(read(12 * height * width)).buffer);
  const input = new ort.Tensor("float32", planes, [1, 3, height, width]);
  const statistics = (await measure.run({ input })).scene.data;
  const amounts = estimator ? (await estimator.run({ picture: input })).amounts.data : [];
  const scene = Float32Array.of(...statistics, ...amounts);
  const told = new ort.Tensor("float32", scene, [1, scene.length]);
  const { output } = await network.run({ input, scene: told });
  write(Buffer.from(output.data.buffer, output.data.byteOffset, output.data.byteLength));
}
