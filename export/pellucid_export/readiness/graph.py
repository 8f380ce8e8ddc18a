"""The layers of an exported file as a table: shapes, weights, multiply-accumulates.

The names of ops are those of ONNX, whatever the file's format.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pellucid.errors import PellucidError

Shape = tuple[int | None, ...]


def count_elements(shape: Shape | None) -> int:
    """Values of a tensor; a free side counts as 1, an unknown shape as nothing."""
    return math.prod(size or 1 for size in shape) if shape is not None else 0


class GraphError(PellucidError):
    """The file cannot be read as a graph of layers."""


@dataclass(frozen=True)
class Layer:
    """One op that computes; quantise/dequantise pairs and constants are folded into it.

    inputs, outputs: shapes of its tensors, weights left out; None where a shape is unknown, and a
        None entry where a size is free.
    weights: number of constant values it reads (a convolution's kernel and bias, ...).
    constants: which of its inputs are constant, by position.
    macs: multiply-accumulates; 0 for everything that is no convolution or matrix product.
    dtype: of its first output, before any quantising.
    kernel: sides of a convolution's kernel.
    quantised: its first input comes out of a dequantiser, i.e. it runs in integers.
    """

    name: str
    op: str
    inputs: tuple[Shape | None, ...]
    outputs: tuple[Shape | None, ...]
    weights: int
    constants: tuple[int, ...]
    macs: int
    dtype: str
    quantised: bool
    kernel: tuple[int, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def rank(self) -> int:
        """Largest number of dimensions among its tensors; 0 if none is known."""
        return max((len(s) for s in (*self.inputs, *self.outputs) if s is not None), default=0)

    @property
    def free(self) -> bool:
        """Some size is not known before the file runs."""
        return any(s is None or None in s for s in (*self.inputs, *self.outputs))

    @property
    def elements_in(self) -> int:
        return sum(count_elements(shape) for shape in self.inputs)

    @property
    def elements_out(self) -> int:
        return sum(count_elements(shape) for shape in self.outputs)


@dataclass(frozen=True)
class Graph:
    """kind: "onnx", "mlpackage" or "openvino". inputs: name -> shape, None where a size is free.

    enumerated: free sizes are a fixed list of sizes, which a compiler can prepare for.
    """

    path: Path
    kind: str
    layers: tuple[Layer, ...]
    inputs: dict[str, Shape]
    enumerated: bool = False

    @cached_property  # rules ask for it layer by layer
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of its first picture input; None where that is free or there is none."""
        for shape in self.inputs.values():
            if len(shape) == 4:
                height, width = shape[1:3] if shape[3] in (1, 3) else shape[2:]
                return (height, width) if height and width else None
        return None

    @cached_property  # rules ask for it layer by layer
    def quantised(self) -> bool:
        """At least half of its multiply-accumulates run in integers."""
        return 2 * sum(layer.macs for layer in self.layers if layer.quantised) > self.macs > 0
