"""What is to be exported: formats, precisions, sizes and ports, read from what a user typed."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pellucid.size import Size, parse_size

from .onnx import opset as opsets
from .targets import LOADS
from .thresholds import ExportError

# w8a8: int8 weights and activations; w8a16: activations in 16 bits. w8: int8 weights. w6p: weights
# from a palette of 64 values.
SUPPORTED = {
    "onnx": ("fp32", "fp16", "w8a8"),
    "openvino": ("fp32", "fp16", "w8a8"),
    "coreml": ("fp32", "fp16", "w8a8", "w8", "w6p"),
    "darktable": ("fp32", "fp16"),
    "htp": ("w8a8", "w8a16"),
    "web": ("fp32",),
    "litert": ("fp32", "fp16"),
}
ANY_SIZE = ("onnx", "openvino", "coreml", "darktable")  # what `all` names
PRECISIONS = ("fp32", "fp16", "w8a8", "w8a16", "w8", "w6p")
INTEGER = frozenset({"w8a8", "w8a16", "w8", "w6p"})
ALSO_CALLED = {
    "float": "fp32", "float32": "fp32", "half": "fp16", "float16": "fp16", "int8": "w8a8",
    "mlpackage": "coreml", "ml": "coreml", "ov": "openvino", "ir": "openvino",
    "dtmodel": "darktable", "qnn": "htp", "qualcomm": "htp", "int16": "w8a16",
    "apple": "ane", "npu": "intel-npu", "openvino-npu": "intel-npu", "nnapi": "litert",
    "tflite": "litert", "hexagon": "htp", "browser": "web", "wasm": "web", "webgpu": "web",
}  # fmt: skip
PORTS = ("float", "image")
SMALLEST_SIDE = 8  # px


@dataclass(frozen=True)
class Request:
    """sizes: (H, W) of files with fixed sides, None for any size. image_io: 8-bit pictures in and
    out. max_drop: PSNR in dB that an integer file may lose on any task. threads: for `ms here`.
    targets: devices that must take every layer of the files they load (`targets.LOADS`).
    web_engine: folder of onnxruntime-web's files, with which web files are proved. opset: operator
    set of ONNX files."""

    formats: tuple[str, ...]
    precisions: tuple[str, ...]
    out: Path
    sizes: tuple[Size | None, ...] = (None,)
    image_io: bool = False
    steps: int = 1
    max_drop: float = 0.1
    threads: int = 1
    targets: tuple[str, ...] = ()
    web_engine: Path | None = None
    opset: int = opsets.DEFAULT

    def pairs(self) -> list[tuple[str, str]]:
        """(format, precision) that can be made, fp32 first within a format."""
        return [
            (form, precision)
            for form in self.formats
            for precision in PRECISIONS
            if precision in self.precisions and precision in SUPPORTED[form]
        ]

    def left_out(self) -> list[str]:
        """Asked-for combinations that no such file can hold, in words."""
        return [
            f"{form} {precision}: not made, {form} comes as {', '.join(SUPPORTED[form])}"
            for form in self.formats
            for precision in self.precisions
            if precision not in SUPPORTED[form]
        ]


def read_formats(text: str) -> tuple[str, ...]:
    """`onnx,coreml` -> names; `all` names those of any size. Raises ExportError with a hint."""
    return ANY_SIZE if text.strip() == "all" else _names(text, tuple(SUPPORTED), "format")


def read_precisions(text: str) -> tuple[str, ...]:
    return _names(text, PRECISIONS, "precision")


def read_targets(text: str) -> tuple[str, ...]:
    """`ane,htp` -> names; none for an empty text."""
    return _names(text, tuple(LOADS), "target") if text.strip() else ()


def read_ports(text: str) -> bool:
    """Whether the ports are 8-bit pictures."""
    return _names(text, PORTS, "kind of port") == ("image",)


def read_sizes(text: str) -> tuple[Size | None, ...]:
    """`dynamic,1280x720` -> (None, (720, 1280))."""
    words = _words(text)
    sizes = [None if word == "dynamic" else parse_size(word, SMALLEST_SIDE) for word in words]
    if not sizes:
        raise ExportError("--size is empty: expected dynamic or WIDTHxHEIGHT such as 1280x720")
    return tuple(dict.fromkeys(sizes))


def check_combinations(request: Request) -> None:
    """Raises ExportError for a format of which nothing at all can be made."""
    if not opsets.LOWEST <= request.opset <= opsets.HIGHEST:
        raise ExportError(
            f"no ONNX file in opset {request.opset}: expected {opsets.LOWEST} to {opsets.HIGHEST}; "
            f"leave --opset for {opsets.DEFAULT}, which the most programs load"
        )
    for form in request.formats:
        if not set(SUPPORTED[form]).intersection(request.precisions):
            raise ExportError(
                f"{form} cannot hold {', '.join(request.precisions)}; "
                f"ask for -p {','.join(SUPPORTED[form])}"
            )
        if form == "darktable" and (request.image_io or None not in request.sizes):
            raise ExportError(
                "darktable feeds float tiles of its own size; ask for it with --io float and "
                "--size dynamic"
            )
        if form == "web" and (request.image_io or None not in request.sizes):
            raise ExportError(
                "web files take float tiles of any size: --io float and --size dynamic"
            )
        if form == "htp" and request.image_io:
            raise ExportError("HTP files have float ports beside the host's vectors: --io float")
    for target in request.targets:
        if not set(LOADS[target]).intersection(request.formats):
            raise ExportError(
                f"nothing asked for is loaded by {target}; add -f {' or '.join(LOADS[target])}"
            )


def _names(text: str, known: tuple[str, ...], what: str) -> tuple[str, ...]:
    found = []
    for word in _words(text):
        if word not in known:
            raise ExportError(f"no {what} {word!r}; {_suggestion(word, known)}")
        found.append(word)
    if not found:
        raise ExportError(f"no {what} given; choose from {', '.join(known)}")
    return tuple(dict.fromkeys(found))


def _words(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",") if word.strip()]


def _suggestion(word: str, known: Sequence[str]) -> str:
    meant = ALSO_CALLED.get(word)
    near = [meant] if meant in known else difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}choose from {', '.join(known)}"
