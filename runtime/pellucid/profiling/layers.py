"""Times a layer, from OpenVINO's counters or ONNX Runtime's profile, in one form."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from .targets import Target

_CONVERSIONS = {"Reorder", "ReorderInput", "ReorderOutput", "Transpose", "Permute"}
_CASTS = {"Convert", "Cast"}
NOTICEABLE = 0.01  # share of the whole below which nothing is worth a hint


@dataclass(frozen=True)
class LayerTime:
    """ms: median over the calls. share: of all layers. kernel: as the engine names it.

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


def read_layers(target: Target, events: Iterable[dict[str, Any]], calls: int) -> list[LayerTime]:
    """Layers in the order of their first run, from the raw events of `calls` equal calls."""
    times: dict[str, list[float]] = defaultdict(list)
    told: dict[str, tuple[str, str, str, str]] = {}
    for event in events:
        found = _openvino(event) if target.engine == "openvino" else _onnxruntime(event)
        if found is None:
            continue
        name, us, what = found
        times[name].append(us / 1e3)
        told.setdefault(name, what)
    # A name that comes several times a call (a loop, a split layer) counts with its sum.
    spent = {name: median(ms) * max(1, round(len(ms) / calls)) for name, ms in times.items()}
    whole = sum(spent.values()) or 1.0
    layers = []
    for name, (op, kernel, precision, device) in told.items():
        share = spent[name] / whole
        flag, hint = _judge(op, kernel, device, share, target)
        layers.append(
            LayerTime(name, op, kernel, precision, device, spent[name], share, flag, hint)
        )
    return layers


def _openvino(event: dict[str, Any]) -> tuple[str, float, tuple[str, str, str, str]] | None:
    if event["us"] == 0.0 and event["op"] in ("Parameter", "Result", "Constant"):
        return None
    kernel = str(event["kernel"])
    match = re.search(r"(?:^|_)([a-z]{1,3}\d+|any)$", kernel)
    precision = match[1] if match else ""
    return event["name"], event["us"], (event["op"], kernel, precision, event["device"])


def _onnxruntime(event: dict[str, Any]) -> tuple[str, float, tuple[str, str, str, str]] | None:
    name = str(event.get("name", ""))
    if event.get("cat") != "Node" or not name.endswith("_kernel_time"):
        return None
    told = event.get("args", {})
    shapes = told.get("output_type_shape") or [{}]
    kind = next(iter(shapes[0]), "")
    precision = {"float": "f32", "float16": "f16", "uint8": "u8", "int8": "i8"}.get(kind, kind)
    op, device = str(told.get("op_name", "")), str(told.get("provider", ""))
    # ONNX Runtime names no kernels; layers it made itself are its blocked-layout ones.
    return name.removesuffix("_kernel_time"), float(event["dur"]), (op, op, precision, device)


def _judge(op: str, kernel: str, device: str, share: float, target: Target) -> tuple[str, str]:
    elsewhere = device not in ("", target.device) and device.split(".")[0] != target.device
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


def chrome_trace(profiles: Sequence[tuple[str, Sequence[LayerTime]]]) -> dict[str, Any]:
    """For chrome://tracing or ui.perfetto.dev: a process a (title, layers), one after the other.

    Starts are sums of the medians before: the order is real, overlaps are not shown.
    """
    events: list[dict[str, Any]] = []
    for pid, (title, layers) in enumerate(profiles, 1):
        events.append({"name": "process_name", "ph": "M", "pid": pid, "args": {"name": title}})
        start = 0.0
        for layer in layers:
            args = {k: v for k, v in layer.to_dict().items() if k not in ("name", "ms") and v}
            span = {"name": layer.name, "cat": layer.op, "ph": "X", "pid": pid, "tid": 1}
            events.append({**span, "ts": start, "dur": 1e3 * layer.ms, "args": args})
            start += 1e3 * layer.ms
    return {"traceEvents": events, "displayTimeUnit": "ms"}
