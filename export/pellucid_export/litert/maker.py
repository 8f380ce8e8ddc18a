"""LiteRT (formerly TensorFlow Lite): .tflite files for Android, by Google's litert-torch.

One size a file, since its converter takes fixed sides only. fp16 are float16 weights, which LiteRT
computes with in what the device has. Integers are not made: see docs/log of 2026-11-25.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.size import Size

from ..onnx.file import Run, from_levels, to_levels
from ..onnx.maker import SUFFIX, tail
from ..restoration import ImageRestoration
from ..source import ExportSource
from ..thresholds import ExportError
from .card import with_card

NEEDS = "LiteRT files need {}: pip install 'pellucid[litert]'"
NO_SIZE = "LiteRT files have fixed sides: ask for a size with --size, such as 1280x720"


class LiteRTMaker:
    """Writes litert/model_WxH.tflite and model_fp16_WxH.tflite; `_u8` for 8-bit pictures."""

    def __init__(self, source: ExportSource, sizes: tuple[Size | None, ...]) -> None:
        if None in sizes:
            raise ExportError(NO_SIZE)
        try:
            import ai_edge_litert.interpreter
            import ai_edge_quantizer
            import litert_torch
        except ImportError as error:
            raise ExportError(NEEDS.format(error.name)) from error
        self._converter: Any = litert_torch
        self._quantizer: Any = ai_edge_quantizer
        self._interpreter: Any = ai_edge_litert.interpreter
        self._source = source
        self._converted: dict[Size, bytes] = {}

    def place(self, precision: str, size: Size | None) -> Path:
        return (
            Path("litert") / f"model{tail(SUFFIX[precision], size, self._source.image_io)}.tflite"
        )

    def make(self, precision: str, size: Size | None, keep: tuple[str, ...], folder: Path) -> Path:
        assert size is not None  # refused by __init__
        if precision == "fp16":
            _ = self._source.half_restoration  # refuses what float16 cannot hold
        if size not in self._converted:
            self._converted[size] = self._convert(size, folder)
        data = self._converted[size]
        if precision == "fp16":
            data = self._halved(data)
        path = folder / self.place(precision, size).name
        path.write_bytes(with_card(data, self._source.card))
        return path

    def runner(self, path: Path, size: Size | None, threads: int) -> Run:
        interpreter = self._interpreter.Interpreter(str(path), num_threads=threads)
        run_signature = interpreter.get_signature_runner()
        image_io = self._source.image_io

        def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
            out = run_signature(input=to_levels(image) if image_io else image)["output"]
            return from_levels(out) if image_io else np.array(out, np.float32)

        return run

    def _convert(self, size: Size, folder: Path) -> bytes:
        image_io, restoration = self._source.image_io, self._source.restoration
        module: nn.Module = ImageRestoration(restoration) if image_io else restoration
        example = torch.rand(1, 3, *size)
        if image_io:
            example = torch.zeros(1, *size, 3, dtype=torch.uint8)
        one = _OnePort(module, restoration.defaults).eval()
        converted = self._converter.convert(one, sample_kwargs={"input": example})
        path = folder / "float.tflite"
        converted.export(str(path))
        data = path.read_bytes()
        path.unlink()
        return data

    def _halved(self, data: bytes) -> bytes:
        """float16 weights in place of float32 ones; inputs and outputs stay as they are."""
        kinds = self._quantizer.qtyping
        quantizer = self._quantizer.quantizer.Quantizer(bytearray(data))
        weights = kinds.TensorQuantizationConfig(num_bits=16, dtype=kinds.TensorDataType.FLOAT)
        quantizer.update_quantization_recipe(
            regex=".*",
            operation_name=kinds.TFLOperationName.ALL_SUPPORTED,
            op_config=kinds.OpQuantizationConfig(
                weight_tensor_config=weights, compute_precision=kinds.ComputePrecision.FLOAT
            ),
            algorithm_key="float_casting",
        )
        return bytes(quantizer.quantize().quantized_model)


class _OnePort(nn.Module):
    """`input` -> `output`, all else measured inside; a dictionary, whose key names the port."""

    def __init__(self, module: nn.Module, defaults: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.module = module
        self.defaults = nn.ParameterList([nn.Parameter(t, False) for t in defaults.values()])

    def forward(self, input: Tensor) -> dict[str, Tensor]:
        return {"output": self.module(input, *self.defaults)}
