"""ONNX as one of the formats: fp32, fp16, int8 by QDQ nodes; any size or fixed ones."""

from pathlib import Path

import onnx

from pellucid.size import Size, size_text

from ..quantise import quantise_onnx
from ..source import ExportSource
from .file import Run, embed_card, onnx_runner, to_onnx
from .opencv import rewrite_for_opencv
from .opset import DEFAULT, to_opset
from .rewrites import rewrite_for_devices

SUFFIX = {"fp32": "", "fp16": "_fp16", "w8a8": "_int8"}  # the names transformers.js looks for


class OnnxMaker:
    """Writes onnx/model.onnx, model_fp16.onnx, model_int8.onnx; sizes and ports in the name."""

    def __init__(self, source: ExportSource, opset: int = DEFAULT) -> None:
        self._source = source
        self._opset = opset
        self._traced: dict[tuple[str, Size | None, bool], onnx.ModelProto] = {}

    def place(self, precision: str, size: Size | None) -> Path:
        return Path("onnx") / f"model{tail(SUFFIX[precision], size, self._source.image_io)}.onnx"

    def make(self, precision: str, size: Size | None, keep: tuple[str, ...], folder: Path) -> Path:
        path = folder / self.place(precision, size).name
        onnx.save(self.model(precision, size, keep), path)
        return path

    def model(self, precision: str, size: Size | None, keep: tuple[str, ...]) -> onnx.ModelProto:
        source = self._source
        if precision != "w8a8":
            return self.finished(precision, size, source.image_io)
        made = quantise_onnx(
            self.traced("fp32", size, source.image_io),
            source.calibration(size),
            keep,
            source.sensitivity.shifts,
            source.image_io,
        )
        self._finish(made, size)
        embed_card(made, source.card, source.student)
        return made

    def finished(self, precision: str, size: Size | None, image_io: bool) -> onnx.ModelProto:
        """A copy of a float graph, rewritten into ops that NPUs have."""
        model = onnx.ModelProto()
        model.CopyFrom(self.traced(precision, size, image_io))
        rewrite_for_devices(model)
        self._finish(model, size)
        return model

    def _finish(self, model: onnx.ModelProto, size: Size | None) -> None:
        if size is not None:
            rewrite_for_opencv(model)
        to_opset(model, self._opset)

    def traced(self, precision: str, size: Size | None, image_io: bool) -> onnx.ModelProto:
        """A float graph, traced once however many files are made of it."""
        source, key = self._source, (precision, size, image_io)
        if key not in self._traced:
            half = precision == "fp16"
            restoration = source.half_restoration if half else source.restoration
            self._traced[key] = to_onnx(restoration, source.card, size, image_io)
        return self._traced[key]

    def runner(self, path: Path, size: Size | None, threads: int) -> Run:
        return onnx_runner(path, self._source.image_io, threads)


def tail(suffix: str, size: Size | None, image_io: bool) -> str:
    """The end of a file's name: precision, ports, size."""
    ports = "_u8" if image_io else ""
    sides = f"_{size_text(size)}" if size else ""
    return f"{suffix}{ports}{sides}"
