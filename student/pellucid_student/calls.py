"""A student as each call of its sampler needs it: the same weights, turned once instead of pictures
at every call.

First calls have no estimate so far: its channels are zero, and the stem does without them. Later
calls look at the mirrored picture; a network of mirrored kernels gives the same without turning
anything, in convolutions alone, which every device takes.
"""

import torch
from torch import Tensor, nn

from .layers import fold
from .plain_unet import PICTURES, PlainUNet

# pixel_unshuffle(2) puts pixel (dy, dx) of channel c into channel 4 c + 2 dy + dx.
MIRRORED = (1, 0, 3, 2)


@torch.no_grad()
def first_call(student: PlainUNet) -> PlainUNet:
    """A copy whose `detail` takes six channels: the degraded picture and the toned one."""
    deployed = fold(student)
    deployed.stem.weight = nn.Parameter(_weight(deployed.stem)[:, :PICTURES], requires_grad=False)
    return deployed


@torch.no_grad()
def later_call(student: PlainUNet) -> PlainUNet:
    """A copy with `detail(x) = mirror(student.detail(mirror(x)))`. student: in floats."""
    deployed = fold(student)
    for layer in deployed.modules():
        if getattr(layer, "weight", torch.empty(0)).dim() == 4:
            layer.weight = nn.Parameter(_weight(layer).flip(3), requires_grad=False)
    stem, head = deployed.stem, deployed.head
    stem.weight.copy_(_weight(stem)[:, _swapped(_weight(stem).shape[1])])
    swapped = _swapped(_weight(head).shape[0])
    head.weight.copy_(_weight(head)[swapped])
    head.bias.copy_(head.bias[swapped])
    return deployed


def saved_macs_per_pixel(student: PlainUNet) -> float:
    """Multiply-accumulates that a first call saves a pixel: its stem runs at half resolution."""
    weight = _weight(student.stem)
    return weight[:, PICTURES:].numel() / 4


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def _swapped(channels: int) -> list[int]:
    return [4 * c + place for c in range(channels // 4) for place in MIRRORED]
