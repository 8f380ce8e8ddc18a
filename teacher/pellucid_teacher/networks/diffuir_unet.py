"""The network of DiffUIR (Zheng et al., CVPR 2024, arXiv 2403.11157): one residual U-Net.

    stem    7x7 convolution of [x_t ; I_in], 6 -> d channels, kept as r
    down    per level: ResBlock, ResBlock, linear attention; 4x4 stride-2 convolution
            (a 3x3 one at the last level, so the middle is at 1/8)
    middle  ResBlock, softmax attention, ResBlock
    up      per level: twice [skip ; x] into a ResBlock, linear attention; nearest x2 and 3x3
    head    ResBlock of [x ; r], 1x1 convolution, d -> 3 channels

What to know before deploying it: group norms, both attentions and the division by H·W look at the
whole picture, so tiles disagree; and the attention of the middle grows with the square of the
pixel count. Students avoid both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import (
    GROUPS,
    LinearAttention,
    ResBlock,
    SoftmaxAttention,
    TimeEmbedding,
    make_zero,
)

MULTIPLE = 16  # the published padding; three halvings would do with 8


@dataclass(frozen=True)
class DiffUIRConfig:
    """width: channels d at full resolution. multipliers: width of the four levels in units of d."""

    width: int
    multipliers: tuple[int, int, int, int]

    def __post_init__(self) -> None:
        if len(self.multipliers) != 4 or min(self.multipliers) < 1:
            raise ValueError(f"expected four multipliers of at least 1, got {self.multipliers}")
        if self.width < GROUPS or self.width % GROUPS:
            raise ValueError(f"width must be a multiple of {GROUPS} (groups), got {self.width}")

    @classmethod
    def read(cls, entries: Mapping[str, Any]) -> "DiffUIRConfig":
        """The config in a header, which has lists for tuples."""
        return cls(int(entries["width"]), tuple(entries["multipliers"]))


# Parameters and 10⁹ MACs a step at 256x256 (`macs.count_macs`). The published operation counts are
# ten times lower: they miss the standardised convolutions and the attention, and a factor of 10.
DIFFUIR_T = DiffUIRConfig(32, (1, 1, 1, 1))  # 0.89 M, 17.3 G
DIFFUIR_S = DiffUIRConfig(32, (1, 2, 2, 4))  # 3.27 M, 24.2 G
DIFFUIR_B = DiffUIRConfig(64, (1, 2, 2, 4))  # 12.4 M, 83.6 G
DIFFUIR_L = DiffUIRConfig(64, (1, 2, 4, 8))  # 36.3 M, 119.2 G
PRESETS = {
    "diffuir-t": DIFFUIR_T,
    "diffuir-s": DIFFUIR_S,
    "diffuir-b": DIFFUIR_B,
    "diffuir-l": DIFFUIR_L,
}


class Down(nn.Module):
    """One encoder level, (B, c_in, H, W) -> (B, c_out, H/2, W/2) and two skips of (c_in, H, W)."""

    def __init__(self, c_in: int, c_out: int, time_width: int, last: bool) -> None:
        super().__init__()
        self.block1 = ResBlock(c_in, c_in, time_width)
        self.block2 = ResBlock(c_in, c_in, time_width)
        self.attention = LinearAttention(c_in)
        self.resample = (
            nn.Conv2d(c_in, c_out, 3, padding=1)
            if last
            else nn.Conv2d(c_in, c_out, 4, stride=2, padding=1)
        )

    def forward(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self.block1(x, time)  # (B, c_in, H, W)
        second = self.attention(self.block2(first, time))  # (B, c_in, H, W)
        return self.resample(second), first, second


class Up(nn.Module):
    """One decoder level: (B, c_in, H, W) and two skips of c_skip -> (B, c_skip, 2H, 2W)."""

    def __init__(self, c_in: int, c_skip: int, time_width: int, last: bool) -> None:
        super().__init__()
        self.block1 = ResBlock(c_in + c_skip, c_in, time_width)
        self.block2 = ResBlock(c_in + c_skip, c_in, time_width)
        self.attention = LinearAttention(c_in)
        conv = nn.Conv2d(c_in, c_skip, 3, padding=1)
        self.resample = conv if last else nn.Sequential(nn.Upsample(scale_factor=2), conv)

    def forward(self, x: Tensor, first: Tensor, second: Tensor, time: Tensor) -> Tensor:
        x = self.block1(torch.cat([x, second], dim=1), time)  # (B, c_in, H, W)
        x = self.attention(self.block2(torch.cat([x, first], dim=1), time))  # (B, c_in, H, W)
        out: Tensor = self.resample(x)
        return out


class DiffUIRUNet(nn.Module):
    """Denoiser that estimates I_res = I_in - I_0; images (B, 3, H, W) in [-1, 1], any H and W."""

    def __init__(self, config: DiffUIRConfig = DIFFUIR_T) -> None:
        super().__init__()
        self.config = config
        d = config.width
        widths = [d, *(d * m for m in config.multipliers)]
        levels = list(zip(widths[:-1], widths[1:], strict=True))  # (finer, coarser)
        time_width, deepest = 4 * d, widths[-1]
        self.time = TimeEmbedding(d)
        self.stem = nn.Conv2d(6, d, 7, padding=3)
        self.down = nn.ModuleList(
            Down(fine, coarse, time_width, last=level == len(levels) - 1)
            for level, (fine, coarse) in enumerate(levels)
        )
        self.middle1 = ResBlock(deepest, deepest, time_width)
        self.attention = SoftmaxAttention(deepest)
        self.middle2 = ResBlock(deepest, deepest, time_width)
        # The deepest level was not halved on the way down; the full-resolution one ends the way up.
        self.up = nn.ModuleList(
            Up(coarse, fine, time_width, last=level == 0)
            for level, (fine, coarse) in reversed(list(enumerate(levels)))
        )
        self.final = ResBlock(2 * d, d, time_width)
        self.head = nn.Conv2d(d, 3, 1)

    def begin_at_zero(self) -> None:
        """Before training: the output is 0, whatever the input."""
        make_zero(self.head)

    def forward(self, x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        """Estimate of I_res, (B, 3, H, W), by the denoiser contract; time is 1000·ᾱ_t, (B,)."""
        height, width = condition.shape[-2:]
        embedded = self.time(time)  # (B, 4d)
        stem = self.stem(pad(torch.cat([x_t, condition], dim=1)))  # (B, d, H', W')
        x, skips = stem, []
        for down in self.down:
            x, first, second = down(x, embedded)
            skips.append((first, second))
        x = self.attention(self.middle1(x, embedded))  # (B, d·m4, H'/8, W'/8)
        x = self.middle2(x, embedded)
        for up in self.up:
            x = up(x, *skips.pop(), embedded)
        x = self.final(torch.cat([x, stem], dim=1), embedded)  # (B, d, H', W')
        residual: Tensor = self.head(x)[..., :height, :width]  # (B, 3, H, W)
        return residual


def pad(x: Tensor) -> Tensor:
    """Reflect `x` (B, C, H, W) at the right and bottom up to multiples of 16.

    A side of 8 px or less has too little to reflect: its edge is repeated instead.
    """
    height, width = x.shape[-2:]
    bottom, right = -height % MULTIPLE, -width % MULTIPLE
    x = F.pad(x, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
    return F.pad(x, (0, 0, 0, bottom), mode="reflect" if bottom < height else "replicate")
