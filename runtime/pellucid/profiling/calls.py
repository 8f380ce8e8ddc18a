"""A file opened on a device, as a call without arguments that runs one inference."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..card import KEY, ModelCard, read_card
from ..errors import ModelError
from .targets import NO_OPENVINO, Target

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Opened:
    """call: one inference. placed: the device that the engine says it uses; "" where it runs as
    asked. events: ends profiling and gives the engine's raw per-layer events."""

    call: Callable[[], object]
    card: ModelCard
    placed: str = ""
    events: Callable[[], list[dict[str, Any]]] = list


def onnxruntime_options(threads: int) -> Any:
    """The settings with which pellucid restores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    return options


def onnxruntime_call(model: bytes, feed: Array, threads: int) -> Callable[[], object]:
    """One inference of a network with the port `input`, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model, onnxruntime_options(threads), providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"input": feed})


def open_call(
    target: Target,
    path: Path,
    size: tuple[int, int],
    threads: int,
    strict: bool = False,
    layers: bool = False,
) -> Opened:
    """Load and compile a file for pictures of (height, width).

    strict: refuse layers that would run elsewhere. layers: collect times a layer, which slows it.
    Raises ModelError with the reason.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    opener = _open_openvino if target.engine == "openvino" else _open_onnxruntime
    try:
        return opener(target, path, size, threads, strict, layers)
    except ModelError:
        raise
    except Exception as error:  # neither engine has a base class for its errors
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = (lines[-1] if target.engine == "openvino" else lines[0]) if lines else repr(error)
        raise ModelError(f"not loaded: {told[:240]}") from error


def _open_onnxruntime(
    target: Target, path: Path, size: tuple[int, int], threads: int, strict: bool, layers: bool
) -> Opened:
    import onnxruntime

    if path.suffix != ".onnx":
        raise ModelError(f"ONNX Runtime reads .onnx files, not {path.suffix or 'folders'}")
    options = onnxruntime_options(threads)
    folder = tempfile.TemporaryDirectory() if layers else None
    if folder is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder.name) / "layers")
    providers = [target.device]
    if target.kind != "cpu":
        if strict:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        else:
            providers.append("CPUExecutionProvider")
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    ports = session.get_inputs()
    if len(ports) != 1 or ports[0].type != "tensor(float)":
        told = ", ".join(f"{port.name} {port.type} {port.shape}" for port in ports)
        raise ModelError(f"expected one float32 input, got {told}")
    feeds = {ports[0].name: _picture(ports[0].shape, size)}
    card = read_card(dict(session.get_modelmeta().custom_metadata_map), path.stem)
    used = session.get_providers()[0]

    def events() -> list[dict[str, Any]]:
        written = Path(session.end_profiling())
        told: list[dict[str, Any]] = json.loads(written.read_text())
        if folder is not None:
            folder.cleanup()
        return told

    placed = "" if used == target.device else used
    return Opened(lambda: session.run(None, feeds), card, placed, events)


def _open_openvino(
    target: Target, path: Path, size: tuple[int, int], threads: int, strict: bool, layers: bool
) -> Opened:
    try:
        import openvino
    except ImportError as error:
        raise ModelError(NO_OPENVINO) from error
    if path.suffix not in (".onnx", ".xml"):
        raise ModelError(f"OpenVINO reads .onnx and .xml files, not {path.suffix or 'folders'}")
    core: Any = openvino.Core()
    model: Any = core.read_model(path)
    if len(model.inputs) != 1:
        raise ModelError(f"expected one input, got {len(model.inputs)}")
    sides = [d.get_length() if d.is_static else None for d in model.input(0).get_partial_shape()]
    feed = _picture(sides, size)
    model.reshape({0: list(feed.shape)})
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if target.kind == "cpu":
        settings |= {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    if layers:
        settings["PERF_COUNT"] = True
    card = read_card(_metadata(model), path.stem)
    compiled = core.compile_model(model, target.device, settings)
    request = compiled.create_infer_request()
    used = ",".join(compiled.get_property("EXECUTION_DEVICES"))
    told: list[dict[str, Any]] = []

    def call() -> object:
        result = request.infer([feed], share_inputs=True)
        if layers:
            told.extend(
                {
                    "name": info.node_name,
                    "op": info.node_type,
                    "kernel": info.exec_type,
                    "us": info.real_time.total_seconds() * 1e6,
                    "device": used,
                }
                for info in request.profiling_info
                if info.status == info.Status.EXECUTED
            )
        return result

    same = used.split(".")[0] == target.device.split(".")[0]
    return Opened(call, card, "" if same else used, lambda: told)


def _metadata(model: Any) -> dict[str, str]:
    for place in (["framework", KEY], ["model_info", KEY], [KEY]):
        if model.has_rt_info(place):
            return {KEY: str(model.get_rt_info(place).astype(str))}
    return {}


def _picture(shape: list[Any], size: tuple[int, int]) -> Array:
    """A random picture for a port; its fixed sides must be those of `size`."""
    if len(shape) != 4 or shape[1] not in (3, None):
        raise ModelError(f"expected an input (1, 3, H, W), got {shape}")
    for side, wanted in zip(shape[2:], size, strict=True):
        if isinstance(side, int) and side != wanted:
            fixed = f"{shape[2]}x{shape[3]}"
            raise ModelError(f"its size is fixed to {fixed}: --shape {fixed}")
    return np.random.default_rng(0).random((1, 3, *size), np.float32)
