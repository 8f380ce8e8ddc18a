"""How long a file might take on a chip that is not here: a roofline, always a range, an ESTIMATE.

For each layer the larger of two times: its operations at a share of the chip's peak, and its bytes
at the memory's bandwidth; added up, plus what starting an inference costs. Real NPUs reach 10 to
40 % of their peak on convolutions of 32 to 96 channels; the range's ends take these two shares.
Needs the onnx package, and no torch.
"""

from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pellucid.size import size_text

from .chips import CHIPS, Chip
from .graph import Graph, GraphError, Layer
from .readers import read_graph

BEST_SHARE, WORST_SHARE = 0.40, 0.10
LABEL = "ESTIMATE"


@dataclass(frozen=True)
class LayerEstimate:
    """Times in ms. bound: which of the two times is the larger at the slow end."""

    name: str
    op: str
    macs: int
    low_ms: float
    high_ms: float
    bound: str  # "compute" or "memory"


@dataclass(frozen=True)
class Estimate:
    """low_ms .. high_ms for one inference of a picture of this size, dispatch included."""

    path: Path
    chip: str
    title: str
    height: int
    width: int
    precision: str
    low_ms: float
    high_ms: float
    macs: int
    layers: tuple[LayerEstimate, ...]
    assumptions: tuple[str, ...]
    label: str = LABEL

    @property
    def lines(self) -> list[str]:
        """For people: one line, and the assumptions under it."""
        line = (
            f"{self.label} {self.title}, {self.width}x{self.height}, {self.precision}: "
            f"{self.low_ms:.1f} to {self.high_ms:.1f} ms ({self.macs / 1e9:.1f} GMAC)"
        )
        return [line, *(f"  assumed: {assumption}" for assumption in self.assumptions)]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}


def chip_names() -> list[str]:
    """Keys that `estimate` takes."""
    return list(CHIPS)


def estimate(path: Path, chip: str, height: int, width: int) -> Estimate:
    """Estimate one inference of an .onnx file or .mlpackage on a named chip.

    A file with free sizes is taken at height x width; one with fixed sizes must have these. Raises
    GraphError for an unknown chip, an unreadable file, or a size that the file does not take.
    """
    if chip not in CHIPS:
        near = get_close_matches(chip, CHIPS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise GraphError(f"unknown chip {chip}, known are {', '.join(CHIPS)}{hint}")
    return estimate_graph(read_graph(path, height, width), CHIPS[chip], height, width)


def estimate_graph(graph: Graph, chip: Chip, height: int, width: int) -> Estimate:
    """The same for a graph that has been read already, at this size."""
    _check_size(graph, height, width)
    layers = tuple(_layer(layer, chip, graph.quantised) for layer in graph.layers)
    precision = "int8" if graph.quantised else "fp16"
    return Estimate(
        path=graph.path,
        chip=chip.key,
        title=chip.title,
        height=height,
        width=width,
        precision=precision,
        low_ms=chip.dispatch[0] + sum(layer.low_ms for layer in layers),
        high_ms=chip.dispatch[1] + sum(layer.high_ms for layer in layers),
        macs=graph.macs,
        layers=layers,
        assumptions=(
            f"peak {_peak(chip, graph.quantised):g} TOPS ({chip.source}), not measured here",
            f"{BEST_SHARE:.0%} to {WORST_SHARE:.0%} of the peak reached",
            f"memory {_span(chip.gbs)} GB/s, all of it ours; nothing kept on the chip",
            "low end: layers that only move or map values are fused into their neighbours",
            f"starting an inference: {_span(chip.dispatch)} ms; every layer runs on the NPU",
        ),
    )


def _span(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g}" if ends[0] == ends[1] else f"{ends[0]:g} to {ends[1]:g}"


def _peak(chip: Chip, quantised: bool) -> float:
    return chip.int8 if quantised else chip.fp16


def _layer(layer: Layer, chip: Chip, quantised: bool) -> LayerEstimate:
    """Bytes: every tensor once, in fp16 or int8; weights once."""
    peak = 1e12 * _peak(chip, quantised)
    width = 1 if quantised else 2
    volume = width * (layer.elements_in + layer.elements_out + layer.weights)
    best = max(2 * layer.macs / (BEST_SHARE * peak), volume / (1e9 * chip.gbs[1]))
    compute, memory = 2 * layer.macs / (WORST_SHARE * peak), volume / (1e9 * chip.gbs[0])
    return LayerEstimate(
        name=layer.name,
        op=layer.op,
        macs=layer.macs,
        low_ms=1e3 * best if layer.macs else 0.0,
        high_ms=1e3 * max(compute, memory),
        bound="compute" if compute >= memory else "memory",
    )


def _check_size(graph: Graph, height: int, width: int) -> None:
    if any(None in shape for shape in graph.inputs.values()):
        raise GraphError(
            f"{graph.path}: its sizes are free ({graph.inputs}); estimate the ONNX file instead, "
            "or a package of one size"
        )
    if graph.size is not None and graph.size != (height, width):
        fixed = size_text(graph.size)
        raise GraphError(f"{graph.path}: its size is fixed to {fixed}, asked for {width}x{height}")
