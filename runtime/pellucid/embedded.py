"""Graphs that a model's file carries in its metadata, beside its own: base64 of an ONNX file."""

import base64
from typing import TYPE_CHECKING, Any

from .errors import ModelError

if TYPE_CHECKING:
    import onnxruntime


def embedded_graph(metadata: dict[str, str], key: str) -> bytes | None:
    """The ONNX file in the metadata entry `key`; None without one.

    Raises ModelError if the entry is damaged.
    """
    text = metadata.get(key)
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ModelError(
            f"the model's {key} entry is damaged ({error}); export the model again"
        ) from error


def open_graph(graph: bytes, name: str, options: Any = None) -> "onnxruntime.InferenceSession":
    """A session on the CPU. name: of the graph, for errors. options: of the session, None for ONNX
    Runtime's own. Raises ModelError if it cannot be loaded."""
    import onnxruntime  # here, so that `import pellucid` stays quick

    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no public base class for its errors
        raise ModelError(
            f"the model's {name} cannot be loaded ({error}); export the model again"
        ) from error
