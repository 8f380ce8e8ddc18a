"""ONNX Runtime sessions with the settings with which pellucid restores."""

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ModelError

if TYPE_CHECKING:
    import onnxruntime

CPU = "CPUExecutionProvider"


def session_options(threads: int) -> "onnxruntime.SessionOptions":
    """The settings with which pellucid restores."""
    import onnxruntime  # here, so that `import pellucid` stays quick

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Spinning workers burn a core between tiles and frames for about a tenth of the latency.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # sizes change from photo to photo
    options.log_severity_level = 3  # silent about the overridable `scene`
    return options


def open_session(
    model: Path | bytes, threads: int = 1, name: object = "model"
) -> "onnxruntime.InferenceSession":
    """A session on the CPU. name: of the model, for the error. Raises ModelError."""
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(model, session_options(threads), providers=[CPU])
    except Exception as error:  # ONNX Runtime has no public base class for its errors
        raise ModelError(
            f"{name}: not a model ONNX Runtime can load ({first_line(error)})"
        ) from error


def first_line(error: Exception) -> str:
    """Of an error's message, at most 300 characters; its kind where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
