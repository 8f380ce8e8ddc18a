"""Core ML: an ML Program for iOS 17 and macOS 14, pictures in and out with scaling in the graph.

Written and checked on any machine; only Core ML itself, which runs it, needs an Apple device.
"""

import json
import logging
import sys
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid.size import Size, rounded_up, size_text

from ..card import KEY
from ..onnx.file import Run, from_levels, to_levels
from ..restoration import AnyRestoration, PlainRestoration, make_restoration
from ..source import ExportSource
from ..thresholds import ExportError, QualityError
from .mil.headroom import headroom
from .mil.program import Program
from .reproducible import make_reproducible

# Sizes that Core ML may plan for in advance; a free range would keep it off the Neural Engine.
DEFAULT_SIZES = ((256, 256), (512, 512), (384, 640), (640, 384), (720, 1280), (1280, 720))
SUFFIX = {"fp32": "_fp32", "fp16": "", "w8a8": "_w8a8", "w8": "_w8", "w6p": "_w6p"}
PICTURES = 8  # for ranges: the evaluator takes a second a picture


class CoreMLMaker:
    """Writes coreml/<id>.mlpackage; fp16 is what devices compute in and has the plain name.

    sizes: the (H, W) of all packages together; None stands for DEFAULT_SIZES. One package takes all
    of them (enumerated shapes).
    """

    def __init__(self, source: ExportSource, sizes: tuple[Size | None, ...]) -> None:
        coremltools = import_coremltools()
        self._tools: Any = coremltools
        self._source = source
        self.sizes = enumerated(sizes, source.student.config.multiple)

    def place(self, precision: str, size: Size | None) -> Path:
        ports = "_image" if self._source.image_io else ""
        return Path("coreml") / f"{self._source.id}{SUFFIX[precision]}{ports}.mlpackage"

    @property
    def validation_size(self) -> Size:
        return min(self.sizes, key=lambda size: size[0] * size[1])

    def make(self, precision: str, size: Size | None, keep: tuple[str, ...], folder: Path) -> Path:
        source = self._source
        if precision != "fp32":
            _ = source.half_restoration  # refuses what float16 cannot hold, and names the layer
        if precision in ("fp16", "w8", "w6p"):
            model = self._half
        else:
            corrected = precision == "w8a8"
            restoration = self._corrected(keep) if corrected else source.restoration
            model = self._convert(restoration, precision)
        if precision in ("w8a8", "w8", "w6p"):
            from .quantise import compress

            model = compress(
                model,
                precision,
                keep,
                self._fed(source.calibration(self.validation_size, PICTURES)),
            )
        self._describe(model)
        path = folder / self.place(precision, size).name
        model.save(str(path))
        make_reproducible(path)
        if precision != "fp32":
            self._refuse_overflow(path)
        return path

    @cached_property
    def _half(self) -> Any:
        """The fp16 model, and what those with smaller weights are made from."""
        return self._convert(self._source.restoration, "fp16")

    def runner(self, path: Path, size: Size | None, threads: int) -> Run:
        program, image_io = Program.load(path), self._source.image_io

        def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
            fed = to_levels(image)[0] if image_io else image
            out = program.run({"input": fed})["output"]
            return from_levels(out[None]) if image_io else np.asarray(out, np.float32)

        return run

    def _fed(self, pictures: list[NDArray[np.float32]]) -> list[dict[str, NDArray[Any]]]:
        image_io = self._source.image_io
        return [{"input": to_levels(p)[0] if image_io else p} for p in pictures]

    def _corrected(self, keep: tuple[str, ...]) -> AnyRestoration:
        """Biases that make up for the mean shift of rounding, but for the layers left alone."""
        restoration = make_restoration(self._source.student, self._source.steps).eval()
        layers = dict(restoration.student.named_modules())
        for name, shift in self._source.sensitivity.shifts.items():
            layer = layers[name]
            bias = layer.bias
            # Transposed convolutions are not quantised: see coreml_quantise.
            if name in keep or isinstance(layer, torch.nn.ConvTranspose2d):
                continue
            if isinstance(bias, torch.Tensor):
                with torch.no_grad():
                    bias.sub_(torch.from_numpy(shift))
        return restoration

    def _convert(self, restoration: AnyRestoration, precision: str) -> Any:
        tools, image_io = self._tools, self._source.image_io
        shapes = [(1, 3, *size) for size in self.sizes]
        default = (1, 3, *self.validation_size)
        shape = (
            tools.EnumeratedShapes(shapes=shapes, default=default) if len(shapes) > 1 else default
        )
        rgb = tools.colorlayout.RGB
        if image_io:
            taken = tools.ImageType("input", shape=shape, scale=1 / 255.0, color_layout=rgb)
            given = tools.ImageType("output", color_layout=rgb)
        else:
            taken, given = tools.TensorType("input", shape=shape), tools.TensorType("output")
        plain = PlainRestoration(restoration, 255.0 if image_io else 1.0).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch.jit and of protobuf
            trace: Any = torch.jit.trace  # untyped
            traced = trace(plain, torch.rand(*default), check_trace=False)
            return tools.convert(
                traced,
                convert_to="mlprogram",
                minimum_deployment_target=tools.target.iOS17,
                inputs=[taken],
                outputs=[given],
                compute_precision=tools.precision.FLOAT32
                if precision == "fp32"
                else tools.precision.FLOAT16,
                skip_model_load=True,
            )

    def _describe(self, model: Any) -> None:
        card = self._source.card
        model.author = "pellucid"
        model.license = str(card["license"])
        model.short_description = str(card["purpose"])
        model.version = str(card["version"])
        model.input_description["input"] = "degraded sRGB picture"
        size = "of the same size" if card["scale"] == 1 else f"{card['scale']} times as large"
        model.output_description["output"] = f"restored sRGB picture {size}"
        model.user_defined_metadata[KEY] = json.dumps(card)

    def _refuse_overflow(self, path: Path) -> None:
        pictures = self._fed(self._source.calibration(self.validation_size, 2))
        first = headroom(path, pictures).first_overflow
        if first is not None:
            raise QualityError(
                f"float16 overflows in {path.name}: first in {first.op} {first.name}; "
                "export fp32, or train with a limit on activations"
            )


def import_coremltools() -> Any:
    """coremltools without its warnings about the missing macOS. Raises ExportError if absent."""
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    try:
        import coremltools
    except ImportError as error:
        if sys.platform == "win32":
            raise ExportError(
                "coremltools does not run on Windows; use Linux, macOS or WSL"
            ) from error
        raise ExportError(
            f"Core ML packages need {error.name}: pip install 'pellucid[coreml]'"
        ) from error
    return coremltools


def enumerated(sizes: tuple[Size | None, ...], multiple: int) -> tuple[Size, ...]:
    """The sizes of a package; None stands for the default ones that fit.

    Raises ExportError for sides that are no multiples: Core ML would need arithmetic on sizes to
    pad them, and that keeps a model off the Neural Engine.
    """
    wanted: list[Size] = []
    for size in sizes:
        wanted += [size] if size is not None else DEFAULT_SIZES
    for size in wanted:
        if size[0] % multiple or size[1] % multiple:
            raise ExportError(
                f"Core ML sizes must be multiples of {multiple}: instead of {size_text(size)} ask "
                f"for --size {size_text(rounded_up(size, multiple))} and pad the picture"
            )
    return tuple(dict.fromkeys(wanted))
