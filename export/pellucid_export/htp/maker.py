"""Qualcomm's HTP as one of the formats: integers throughout, one size, vectors from the host."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from pellucid.session import open_session
from pellucid.size import Size, rounded_up, size_text

from ..onnx.file import Run
from ..onnx.maker import OnnxMaker
from ..source import ExportSource
from ..thresholds import ExportError
from .model import htp_model

BITS = {"w8a8": 8, "w8a16": 16}
CODE = "model_code.onnx"


class HTPMaker:
    """Writes htp/model_w8a16_WxH.onnx and the host's part, htp/model_code.onnx, of any size.

    The name tells bits as Qualcomm's own model zoo does.
    """

    def __init__(
        self, source: ExportSource, onnx_maker: OnnxMaker, sizes: tuple[Size | None, ...]
    ) -> None:
        self._source = source
        self._onnx = onnx_maker
        if source.steps > 1:
            raise ExportError(
                "files for the HTP hold one call: a later one measures anew what the first has left"
                "; leave --steps away"
            )
        source.refuse_two_scales("HTP")
        multiple = source.student.config.multiple
        for size in sizes:
            if size is None:
                raise ExportError(
                    "the HTP takes fixed sizes only: ask for one with --size, such as 1280x720"
                )
            if size[0] % multiple or size[1] % multiple:
                raise ExportError(
                    f"the HTP has no padding: its sides must be multiples of {multiple}; instead "
                    f"of {size_text(size)} ask for --size {size_text(rounded_up(size, multiple))}"
                )

    def place(self, precision: str, size: Size | None) -> Path:
        assert size is not None  # refused by __init__
        return Path("htp") / f"model_{precision}_{size_text(size)}.onnx"

    def make(self, precision: str, size: Size | None, keep: tuple[str, ...], folder: Path) -> Path:
        """keep: of no use, since the HTP takes no graph of two precisions."""
        assert size is not None
        whole = self._onnx.traced("fp32", None, image_io=False)
        files = htp_model(whole, *size, self._source.calibration(size), BITS[precision])
        path = folder / self.place(precision, size).name
        onnx.save(files.network, path)
        onnx.save(files.code, folder / CODE)
        return path

    def runner(self, path: Path, size: Size | None, threads: int) -> Run:
        """Host's part and HTP's part in turn, both by ONNX Runtime's CPU kernels."""
        code, network = open_session(path.parent / CODE, threads), open_session(path, threads)
        names = [port.name for port in code.get_outputs()]

        def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
            vectors = dict(zip(names, code.run(names, {"input": image}), strict=True))
            return np.asarray(network.run(["output"], {"input": image, **vectors})[0])

        return run
