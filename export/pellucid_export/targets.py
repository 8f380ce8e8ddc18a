"""Devices named at export: every file that one of them would load must hold only what it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .readiness.check import ReadinessReport, check_graph
from .readiness.readers import read_graph
from .readiness.rule import Verdict
from .readiness.rules import TARGETS
from .thresholds import QualityError

# The formats a device's own software loads, its first choice first. A device is held to the first
# of them that is exported: an .onnx file beside a Core ML package need not suit Apple.
LOADS = {
    "ane": ("coreml", "onnx"),
    "intel-npu": ("openvino", "onnx"),
    "htp": ("htp", "onnx"),
    "litert": ("onnx",),
}


@dataclass(frozen=True)
class Readiness:
    """Layers of one file by verdict of a device's published rules; slow: each kind of slow layer
    with its reason."""

    layers: int
    slow_layers: int
    slow: tuple[str, ...] = ()


def targets_of(form: str, formats: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Which of the named targets would load files of this format, given what else is exported."""
    held = [name for name in LOADS if name in targets]
    return [t for t in held if next((f for f in LOADS[t] if f in formats), None) == form]


def check_ready(path: Path, place: Path, targets: Sequence[str]) -> dict[str, Readiness]:
    """Target -> what its rules say of the file. place: the name the file is to get.

    Raises QualityError for a layer that a target does not take: layer, rule, source and cure.
    """
    if not targets:
        return {}
    graph = read_graph(path)
    reports = [check_graph(graph, TARGETS[target]) for target in targets]
    refusals = [_refusal(report) for report in reports if not report.ready]
    if refusals:
        raise QualityError(f"{place}: {'; '.join(refusals)}; it was thrown away")
    return {report.target: _readiness(report) for report in reports}


def _refusal(report: ReadinessReport) -> str:
    """`Qualcomm HTP does not take 3 of 90 layers: Where (node_where): why. Change: ... [source]`"""
    refused = [f for f in report.findings if f.verdict == Verdict.UNSUPPORTED]
    kinds = {(f.why, f.change, f.source): f for f in reversed(refused)}  # the first of each kind
    reasons = [
        f"{first.op} ({first.layer}): {why}. Change: {change}. [{source}]"
        for (why, change, source), first in reversed(kinds.items())
    ]
    return (
        f"{report.title} does not take {len(refused)} of {len(report.findings)} layers: "
        + " ".join(reasons)
    )


def _readiness(report: ReadinessReport) -> Readiness:
    slow = [f for f in report.findings if f.verdict == Verdict.SLOW]
    reasons = dict.fromkeys(f"{f.op}: {f.why}" for f in slow)
    return Readiness(len(report.findings), len(slow), tuple(reasons))
