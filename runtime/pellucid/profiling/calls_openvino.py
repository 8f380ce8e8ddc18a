"""OpenVINO: a file compiled for one of its devices, with the settings of restoring."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..card import read_card
from ..engine_openvino import SCENE, metadata_of, open_port
from ..errors import ModelError
from ..estimator import scene_for
from ..thumbnail import MAPS, WINDOW, Place, open_whole_path
from .opened import Event, Opened, nothing, picture
from .targets import NO_OPENVINO, Target


def open_openvino(
    target: Target, path: Path, size: tuple[int, int], threads: int, strict: bool, layers: bool
) -> Opened:
    """See `open_call`."""
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
    feed = picture(sides, size)
    model.reshape({0: list(feed.shape)})
    metadata = metadata_of(model)
    card = read_card(metadata, path.stem)
    feeds, pixels = [feed], feed[0].transpose(1, 2, 0)
    # As pellucid restores: what is measured once a picture is fed.
    if card.scene_size and open_port(openvino, model, SCENE, [1, card.scene_size]) is not None:
        feeds.append(scene_for(metadata, card, pixels)[None])
    if (whole := open_whole_path(metadata, None)) is not None:
        place = Place.of(whole.maps(pixels, feeds[-1]), 0, 0, pixels.shape[:2])
        feeds += [place.maps, place.window]
        for name, fed in ((MAPS, place.maps), (WINDOW, place.window)):
            open_port(openvino, model, name, list(fed.shape))
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if target.kind == "cpu":
        settings |= {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    if layers:
        settings["PERF_COUNT"] = True
    compiled = core.compile_model(model, target.device, settings)
    request = compiled.create_infer_request()
    used = ",".join(compiled.get_property("EXECUTION_DEVICES"))
    runs: list[list[Event]] = []

    def after() -> None:
        runs.append(
            [
                {
                    "name": info.node_name,
                    "op": info.node_type,
                    "kernel": info.exec_type,
                    "us": info.real_time.total_seconds() * 1e6,
                    "device": used,
                }
                for info in request.profiling_info
                if info.status == info.Status.EXECUTED
            ]
        )

    same = used.split(".")[0] == target.device.split(".")[0]
    return Opened(
        lambda: request.infer(feeds, share_inputs=True),
        card,
        "" if same else used,
        after if layers else nothing,
        lambda: undo_average(runs) if target.kind == "cpu" else runs,
    )


def undo_average(calls: Sequence[Sequence[Event]]) -> list[list[Event]]:
    """The time of each call from OpenVINO's CPU counters, which tell the mean of all calls so far.

    OpenVINO 2026.4, src/plugins/intel_cpu/src/perf_count.h: `avg` = total µs // calls. After call
    n the mean is uncertain by 1 µs, so a time is by n µs; it may come out below zero and is left
    so, because cutting it off there would make sums too large.
    """
    runs: list[list[Event]] = []
    before: dict[str, float] = {}
    for n, events in enumerate(calls, 1):
        total = {event["name"]: n * event["us"] for event in events}
        runs.append([{**e, "us": total[e["name"]] - before.get(e["name"], 0.0)} for e in events])
        before |= total
    return runs
