"""Quantisation-aware fine-tuning: 8-bit convolutions imitated while the student learns.

Activations: one affine scale a tensor, unsigned, from a running range. Weights: one symmetric scale
an output channel. Gradients pass straight through inside the range (torch's fake_quantize).
After `freeze` every scale is a constant, and an ONNX export writes QuantizeLinear/DequantizeLinear
pairs.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .estimator import Estimator
from .layers import RepConv, fold
from .plain_unet import PlainUNet

RANGE_DECAY = 0.99


# torch 2.13 has no shape rule for its own fake_quantize, without which graphs of free height and
# width cannot be traced: both results have the input's shape.
@torch.library.impl("aten::fake_quantize_per_tensor_affine_cachemask", "Meta")
def _shape_of_tensor(
    x: Tensor, scale: float, zero: int, low: int, high: int
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(x, dtype=torch.bool)


@torch.library.impl("aten::fake_quantize_per_channel_affine_cachemask", "Meta")
def _shape_of_channels(
    x: Tensor, scale: Tensor, zero: Tensor, axis: int, low: int, high: int
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(x, dtype=torch.bool)


class QuantConv(nn.Module):
    """A convolution of the student with 8-bit input and weights; bias and sum stay in float.

    stride 1: 3x3 with zero padding. kind "down": 2x2, stride 2. kind "up": its transpose.
    """

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.transposed = isinstance(conv, nn.ConvTranspose2d)
        self.stride = 1 if isinstance(conv, RepConv) else 2
        self.padding = 1 if isinstance(conv, RepConv) else 0
        kernel = conv.folded() if isinstance(conv, RepConv) else conv.weight
        assert isinstance(kernel, Tensor) and isinstance(conv.bias, Tensor)
        self.weight = nn.Parameter(kernel.detach().clone())
        self.bias = nn.Parameter(conv.bias.detach().clone())
        self.register_buffer("low", torch.tensor(0.0))
        self.register_buffer("high", torch.tensor(0.0))
        self.enabled = True  # False: this layer stays in float
        self.observing = True
        self.frozen: tuple[float, int, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.enabled:
            return self._convolve(x, self.weight)
        if self.observing and self.training:
            self._observe(x.detach())
        scale, zero, weight_scale = self.frozen or self.scales()
        x = torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)
        zeros = torch.zeros_like(weight_scale, dtype=torch.int32)
        axis = 1 if self.transposed else 0
        weight = torch.fake_quantize_per_channel_affine(
            self.weight, weight_scale, zeros, axis, -128, 127
        )
        return self._convolve(x, weight)

    def scales(self) -> tuple[float, int, Tensor]:
        """(activation scale, its zero point, weight scales (C_out,)) as they are now."""
        low, high = float(self.get_buffer("low")), float(self.get_buffer("high"))
        scale = max(high - low, 1e-6) / 255.0
        zero = min(255, max(0, round(-low / scale)))
        reduced = (0, 2, 3) if self.transposed else (1, 2, 3)
        largest = self.weight.detach().abs().amax(dim=reduced)
        return scale, zero, (largest / 127.0).clamp(min=1e-9)

    def _observe(self, x: Tensor) -> None:
        """Running range, 0 always inside: zero padding must be exact."""
        low, high = self.get_buffer("low"), self.get_buffer("high")
        seen_low, seen_high = x.amin().clamp(max=0.0), x.amax().clamp(min=0.0)
        keep = RANGE_DECAY if float(high - low) > 0.0 else 0.0
        low.mul_(keep).add_((1.0 - keep) * seen_low)
        high.mul_(keep).add_((1.0 - keep) * seen_high)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        if self.transposed:
            return F.conv_transpose2d(x, weight, self.bias, stride=self.stride)
        return F.conv2d(x, weight, self.bias, stride=self.stride, padding=self.padding)


def quantised(student: PlainUNet) -> PlainUNet:
    """A trainable copy with every spatial convolution imitating 8 bits; ranges not yet seen. The
    estimator, which runs once a picture, stays as it is."""
    copied = fold(student)
    for module in list(copied.modules()):
        if isinstance(module, Estimator):
            continue
        for name, child in module.named_children():
            if isinstance(child, RepConv | nn.Conv2d | nn.ConvTranspose2d):
                setattr(module, name, QuantConv(child))
    assert isinstance(copied, PlainUNet)
    copied.requires_grad_(True).train()
    if copied.estimator is not None:
        copied.estimator.requires_grad_(False)
    return copied


def layers(model: nn.Module) -> dict[str, QuantConv]:
    """Name -> quantised convolution, in the network's order."""
    return {name: m for name, m in model.named_modules() if isinstance(m, QuantConv)}


def freeze(model: PlainUNet) -> PlainUNet:
    """A copy whose scales are constants: what an exporter can trace."""
    deployed = copy.deepcopy(model).eval().requires_grad_(False)
    for layer in layers(deployed).values():
        layer.observing, layer.frozen = False, layer.scales()
    return deployed


def in_floats(model: PlainUNet) -> PlainUNet:
    """The student that `model` has become, folded, without any rounding."""
    student = fold(PlainUNet(model.config))
    own = student.state_dict()
    student.load_state_dict({name: v for name, v in model.state_dict().items() if name in own})
    return student


@dataclass(frozen=True)
class Guarded:
    """kept_float: layers that broke the limit, worst first. drop_db: what is still lost."""

    kept_float: list[str]
    drop_db: float


def guard(model: PlainUNet, evaluate: Callable[[PlainUNet], float], max_drop: float) -> Guarded:
    """Return layers to float, the most harmful first, until the loss is within `max_drop` dB.

    evaluate: mean dB of a network on pictures that are in no evaluation set. The loss is
    counted from `model` with all its layers in float; `model.enabled` flags are left as decided.
    """
    found = layers(model)
    model.eval()

    def with_float(names: set[str]) -> float:
        for name, layer in found.items():
            layer.enabled = name not in names
        return evaluate(model)

    whole = with_float(set(found))
    kept: list[str] = []
    drop = whole - with_float(set())
    if drop > max_drop:
        gains = {name: with_float({name}) for name in found}
        for name in sorted(gains, key=lambda n: -gains[n]):
            kept.append(name)
            drop = whole - with_float(set(kept))
            if drop <= max_drop:
                break
    return Guarded(kept, drop)
