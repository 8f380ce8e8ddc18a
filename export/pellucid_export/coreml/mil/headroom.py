"""How near an ML Program comes to the limits of fp16, tensor by tensor."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .program import FP16_MAX, Program, TensorEvent

FP16_SMALLEST_NORMAL = 2.0**-14


@dataclass
class Layer:
    """Extremes of one tensor over all runs.

    peak: largest finite |x| before storing. headroom: FP16_MAX / peak, in fp16 tensors; below 1 it
    overflows. subnormal: share of the stored fp16 values that are not zero and below 2^-14, where
    fp16 loses bits and some units flush to zero. low, high: range of the stored finite values.
    """

    op: str
    name: str
    dtype: str
    peak: float = 0.0
    overflows: int = 0
    non_finite: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    _subnormal: int = field(default=0, repr=False)
    _count: int = field(default=0, repr=False)

    @property
    def headroom(self) -> float:
        return FP16_MAX / self.peak if self.peak > 0.0 else float("inf")

    @property
    def subnormal(self) -> float:
        return self._subnormal / self._count if self._count else 0.0

    def add(self, event: TensorEvent) -> None:
        values = event.values
        self.peak = max(self.peak, event.peak)
        self.overflows += event.overflows
        finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        self.non_finite += values.size - finite.size
        if finite.size:
            self.low = min(self.low, float(finite.min()))
            self.high = max(self.high, float(finite.max()))
        if event.dtype == "fp16":
            size = np.abs(values)
            self._subnormal += int(((size > 0) & (size < FP16_SMALLEST_NORMAL)).sum())
            self._count += values.size


@dataclass(frozen=True)
class Headroom:
    """layers: in the order in which the program computes them."""

    layers: tuple[Layer, ...]

    @property
    def first_overflow(self) -> Layer | None:
        """The first tensor in which a finite value became infinite; what follows is its fault."""
        return next((layer for layer in self.layers if layer.overflows), None)

    @property
    def first_non_finite(self) -> Layer | None:
        """The first tensor with an inf or NaN, from whatever cause (a weight may be inf too)."""
        return next((layer for layer in self.layers if layer.non_finite), None)

    def tightest(self, count: int = 5) -> list[Layer]:
        """The fp16 tensors with the least headroom first."""
        stored = [layer for layer in self.layers if layer.dtype == "fp16"]
        return sorted(stored, key=lambda layer: layer.headroom)[:count]

    @property
    def lines(self) -> list[str]:
        """For people: the verdict, then the tightest tensors."""
        over, broken = self.first_overflow, self.first_non_finite
        if over is not None:
            lines = [
                f"fp16 overflow: first in {over.op} {over.name}, |x| up to {over.peak:.6g} where "
                f"fp16 ends at {FP16_MAX:.0f}; keep that op in fp32 or scale its weights down"
            ]
        elif broken is not None:
            lines = [f"not finite: first in {broken.op} {broken.name}"]
        else:
            lines = ["no fp16 overflow on these inputs"]
        for layer in self.tightest():
            lines.append(
                f"{layer.op} {layer.name}: |x| up to {layer.peak:.4g}, "
                f"headroom {layer.headroom:.0f}x, subnormal {layer.subnormal:.1%}"
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        return {
            "fp16_max": FP16_MAX,
            "first_overflow": self.first_overflow.name if self.first_overflow else None,
            "layers": [
                {
                    "op": layer.op,
                    "name": layer.name,
                    "dtype": layer.dtype,
                    "peak": layer.peak,
                    "overflows": layer.overflows,
                    "subnormal": layer.subnormal,
                }
                for layer in self.layers
            ],
        }


def headroom(package: Path | Program, samples: Iterable[dict[str, NDArray[Any]]]) -> Headroom:
    """Run every sample (dict input -> array) and keep each tensor's extremes."""
    program = package if isinstance(package, Program) else Program.load(package)
    layers: dict[str, Layer] = {}

    def tap(event: TensorEvent) -> None:
        if event.name not in layers:
            layers[event.name] = Layer(event.op, event.name, event.dtype)
        layers[event.name].add(event)

    for sample in samples:
        program.run(sample, tap)
    return Headroom(tuple(layers.values()))
