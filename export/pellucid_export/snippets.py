"""Code that runs the exported file at hand, in the language its platform speaks."""

from collections.abc import Sequence
from pathlib import Path

from .report import Row

SWIFT = """\
// iOS 17, macOS 14. Add {name} to the Xcode project; the picture must have one of these sizes
// (width x height): {size}.
import CoreML
import CoreVideo

func restore(_ picture: CVPixelBuffer, with model: MLModel) throws -> CVPixelBuffer? {{
    let input = try MLDictionaryFeatureProvider(
        dictionary: ["input": MLFeatureValue(pixelBuffer: picture)])
    return try model.prediction(from: input).featureValue(for: "output")?.imageBufferValue
}}

func loadRestorer(at package: URL) throws -> MLModel {{
    let settings = MLModelConfiguration()
    settings.computeUnits = .cpuAndNeuralEngine
    return try MLModel(contentsOf: MLModel.compileModel(at: package), configuration: settings)
}}
"""

SWIFT_TENSOR = """\
// iOS 17, macOS 14. input and output: float RGB in 0...1, shape [1, 3, height, width], one of
// these sizes (width x height): {size}. `pellucid export --io image` makes one of pictures.
import CoreML

func restore(_ picture: MLMultiArray, with model: MLModel) throws -> MLMultiArray? {{
    let input = try MLDictionaryFeatureProvider(dictionary: ["input": picture])
    return try model.prediction(from: input).featureValue(for: "output")?.multiArrayValue
}}

func loadRestorer(at package: URL) throws -> MLModel {{
    let settings = MLModelConfiguration()
    settings.computeUnits = .cpuAndNeuralEngine
    return try MLModel(contentsOf: MLModel.compileModel(at: package), configuration: settings)
}}
"""

KOTLIN = """\
// Android: implementation("com.microsoft.onnxruntime:onnxruntime-android:1.22.0"); put {name} into
// assets. pixels: {pixels}.
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import java.nio.{buffer}

class Restorer(model: ByteArray) : AutoCloseable {{
    private val environment = OrtEnvironment.getEnvironment()
    private val session = environment.createSession(model, OrtSession.SessionOptions())

    fun restore(pixels: {buffer}, height: Long, width: Long): {buffer} {{
        val shape = longArrayOf({shape})
        OnnxTensor.createTensor(environment, pixels, shape{kind}).use {{ input ->
            session.run(mapOf("input" to input)).use {{ result ->
                return (result.get(0) as OnnxTensor).{get}
            }}
        }}
    }}

    override fun close() = session.close()
}}
"""

KOTLIN_HTP = """\
// Snapdragon: implementation("com.microsoft.onnxruntime:onnxruntime-android-qnn:1.24.1");
// put {name} and model_code.onnx into assets. What is computed once a picture runs on the CPU, all
// the rest on the HTP, or creating the session fails. pixels: {pixels}, of {size} (width x height).
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import java.nio.FloatBuffer

class Restorer(code: ByteArray, network: ByteArray) : AutoCloseable {{
    private val environment = OrtEnvironment.getEnvironment()
    private val host = environment.createSession(code, OrtSession.SessionOptions())
    private val htp = environment.createSession(network, OrtSession.SessionOptions().apply {{
        addQnn(mapOf("backend_path" to "libQnnHtp.so", "htp_performance_mode" to "burst"))
        addConfigEntry("session.disable_cpu_ep_fallback", "1")
    }})

    fun restore(pixels: FloatBuffer, height: Long, width: Long): FloatBuffer {{
        val shape = longArrayOf({shape})
        OnnxTensor.createTensor(environment, pixels, shape).use {{ input ->
            host.run(mapOf("input" to input)).use {{ vectors ->
                val fed = vectors.associate {{ it.key to it.value as OnnxTensor }}
                htp.run(fed + ("input" to input)).use {{ result ->
                    return (result.get(0) as OnnxTensor).floatBuffer
                }}
            }}
        }}
    }}

    override fun close() {{
        htp.close()
        host.close()
    }}
}}
"""

CPP_ONNX = """\
// g++ -std=c++17 restore.cpp -lonnxruntime; pixels: {pixels}.
#include <onnxruntime_cxx_api.h>

#include <array>
#include <cstdint>
#include <vector>

std::vector<{type}> restore(Ort::Session &session, std::vector<{type}> &pixels,
                            int64_t height, int64_t width) {{
  const std::array<int64_t, 4> shape{{{shape}}};
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto input = Ort::Value::CreateTensor<{type}>(memory, pixels.data(), pixels.size(),
                                                shape.data(), shape.size());
  const char *taken[] = {{"input"}};
  const char *given[] = {{"output"}};
  auto outputs = session.Run(Ort::RunOptions{{nullptr}}, taken, &input, 1, given, 1);
  const {type} *first = outputs.front().GetTensorData<{type}>();
  return std::vector<{type}>(first, first + pixels.size());
}}

Ort::Session open_restorer(Ort::Env &environment, const ORTCHAR_T *file) {{  // {name}
  Ort::SessionOptions options;
  options.AddConfigEntry("session.intra_op.allow_spinning", "0");
  return Ort::Session(environment, file, options);
}}
"""

