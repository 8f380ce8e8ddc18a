"""Enlarger: the student network whose result has 4 times the sides of what it is given.

    S(x) = bicubic(x) + shuffle(head(x_n)),  x_0 = stem(x),  x_k = x_(k-1) + block_k(x_(k-1))

Notable choices, each for a device
- All convolutions are at the small size, with a pixel shuffle at the end (ESPCN, Shi et al., CVPR
  2016): no layer works at the large size.
- Plain 3x3 convolutions and ReLU, re-parametrised while learning (layers.py); no norm, no
  attention.
- The fixed interpolation is a convolution and a shuffle, too: not every runtime has a bicubic
  resize, and those that have one differ.
- The receptive field is bounded, so overlapping tiles give the very same pixels.

Nothing of the whole picture comes in: there is no scene vector, and it takes any size.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid_teacher.data.bicubic import cubic

from .layers import RepConv, ResidualBlock

REACH = 2  # px of the small picture that the bicubic kernel sees to each side


@dataclass(frozen=True)
class EnlargerConfig:
    """width: channels. blocks: residual blocks of two convolutions. scale: sides of the result over
    those of what is given."""

    width: int = 48
    blocks: int = 5
    scale: int = 4

    def __post_init__(self) -> None:
        if self.width % 16 or self.width < 16:
            raise ValueError(f"width must be a multiple of 16 (vector units), got {self.width}")
        if self.blocks < 1 or self.scale not in (2, 3, 4):
            raise ValueError(
                f"expected blocks >= 1 and a scale of 2, 3 or 4, got {self.blocks} and {self.scale}"
            )

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @property
    def multiple(self) -> int:
        """Of which sides must be multiples: any are taken."""
        return 1

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> "EnlargerConfig":
        """The config that `to_dict` wrote, also after a trip through JSON."""
        return cls(**{name: int(value) for name, value in entries.items()})


SR4 = EnlargerConfig()


class Enlarger(nn.Module):
    """Pictures (B, 3, h, w) in [-1, 1] -> (B, 3, scale·h, scale·w), unclipped; any h and w."""

    bicubic: Tensor  # the fixed kernel, not among the weights

    def __init__(self, config: EnlargerConfig = SR4) -> None:
        super().__init__()
        self.config = config
        self.stem = RepConv(3, config.width)
        self.body = nn.ModuleList(ResidualBlock(config.width) for _ in range(config.blocks))
        self.head = RepConv(config.width, 3 * config.scale**2)
        for parameter in (self.head.weight, self.head.bias):
            nn.init.zeros_(parameter)  # untrained, it is the bicubic interpolation
        self.register_buffer("bicubic", bicubic_kernel(config.scale), persistent=False)

    def forward(self, picture: Tensor) -> Tensor:
        return self.interpolate(picture) + self.detail(picture)

    def detail(self, picture: Tensor) -> Tensor:
        """What the interpolation lacks, (B, 3, h, w) -> (B, 3, scale·h, scale·w)."""
        x = self.stem(picture)
        for block in self.body:
            x = block(x)
        return F.pixel_shuffle(self.head(x), self.config.scale)

    def interpolate(self, picture: Tensor) -> Tensor:
        """Bicubic (Keys, a = -1/2, edges repeated), (B, 3, h, w) -> (B, 3, scale·h, scale·w)."""
        # Not F.pad: NNAPI and others have no padding that repeats edges.
        top, bottom = [picture[:, :, :1]] * REACH, [picture[:, :, -1:]] * REACH
        picture = torch.cat([*top, picture, *bottom], dim=2)
        left, right = [picture[:, :, :, :1]] * REACH, [picture[:, :, :, -1:]] * REACH
        picture = torch.cat([*left, picture, *right], dim=3)
        return F.pixel_shuffle(F.conv2d(picture, self.bicubic), self.config.scale)


def bicubic_kernel(scale: int) -> Tensor:
    """Enlarging as a convolution before a pixel shuffle, (3·scale², 3, 5, 5).

    Pixel k of a cell lies (k + 1/2) / scale - 1/2 from the centre of the small pixel.
    """
    offsets = (np.arange(scale) + 0.5) / scale - 0.5  # (scale,)
    taps = np.arange(-REACH, REACH + 1)  # (5,)
    axis = torch.from_numpy(cubic(offsets[:, None] - taps[None, :]))  # (scale, 5), rows sum to 1
    plane = torch.einsum("ai,bj->abij", axis, axis).reshape(scale**2, 5, 5)
    kernel = torch.zeros(3, scale**2, 3, 5, 5, dtype=plane.dtype)
    for channel in range(3):
        kernel[channel, :, channel] = plane
    return kernel.reshape(3 * scale**2, 3, 5, 5).float()


def receptive_radius(config: EnlargerConfig) -> int:
    """How far a result's pixel looks, in pixels of what is given."""
    return max(REACH, 2 + 2 * config.blocks)
