"""A file opened on a target, whatever the engine."""

from pathlib import Path

from ..errors import ModelError
from .calls_coreml import open_coreml
from .calls_onnxruntime import open_onnxruntime
from .calls_openvino import open_openvino
from .opened import Opened
from .targets import Target


def open_call(
    target: Target,
    path: Path,
    size: tuple[int, int],
    threads: int,
    strict: bool = False,
    layers: bool = False,
) -> Opened:
    """Load and compile a file for pictures of (height, width).

    strict: refuse layers that would run elsewhere. layers: count the time of each layer, which
    slows the calls. Raises ModelError with the reason.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    try:
        if target.engine == "coreml":
            return open_coreml(target, path, size, strict)
        opener = open_openvino if target.engine == "openvino" else open_onnxruntime
        return opener(target, path, size, threads, strict, layers)
    except ModelError:
        raise
    except Exception as error:  # no engine has a base class for its errors
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = (lines[-1] if target.engine == "openvino" else lines[0]) if lines else repr(error)
        raise ModelError(f"not loaded: {reason[:240]}") from error
