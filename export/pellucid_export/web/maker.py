"""Web pages as one of the formats: a network, what measures the scene, and a card, for
onnxruntime-web; float32, because WebAssembly has no half precision and integers gain little."""

import json
import shutil
from pathlib import Path

import onnx

from pellucid.size import Size

from ..onnx.estimator import estimator_graph
from ..onnx.file import Run
from ..onnx.maker import OnnxMaker
from ..source import ExportSource
from ..thresholds import ExportError
from .card import CARD, ESTIMATOR, MEASURE, NETWORK, web_card
from .cut import cut_for_web
from .node import NodeRunner, find_node

EXAMPLE = "example.html"


class WebMaker:
    """Writes web/model.onnx, and measure.onnx, estimator.onnx, card.json, example.html beside it.

    engine: folder with onnxruntime-web's own files.
    """

    def __init__(self, source: ExportSource, onnx_maker: OnnxMaker, engine: Path) -> None:
        self._source = source
        self._onnx = onnx_maker
        self._engine = engine
        if source.steps > 1:
            raise ExportError("web files hold one call, the page makes the steps; leave --steps")
        source.refuse_two_scales("web")
        find_node()

    def place(self, precision: str, size: Size | None) -> Path:
        return Path("web") / NETWORK

    def make(self, precision: str, size: Size | None, keep: tuple[str, ...], folder: Path) -> Path:
        estimator = self._source.estimator
        amounts = 0 if estimator is None else estimator.out.out_features
        models = cut_for_web(self._onnx.finished("fp32", None, image_io=False), amounts)
        onnx.save(models.network, folder / NETWORK)
        onnx.save(models.measure, folder / MEASURE)
        if estimator is not None:
            onnx.save(estimator_graph(estimator), folder / ESTIMATOR)
        card = web_card(self._source.card, self._source.restoration)
        (folder / CARD).write_text(json.dumps(card) + "\n", "utf-8")
        shutil.copy(Path(__file__).with_name(EXAMPLE), folder / EXAMPLE)
        return folder / NETWORK

    def runner(self, path: Path, size: Size | None, threads: int) -> Run:
        return NodeRunner(path.parent, self._engine, self._source.student.config.multiple)
