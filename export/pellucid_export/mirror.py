"""A network that sees pictures mirrored without anything being turned: its kernels are.

Later calls look at the mirrored picture (pellucid.steps). In a file that makes several steps by
itself a flip would be an operation that NPUs do not have.
"""

import torch
from torch import Tensor, nn

from pellucid_student.layers import RepConv, fold
from pellucid_student.plain_unet import PlainUNet

# pixel_unshuffle(2) puts pixel (dy, dx) of channel c into channel 4 c + 2 dy + dx.
MIRRORED = (1, 0, 3, 2)


@torch.no_grad()
def mirror(student: PlainUNet) -> PlainUNet:
    """A folded copy with `detail(x) = flip(student.detail(flip(x)))`, and the same of what sees the
    whole picture. student: in floats."""
    turned = fold(student)
    for layer in turned.modules():
        if getattr(layer, "weight", torch.empty(0)).dim() == 4:
            layer.weight = nn.Parameter(_weight(layer).flip(3), requires_grad=False)
    for part in (turned, turned.thumbnail):
        if part is not None:
            _swap_places(part.stem, part.head)
    return turned


def _swap_places(stem: RepConv, head: RepConv) -> None:
    """Let the layers at both ends take and give the pixels of a cell the other way round."""
    stem.weight.copy_(_weight(stem)[:, _swapped(_weight(stem).shape[1])])
    swapped = _swapped(_weight(head).shape[0])
    head.weight.copy_(_weight(head)[swapped])
    head.bias.copy_(head.bias[swapped])


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def _swapped(channels: int) -> list[int]:
    return [4 * c + place for c in range(channels // 4) for place in MIRRORED]
