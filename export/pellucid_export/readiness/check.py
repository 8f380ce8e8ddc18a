"""Whether an NPU will take a file, layer by layer, from published rules and no device.

A static answer: supported, slow or unsupported with the rule, its source, and what to change. It
knows nothing of a driver's version or of what a compiler fuses; where a tool answers better it is
used instead (`htp` for Qualcomm). Needs the onnx package, and no torch.
"""

from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .graph import Graph, GraphError, Layer
from .readers import read_graph
from .rule import Target, Verdict
from .rules import TARGETS


@dataclass(frozen=True)
class LayerIssue:
    """One layer's verdict; why, change and source are empty where it is plainly supported."""

    layer: str
    op: str
    verdict: Verdict
    why: str = ""
    change: str = ""
    source: str = ""


@dataclass(frozen=True)
class ReadinessReport:
    """findings: one for each layer, in the file's order. notes: what holds for the whole target."""

    path: Path
    target: str
    title: str
    findings: tuple[LayerIssue, ...]
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """{"supported": n, "slow": n, "unsupported": n}."""
        verdicts = [finding.verdict for finding in self.findings]
        return {verdict.value: verdicts.count(verdict) for verdict in Verdict}

    @property
    def ready(self) -> bool:
        """Nothing is unsupported."""
        return self.counts["unsupported"] == 0

    @property
    def lines(self) -> list[str]:
        """For people: the counts, then each kind of trouble once, worst first."""
        counts = self.counts
        lines = [
            f"{self.title}: {len(self.findings)} layers, "
            + ", ".join(f"{counts[v.value]} {v.value}" for v in Verdict)
        ]
        groups: dict[tuple[str, ...], list[LayerIssue]] = {}
        for verdict in (Verdict.UNSUPPORTED, Verdict.SLOW):
            for found in self.findings:
                if found.verdict == verdict:
                    key = (verdict.value, found.why, found.change, found.source)
                    groups.setdefault(key, []).append(found)
        for (word, why, change, source), found_ in groups.items():
            kinds = Counter(f.op for f in found_).most_common()
            ops = ", ".join(f"{op} x{n}" for op, n in kinds[:6]) + (", ..." if kinds[6:] else "")
            names = ", ".join(f.layer for f in found_[:3]) + (", ..." if len(found_) > 3 else "")
            lines.append(f"  {word}: {ops} ({names})")
            lines.append(f"    {why}. Change: {change}. [{source}]")
        return lines + [f"  note: {note}" for note in self.notes]

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "target": self.target,
            "title": self.title,
            "counts": self.counts,
            "ready": self.ready,
            "notes": list(self.notes),
            "layers": [vars(f) | {"verdict": f.verdict.value} for f in self.findings],
        }


def target_names() -> list[str]:
    """Keys that `readiness` takes."""
    return list(TARGETS)


def readiness(
    path: Path, target: str, height: int | None = None, width: int | None = None
) -> ReadinessReport:
    """Check every layer of an .onnx, .mlpackage or OpenVINO .xml for "ane", "intel-npu", "htp"
    or "litert".

    height, width: check an ONNX file with free sizes as if it had been exported for this size.
    Raises GraphError for an unreadable file or an unknown target.
    """
    check_target(target, path)
    return check_graph(read_graph(path, height, width), TARGETS[target])


def check_target(target: str, path: Path) -> None:
    """Raise GraphError for an unknown target, or one that the format does not reach."""
    if target not in TARGETS:
        near = get_close_matches(target, TARGETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise GraphError(f"unknown target {target}, known are {', '.join(TARGETS)}{hint}")
    if path.suffix == ".mlpackage" and target != "ane":
        raise GraphError(f"{path}: runs on Apple's hardware only; for {target} give the ONNX file")
    if path.suffix == ".xml" and target != "intel-npu":
        raise GraphError(f"{path}: OpenVINO reaches intel-npu; for {target} give the ONNX file")


def check_graph(graph: Graph, target: Target) -> ReadinessReport:
    """The verdicts for a graph that has been read already."""
    findings = tuple(_verdict(layer, graph, target) for layer in graph.layers)
    return ReadinessReport(graph.path, target.key, target.title, findings, target.notes)


def _verdict(layer: Layer, graph: Graph, target: Target) -> LayerIssue:
    hits = [
        rule
        for rule in target.rules
        if (not rule.ops or layer.op in rule.ops) and rule.when(layer, graph)
    ]
    hits.sort(key=lambda rule: rule.verdict != Verdict.UNSUPPORTED)  # stable: worst first
    if hits:
        rule = hits[0]
        return LayerIssue(layer.name, layer.op, rule.verdict, rule.why, rule.change, rule.source)
    if layer.op not in target.supported:
        return LayerIssue(
            layer.name,
            layer.op,
            Verdict.UNSUPPORTED,
            f"no source lists {layer.op} for this target",
            "express it by ops that are listed, or keep it outside the exported graph",
            target.source,
        )
    return LayerIssue(layer.name, layer.op, Verdict.SUPPORTED)
