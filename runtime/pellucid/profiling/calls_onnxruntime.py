"""ONNX Runtime: a file opened on one of its providers, with the settings of restoring."""

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..card import read_card
from ..errors import ModelError
from ..estimator import scene_for
from ..session import CPU, session_options
from ..thumbnail import MAPS, WINDOW, Place, open_whole_path
from .opened import Array, Event, Opened, picture
from .plugins import devices_of
from .targets import Target


def onnxruntime_options(threads: int) -> Any:
    """The settings with which pellucid restores; what fails becomes a row, not a log."""
    options = session_options(threads)
    options.log_severity_level = 4
    return options


def onnxruntime_call(model: bytes, feed: Array, threads: int) -> Callable[[], object]:
    """One inference of a network with the port `input`, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, onnxruntime_options(threads), providers=[CPU])
    return lambda: session.run(None, {"input": feed})


def open_onnxruntime(
    target: Target, path: Path, size: tuple[int, int], threads: int, strict: bool, layers: bool
) -> Opened:
    """See `open_call`."""
    import onnxruntime

    if path.suffix != ".onnx":
        raise ModelError(f"ONNX Runtime reads .onnx files, not {path.suffix or 'folders'}")
    options = onnxruntime_options(threads)
    folder = tempfile.TemporaryDirectory() if layers else None
    if folder is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder.name) / "layers")
    if strict and target.kind != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    provider = target.device.partition(":")[0]
    if devices := devices_of(target):
        options.add_provider_for_devices(devices[:1], {})
        session = onnxruntime.InferenceSession(str(path), options)
    else:
        providers = [provider] if strict or provider == CPU else [provider, CPU]
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    ports = session.get_inputs()
    if len(ports) != 1 or ports[0].type != "tensor(float)":
        found = ", ".join(f"{port.name} {port.type} {port.shape}" for port in ports)
        raise ModelError(f"expected one float32 input, got {found}")
    feeds = {ports[0].name: picture(ports[0].shape, size)}
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    card = read_card(metadata, path.stem)
    optional = {port.name: port.shape for port in session.get_overridable_initializers()}
    if optional.get("scene") == [1, card.scene_size]:
        # As pellucid restores: measured once a picture, outside.
        pixels = feeds[ports[0].name][0].transpose(1, 2, 0)
        feeds["scene"] = scene_for(metadata, card, pixels)[None]
        if (whole := open_whole_path(metadata, None)) is not None:
            place = Place.of(whole.maps(pixels, feeds["scene"]), 0, 0, pixels.shape[:2])
            feeds |= {MAPS: place.maps, WINDOW: place.window}
    used = session.get_providers()[0]

    def events() -> list[list[Event]]:
        events: list[Event] = json.loads(Path(session.end_profiling()).read_text())
        if folder is not None:
            folder.cleanup()
        return by_run(events)

    placed = "" if used == provider else used
    return Opened(lambda: session.run(None, feeds), card, placed, events=events)


def by_run(events: Iterable[Event]) -> list[list[Event]]:
    """The nodes of each run. A profile tells them in order, and the run itself at its end."""
    runs: list[list[Event]] = []
    nodes: list[Event] = []
    for event in events:
        if event.get("cat") == "Node":
            nodes.append(event)
        elif event.get("name") == "model_run":
            runs.append(nodes)
            nodes = []
    return runs
