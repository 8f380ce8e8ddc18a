"""Times a layer, from OpenVINO's counters or ONNX Runtime's profile, in one form."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .opened import Event
from .targets import Target

_CONVERSIONS = {"Reorder", "ReorderInput", "ReorderOutput", "Transpose", "Permute"}
_CASTS = {"Convert", "Cast"}
BETWEEN = "between layers"
NOTICEABLE = 0.01  # share of the whole below which nothing is worth a hint


@dataclass(frozen=True)
class LayerTime:
    """ms: mean over the calls. share: of a whole call. kernel: as the engine names it.

    flag: "" or "reference kernel", "layout conversion", "type conversion", "other device".
    """

    name: str
    op: str
    kernel: str
    precision: str
    device: str
    ms: float
    share: float
    flag: str = ""
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Layered:
    """Where the time of a row's calls went. whole_ms: mean of the very calls of the layers.

    overhead: what counting adds to a call, median over the rounds, a share of the call without.
    calls: how many the means are over, the quietest of those counted.
    """

    key: str
    whole_ms: float
    overhead: float
    calls: int
    layers: list[LayerTime]

    @property
    def between_ms(self) -> float:
        """What no layer accounts for: the engine's own work, the counting, waiting for a core."""
        return self.whole_ms - sum(layer.ms for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "between_ms": self.between_ms}


def read_layers(
    target: Target, calls: Sequence[Sequence[Event]], whole_ms: float
) -> list[LayerTime]:
    """Layers in the order of their first run, from the raw events of each call.

    Means, because they add up: medians of skewed times sum to less than the median of the sum.
    """
    times: dict[str, float] = defaultdict(float)
    described: dict[str, tuple[str, str, str, str]] = {}
    for event in (event for events in calls for event in events):
        found = _openvino(event) if target.engine == "openvino" else _onnxruntime(event)
        if found is not None:
            name, us, what = found
            times[name] += us / 1e3 / len(calls)
            described.setdefault(name, what)
    layers = []
    for name, (op, kernel, precision, device) in described.items():
        ms = max(0.0, times[name])  # see undo_average
        share = ms / whole_ms
        flag, hint = _flag(op, kernel, device, share, target)
        layers.append(LayerTime(name, op, kernel, precision, device, ms, share, flag, hint))
    return layers


def _openvino(event: Event) -> tuple[str, float, tuple[str, str, str, str]] | None:
    if event["us"] == 0.0 and event["op"] in ("Parameter", "Result", "Constant"):
        return None
    kernel = str(event["kernel"])
    match = re.search(r"(?:^|_)([a-z]{1,3}\d+|any)$", kernel)
    precision = match[1] if match else ""
    return event["name"], event["us"], (event["op"], kernel, precision, event["device"])


def _onnxruntime(event: Event) -> tuple[str, float, tuple[str, str, str, str]] | None:
    name = str(event.get("name", ""))
    if event.get("cat") != "Node" or not name.endswith("_kernel_time"):
        return None
    details = event.get("args", {})
    shapes = details.get("output_type_shape") or [{}]
    kind = next(iter(shapes[0]), "")
    precision = {"float": "f32", "float16": "f16", "uint8": "u8", "int8": "i8"}.get(kind, kind)
    op, device = str(details.get("op_name", "")), str(details.get("provider", ""))
    # ONNX Runtime names no kernels; layers it made itself are its blocked-layout ones.
    return name.removesuffix("_kernel_time"), float(event["dur"]), (op, op, precision, device)


def _flag(op: str, kernel: str, device: str, share: float, target: Target) -> tuple[str, str]:
    asked = target.device.partition(":")[0]  # a plug-in's target tells its kind of device too
    elsewhere = device not in ("", asked) and device.split(".")[0] != asked
    if elsewhere:
        return "other device", f"{device} ran it: see `pellucid ready` for what to change"
    if share < NOTICEABLE:
        return "", ""
    if kernel.startswith("ref_") or kernel == "ref":
        return "reference kernel", f"no fast kernel for this {op}: replace it by plainer layers"
    if op in _CONVERSIONS:
        return (
            "layout conversion",
            "moves values only: keep 4-D tensors, channels in multiples of 8",
        )
    if op in _CASTS:
        return "type conversion", "moves values only: keep one precision from end to end"
    return "", ""


def chrome_trace(profiles: Sequence[Layered]) -> dict[str, Any]:
    """For chrome://tracing or ui.perfetto.dev: a process a row, one layer after the other.

    Starts are sums of the means before: the order is real, overlaps are not shown. The time
    between the layers is one span at the end.
    """
    events: list[dict[str, Any]] = []
    for pid, one in enumerate(profiles, 1):
        events.append({"name": "process_name", "ph": "M", "pid": pid, "args": {"name": one.key}})
        start = 0.0
        for layer in one.layers:
            args = {k: v for k, v in layer.to_dict().items() if k not in ("name", "ms") and v}
            span = {"name": layer.name, "cat": layer.op, "ph": "X", "pid": pid, "tid": 1}
            events.append({**span, "ts": start, "dur": 1e3 * layer.ms, "args": args})
            start += 1e3 * layer.ms
        rest = {"name": BETWEEN, "cat": "engine", "ph": "X", "pid": pid, "tid": 1}
        events.append({**rest, "ts": start, "dur": max(0.0, 1e3 * one.between_ms)})
    return {"traceEvents": events, "displayTimeUnit": "ms"}
