"""What four NPU targets take, as data. Every rule names its source; measured ones their date.

Rules of Apple's engine come from measurements by others, since Apple publishes none.
"""

from collections.abc import Callable

from .graph import Graph, Layer
from .rule import Rule, Target, Verdict

ANE_GUIDE = "ane-guide.readthedocs.io, ch. 4, 17 and app. A (measured by its authors)"
COREMLTOOLS = "coremltools 9.0 refuses such programs at conversion"
OPENVINO = "docs.openvino.ai, Supported Devices and NPU Device"
NPU_COMPILER = "github.com/openvinotoolkit/npu_compiler, IE dialect"
QNN = "onnxruntime.ai, QNN Execution Provider, supported operators"
EMULATOR = "HTP emulator of onnxruntime-qnn 2.7.0, measured 2026-11-21"
NNAPI = "onnxruntime, tools/mobile_helpers/nnapi_supported_ops.md"
ANDROID = "developer.android.com, NNAPI: tensors have at most 4 dimensions"
LITERT = "ai.google.dev/edge/litert, operator and delegate lists"

FIXED_SIZE = "export for fixed sizes: --size WxH"
ONE_CONV = (
    "write pixel-unshuffle and the convolution behind it as one strided convolution "
    "(pellucid_export.onnx.rewrites)"
)

_ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Abs", "Neg", "Exp", "Log", "Sqrt", "Pow"}
_ACTIVATIONS = {"Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "Tanh", "Softmax", "Elu"}
_SHAPES = {"Concat", "Split", "Slice", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"}
_LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "AveragePool", "MaxPool"}
_POOLS = {"GlobalAveragePool", "GlobalMaxPool"}
_REDUCTIONS = {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"}
_COMPARE = {"Less", "Greater", "Equal", "LessOrEqual", "GreaterOrEqual", "Where"}
_PIXELS = {"DepthToSpace", "SpaceToDepth", "Pad", "Resize"}
_PLAIN = {"Identity", "Cast"}
_COMMON = frozenset(
    _ARITHMETIC
    | _ACTIVATIONS
    | _SHAPES
    | _LAYERS
    | _POOLS
    | _REDUCTIONS
    | _COMPARE
    | _PIXELS
    | _PLAIN
)
_NO_OPS: frozenset[str] = frozenset()

Test = Callable[[Layer, Graph], bool]


def _always(layer: Layer, graph: Graph) -> bool:
    return True


def _free(layer: Layer, graph: Graph) -> bool:
    return layer.free and not graph.enumerated


def _rank_above(limit: int) -> Test:
    return lambda layer, graph: layer.rank > limit


def _sides(layer: Layer) -> list[int]:
    return [s for t in (*layer.inputs, *layer.outputs) if t and len(t) == 4 for s in t[2:] if s]


def _too_large(layer: Layer, graph: Graph) -> bool:
    return max(_sides(layer), default=0) > 16384


def _odd_factor(layer: Layer, graph: Graph) -> bool:
    return layer.attributes.get("blocksize", 2) not in (2, 3, 4, 8)


def _pads(*modes: bytes) -> Test:
    """Pads in one of these modes, and not by nothing at all."""
    return lambda layer, graph: (
        layer.attributes.get("mode", b"constant") in modes and layer.inputs[:1] != layer.outputs[:1]
    )


def _crd(layer: Layer, graph: Graph) -> bool:
    return graph.kind == "onnx" and layer.attributes.get("mode", b"DCR") == b"CRD"


def _fp32_product(layer: Layer, graph: Graph) -> bool:
    return graph.kind == "mlpackage" and layer.dtype == "float32" and layer.macs > 0


def _fp32_rest(layer: Layer, graph: Graph) -> bool:
    return graph.kind == "mlpackage" and layer.dtype == "float32" and layer.op != "Cast"


def _float_island(layer: Layer, graph: Graph) -> bool:
    """Computes in floats inside a graph that is quantised elsewhere."""
    moves = _SHAPES | _PLAIN
    return graph.quantised and not layer.quantised and layer.op not in moves


def _all_float(layer: Layer, graph: Graph) -> bool:
    return not graph.quantised and layer.macs > 0


def _no(*ops: str) -> frozenset[str]:
    return frozenset(ops)


ANE = Target(
    "ane",
    "Apple Neural Engine",
    _COMMON
    | _no("Reciprocal", "Sin", "Cos", "Erf", "Gelu", "Swish", "HardSigmoid", "HardSwish", "Gather")
    | _no("BatchNormalization", "InstanceNormalization", "LayerNormalization", "Tile", "Expand")
    | _no(
        "GroupNormalization", "Floor", "Ceil", "Round", "Softplus", "Softsign", "ConstantOfShape"
    ),
    ANE_GUIDE,
    (
        Rule(
            Verdict.UNSUPPORTED,
            _NO_OPS,
            _free,
            "sizes are not fixed, and arithmetic on sizes has no path to the engine",
            FIXED_SIZE + ", or enumerated sizes in Core ML",
            ANE_GUIDE,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            _NO_OPS,
            _rank_above(5),
            "a tensor has more than 5 dimensions",
            ONE_CONV,
            COREMLTOOLS,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            _no("Shape", "ScatterND", "ScatterElements", "ReduceProd", "Mod", "And", "Or")
            | _no("NonZero", "OneHot", "RNN", "LSTM", "GRU", "RandomNormal", "RandomNormalLike"),
            _always,
            "this op has no path to the engine",
            "compute it on the host or fold it into a constant",
            ANE_GUIDE,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            _NO_OPS,
            _too_large,
            "a side is longer than 16384",
            "run in tiles",
            ANE_GUIDE,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            _NO_OPS,
            _fp32_product,
            "the engine computes in fp16 only; fp32 layers run on the CPU or GPU",
            "convert with compute_precision FLOAT16",
            ANE_GUIDE,
        ),
        Rule(
            Verdict.SLOW,
            _NO_OPS,
            _fp32_rest,
            "an fp32 layer at the edge of the program runs on the CPU",
            "use fp16 inputs and outputs (iOS 16 and later), or accept one pass over the picture",
            ANE_GUIDE,
        ),
        Rule(
            Verdict.SLOW,
            _no("Conv", "ConvTranspose"),
            lambda layer, graph: max(layer.kernel, default=0) > 13,
            "kernels above 13 are split",
            "stack smaller kernels",
            ANE_GUIDE,
        ),
        Rule(
            Verdict.SLOW,
            _no("DepthToSpace", "SpaceToDepth"),
            _odd_factor,
            "factors other than 2, 3, 4 and 8 are not native",
            "use a factor of 2, 3, 4 or 8",
            ANE_GUIDE,
        ),
        Rule(
            Verdict.SLOW,
            _no("Sin", "Cos"),
            _always,
            "sines run natively only from A15 and M3 on",
            "bake the time embedding into constants",
            ANE_GUIDE,
        ),
        Rule(
            Verdict.SLOW,
            _no("Resize"),
            _always,
            "resizing falls back to software on M1",
            "use a transposed convolution or pixel-shuffle",
            ANE_GUIDE,
        ),
        Rule(
            Verdict.SLOW,
            _no("GroupNormalization"),
            _always,
            "it becomes reshapes of rank 5 and reductions",
            "use a norm that folds into the convolution, or none",
            ANE_GUIDE,
        ),
        Rule(
            Verdict.SLOW,
            _no("Pad"),
            _pads(b"reflect"),
            "reflecting pads are native only from M2 on",
            "pad on the host or with zeros",
            ANE_GUIDE,
        ),
    ),
    ("every dispatch costs about 0.23 ms, so few large graphs beat many small ones (ane-guide)",),
)

INTEL = Target(
    "intel-npu",
    "Intel NPU",
    _COMMON
    | _no("Reciprocal", "Sin", "Cos", "Erf", "Gelu", "HardSigmoid", "HardSwish", "Gather", "Tile")
    | _no("BatchNormalization", "InstanceNormalization", "LayerNormalization", "Expand", "Mod")
    | _no("GroupNormalization", "Floor", "Ceil", "Round", "Softplus", "CumSum", "TopK", "Sign"),
    NPU_COMPILER,
    (
        Rule(
            Verdict.UNSUPPORTED,
            _NO_OPS,
            _free,
            "the NPU takes fixed sizes only",
            FIXED_SIZE + ", or model.reshape(...) in OpenVINO",
            OPENVINO,
        ),
        Rule(
            Verdict.SLOW,
            _NO_OPS,
            _rank_above(5),
            "tensors above 5 dimensions: whether they compile was not verified",
            ONE_CONV,
            NPU_COMPILER,
        ),
        Rule(
            Verdict.SLOW,
            _no("ReduceMin", "ReduceMax", "ReduceL1", "ReduceL2"),
            _always,
            "this reduction is generated for the DSPs (SHAVE), not for the MAC array",
            "measure the scene on the host and feed it",
            NPU_COMPILER,
        ),
    ),
    (
        "computes in fp16, or in int8 where the file is quantised; batch 1 (docs.openvino.ai)",
        "HETERO does not take the NPU: one layer it lacks keeps the whole file off it",
    ),
)

HTP = Target(
    "htp",
    "Qualcomm HTP",
    _COMMON
    | _no("BatchNormalization", "LayerNormalization", "Gather", "Gelu", "GridSample", "HardSwish")
    | _no("LRN", "LogSoftmax", "LpNormalization", "Round", "Sign", "Sin", "Cos", "Tile", "TopK")
    | _no("Expand", "Floor", "And", "Or", "Not", "ArgMax", "ArgMin", "Atan")
    | _no("Reciprocal"),
    QNN,
    (
        Rule(
            Verdict.UNSUPPORTED,
            _NO_OPS,
            _free,
            "the HTP takes fixed sizes only",
            FIXED_SIZE,
            QNN,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            _NO_OPS,
            _float_island,
            "a layer in floats inside a quantised graph: the graph does not compile",
            "quantise every op: pellucid export -f htp -p w8a16 --size WxH",
            EMULATOR,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            frozenset(_COMPARE) | _no("Gather", "Elu", "Round", "Atan", "LpNormalization"),
            lambda layer, graph: not layer.quantised,
            "listed, yet a graph with it does not compile in floats",
            "leave it to the host: pellucid export -f htp -p w8a16 --size WxH",
            EMULATOR,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            _no("InstanceNormalization", "GroupNormalization"),
            _always,
            "the graph does not compile",
            "use a norm that folds into the convolution, or none",
            EMULATOR,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            _NO_OPS,
            _rank_above(6),
            "a tensor has more than 6 dimensions",
            ONE_CONV,
            EMULATOR,
        ),
        Rule(
            Verdict.SLOW,
            _NO_OPS,
            _rank_above(5),
            "a tensor has more than 5 dimensions: refused alone, taken after layout changes",
            ONE_CONV,
            EMULATOR,
        ),
        Rule(
            Verdict.SLOW,
            _NO_OPS,
            _all_float,
            "floats run as fp16, on newer HTPs only and at half the rate or less",
            "quantise every op: pellucid export -f htp -p w8a16 --size WxH",
            QNN,
        ),
    ),
    ("the emulator answers better where it is installed: pellucid_export.htp.emulator",),
)

ANDROID_NPUS = Target(
    "litert",
    "LiteRT / NNAPI",
    _COMMON
    | _no("Gelu", "HardSwish", "HardSigmoid", "Floor", "Ceil", "Round", "Sin", "Cos", "Gather")
    | _no("BatchNormalization", "ArgMax", "ArgMin", "CumSum", "TopK", "Tile", "ReduceProd", "Sign"),
    LITERT,
    (
        Rule(
            Verdict.UNSUPPORTED,
            _NO_OPS,
            _free,
            "delegates take fixed sizes only",
            FIXED_SIZE,
            LITERT,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            _NO_OPS,
            _rank_above(4),
            "a tensor has more than 4 dimensions",
            ONE_CONV,
            ANDROID,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            _no("DepthToSpace"),
            _crd,
            "only the channel order DCR exists there, the file has CRD",
            "reorder the channels of the convolution before it (pellucid_export.onnx.rewrites)",
            NNAPI,
        ),
        Rule(
            Verdict.UNSUPPORTED,
            _no("Pad"),
            _pads(b"edge", b"wrap"),
            "padding by repeating the edge does not exist there",
            "pad on the host: export for sizes that need none",
            NNAPI,
        ),
        Rule(
            Verdict.SLOW,
            _no("ReduceMin", "ReduceMax", "ReduceProd", "CumSum", "TopK"),
            _always,
            "built in, but no delegate takes it: it runs on the CPU and splits the graph",
            "measure the scene on the host and feed it",
            LITERT,
        ),
        Rule(
            Verdict.SLOW,
            frozenset(_COMPARE) | _no("Gather", "Tile"),
            _always,
            "comparisons and look-ups leave the delegate on most phones",
            "decide on the host: feed the scene code as an ordinary input",
            LITERT,
        ),
    ),
    ("NNAPI is deprecated from Android 15 on: use LiteRT's GPU and NPU delegates",),
)

TARGETS = {target.key: target for target in (ANE, INTEL, HTP, ANDROID_NPUS)}
