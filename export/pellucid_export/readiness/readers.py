"""The layers of any exported file: ONNX, Core ML's package, or OpenVINO's IR."""

from pathlib import Path

from .graph import Graph
from .graph_ir import read_ir
from .graph_mil import read_package
from .graph_onnx import read_onnx


def read_graph(path: Path, height: int | None = None, width: int | None = None) -> Graph:
    """The layers of an .onnx file, an .mlpackage folder or an OpenVINO .xml, in the file's order.

    height, width: fix the free sizes of an ONNX file's pictures to these; other free sizes become
    1. Files with fixed sizes keep theirs. Raises GraphError.
    """
    if path.suffix == ".mlpackage":
        return read_package(path)
    if path.suffix == ".xml":
        return read_ir(path)
    return read_onnx(path, height, width)