CPP_OPENVINO = """\
// Compile with OpenVINO's headers, link with -lopenvino; pixels: {pixels}.
#include <openvino/openvino.hpp>

#include <cstdint>
#include <string>
#include <vector>

ov::CompiledModel open_restorer(const std::string &file) {{  // {name}, its .bin beside it
  ov::Core core;
  return core.compile_model(file, "AUTO", ov::hint::performance_mode("LATENCY"));
}}

std::vector<{type}> restore(ov::CompiledModel &model, std::vector<{type}> &pixels,
                            size_t height, size_t width) {{
  ov::InferRequest request = model.create_infer_request();
  ov::Tensor input(ov::element::{element}, ov::Shape{{{shape}}}, pixels.data());
  request.set_input_tensor(input);
  request.infer();
  const {type} *first = request.get_output_tensor().data<{type}>();
  return std::vector<{type}>(first, first + pixels.size());
}}
"""

JAVASCRIPT = """\
// Browser: npm install onnxruntime-web; Node: npm install onnxruntime-node and import that instead.
// pixels: {pixels}.
import * as ort from "onnxruntime-web";

export async function openRestorer(url = "{name}") {{
  return ort.InferenceSession.create(url, {{ executionProviders: ["webgpu", "wasm"] }});
}}

export async function restore(session, pixels, height, width) {{
  const input = new ort.Tensor("{element}", pixels, [{shape}]);
  const {{ output }} = await session.run({{ input }});
  return output.data;
}}
"""

FLOAT_PIXELS = "float RGB in 0..1, planes one after another (1, 3, height, width)"
IMAGE_PIXELS = "8-bit RGB as cameras give it, (1, height, width, 3)"


def snippets(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(file name, code) for the best file of each format that was made."""
    found = []
    for form in ("onnx", "openvino", "coreml", "htp"):
        row = _best(rows, form)
        if row is None:
            continue
        if form == "coreml":
            text = SWIFT if row.image_io else SWIFT_TENSOR
            found.append(("restore.swift", _fill(text, row)))
        elif form == "htp":
            found.append(("restore_htp.kt", _fill(KOTLIN_HTP, row)))
        elif form == "openvino":
            found.append(("restore_openvino.cpp", _fill(CPP_OPENVINO, row)))
        else:
            found.append(("restore.kt", _fill(KOTLIN, row)))
            found.append(("restore_onnx.cpp", _fill(CPP_ONNX, row)))
            found.append(("restore.mjs", _fill(JAVASCRIPT, row, script=True)))
    return found


def next_commands(rows: Sequence[Row], out: Path) -> list[str]:
    """Commands worth running now, for the files in hand."""
    lines = []
    onnx = next((r for r in rows if r.made and r.format == "onnx" and not r.image_io), None)
    if onnx is not None:
        lines.append(f"pellucid restore photos/ -o restored/ -m {out / onnx.file}")
    first = next((row for row in rows if row.made and row.format != "litert"), None)
    if first is not None:
        lines.append(f"pellucid inspect {out / first.file}")
    openvino = _best(rows, "openvino")
    if openvino is not None:
        shape = "[1,720,1280,3]" if openvino.image_io else "[1,3,720,1280]"
        sides = f" -shape {shape}" if openvino.size == "any" else ""
        lines.append(f"benchmark_app -m {out / openvino.file}{sides} -hint latency -t 10")
    web = _best(rows, "web")
    if web is not None:
        lines.append(f"open {out / 'web' / 'example.html'}: the page that a developer starts from")
    if any(row.made and row.format == "darktable" for row in rows):
        lines.append("darktable: preferences > AI > import from file, then choose the .dtmodel")
    return lines


def _best(rows: Sequence[Row], form: str) -> Row | None:
    """The file to show: recommended, fastest where that was measured, else fp16 before the rest."""
    held = [row for row in rows if row.format == form and row.recommended]
    rank = {"fp16": 0, "fp32": 1} if form == "coreml" else {"fp32": 0}
    timed = [row for row in held if row.ms is not None]
    if timed:
        return min(timed, key=lambda row: (row.size != "any", row.ms or 0.0))
    return min(held, key=lambda row: rank.get(row.precision, 2), default=None)


def _fill(text: str, row: Row, script: bool = False) -> str:
    image = row.image_io
    order = "1, height, width, 3" if image else "1, 3, height, width"
    element = ("uint8" if image else "float32") if script else ("u8" if image else "f32")
    return text.format(
        name=Path(row.file).name,
        size=row.size,
        pixels=IMAGE_PIXELS if image else FLOAT_PIXELS,
        shape=order,
        type="uint8_t" if image else "float",
        element=element,
        buffer="ByteBuffer" if image else "FloatBuffer",
        kind=", ai.onnxruntime.OnnxJavaType.UINT8" if image else "",
        get="byteBuffer" if image else "floatBuffer",
    )
