"""Multiply-accumulates of a network, counted where they happen.

Counters that hook known module classes miss a subclass of Conv2d, a functional convolution and an
einsum: DiffUIR's published figures lack two thirds of its work that way. This one sits below the
modules, on the operators that PyTorch dispatches, and runs on meta tensors: it takes no arithmetic
and no memory, whatever the size.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of one call with one picture. Element-wise work is not counted."""

    convolution: int
    product: int  # matrix products: linear layers and attention

    @property
    def total(self) -> int:
        return self.convolution + self.product


def count_macs(network: nn.Module, *shapes: tuple[int, ...]) -> Macs:
    """MACs of one call of `network` with inputs of these shapes, for instance (1, 3, 720, 1280).

    The network itself is neither run nor changed, and may live on any device.
    """
    inputs = tuple(torch.empty(shape, device="meta") for shape in shapes)
    weights = {
        name: torch.empty_like(tensor, device="meta")
        for name, tensor in (*network.named_parameters(), *network.named_buffers())
    }
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad(), counter:
        functional_call(network, weights, inputs)
    convolution = product = 0
    # PyTorch counts a multiplication and an addition each; no entry where nothing was counted.
    for operator, flops in counter.get_flop_counts().get("Global", {}).items():
        if "convolution" in str(operator):
            convolution += flops // 2
        else:
            product += flops // 2
    return Macs(convolution, product)
