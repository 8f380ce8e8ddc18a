"""The network of ResShift (Yue et al., NeurIPS 2023, arXiv 2307.12348; journal 2403.07319): a U-Net
of residual blocks with a Swin layer after the first block of every level.

    condition   [degraded picture ; mask] brought to the state's grid by stride-2 convolutions
    stem        3x3 convolution of [x_t ; condition]
    down        per level: PreNormBlock, Swin, PreNormBlock; 3x3 stride-2 convolution between levels
    middle      PreNormBlock, Swin, PreNormBlock
    up          per level: PreNormBlock of [skip ; x], Swin, then one for every other skip;
                nearest x2 and 3x3 convolution between levels
    head        group norm, SiLU, 3x3 convolution

The state lives on its own grid: latents of an autoencoder in the published models; here also
pixels, folded by pixel-unshuffle, so that the state of a x4 enlargement lies on its input's grid.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import TimeEmbedding, make_zero
from .swin import GROUPS, SwinLayer


@dataclass(frozen=True)
class SwinUNetConfig:
    """state, condition: channels of x_t and of what it is conditioned on (3, or 4 with a mask).
    width: channels of the finest level; multipliers: of each level in units of it.
    blocks: residual blocks a level on the way down. swin_width, head_width, window, mlp: of the
    attention. fold: the state comes in pixels and is unshuffled by this factor (1: latents).
    halvings: stride-2 convolutions that bring the condition to the state's grid.
    """

    state: int = 3
    condition: int = 3
    width: int = 160
    multipliers: tuple[int, ...] = (1, 2, 2, 4)
    blocks: int = 2
    swin_width: int = 192
    head_width: int = 32
    window: int = 8
    mlp: int = 4
    fold: int = 1
    halvings: int = 0

    def __post_init__(self) -> None:
        if self.width % GROUPS or self.swin_width % GROUPS:
            raise ValueError(
                f"width and swin_width must be multiples of {GROUPS} (groups of the norm), got "
                f"{self.width} and {self.swin_width}"
            )
        if self.swin_width % self.head_width:
            raise ValueError(f"swin_width {self.swin_width} is no multiple of {self.head_width}")

    @property
    def multiple(self) -> int:
        """Rows and columns of the state's grid must be multiples of this: whole windows at the
        coarsest level."""
        return int(self.window * 2 ** (len(self.multipliers) - 1))


# Published: latents of 64x64 for 256x256 pictures (super-resolution and inpainting), and of 64x64
# for 512x512 ones (faces, f8 autoencoder of 8 channels).
SUPER_RESOLUTION = SwinUNetConfig()  # 118.6 M parameters
INPAINTING = SwinUNetConfig(condition=4, halvings=2)
FACE = SwinUNetConfig(state=8, halvings=3)
PRESETS = {"sr": SUPER_RESOLUTION, "inpainting": INPAINTING, "face": FACE}


class PreNormBlock(nn.Module):
    """y = shortcut(x) + conv(SiLU(GN(h)·(1 + scale) + shift)) with h = conv(SiLU(GN(x))).

    scale and shift are read off the time.

    (B, c_in, H, W) and (B, time_width) -> (B, c_out, H, W). The last convolution starts at zero.
    """

    def __init__(self, c_in: int, c_out: int, time_width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.modulation = nn.Linear(time_width, 2 * c_out)
        self.norm2 = nn.GroupNorm(GROUPS, c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.shortcut = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)
        make_zero(self.conv2)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.modulation(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))  # (B, c_out, H, W)
        h = self.conv2(F.silu(self.norm2(h) * (1.0 + scale) + shift))
        out: Tensor = self.shortcut(x) + h
        return out


class Stage(nn.Module):
    """A residual block and, if asked for, the Swin layer behind it."""

    def __init__(self, c_in: int, c_out: int, config: SwinUNetConfig, attends: bool) -> None:
        super().__init__()
        self.block = PreNormBlock(c_in, c_out, 4 * config.width)
        self.swin = swin_layer(c_out, config) if attends else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        x = self.block(x, time)
        return x if self.swin is None else self.swin(x)


def swin_layer(channels: int, config: SwinUNetConfig) -> SwinLayer:
    heads = config.swin_width // config.head_width
    return SwinLayer(channels, config.swin_width, heads, config.window, config.mlp)


class SwinUNet(nn.Module):
    """Denoiser that predicts x_0 by the denoiser contract.

    x_t (B, state, H, W), condition (B, condition, h, w) with h = H/fold·2^halvings, time (B,)
    -> (B, state, H, W). H/fold and W/fold are padded to `config.multiple` inside.
    """

    def __init__(self, config: SwinUNetConfig = SUPER_RESOLUTION) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * m for m in config.multipliers]
        time_width, folded = 4 * config.width, config.state * config.fold**2
        self.time = TimeEmbedding(config.width, nn.SiLU())
        self.condition, seen = condition_path(config)
        self.stem = nn.Conv2d(folded + seen, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        self.reduce = nn.ModuleList()
        channels, skips = widths[0], [widths[0]]
        for level, width in enumerate(widths):
            stages = nn.ModuleList()
            for block in range(config.blocks):
                stages.append(Stage(channels, width, config, attends=block == 0))
                channels = width
                skips.append(width)
            self.down.append(stages)
            if level < len(widths) - 1:
                self.reduce.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                skips.append(width)
        self.middle1 = Stage(channels, channels, config, attends=True)
        self.middle2 = PreNormBlock(channels, channels, time_width)
        self.up = nn.ModuleList()
        self.enlarge = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            stages = nn.ModuleList()
            for block in range(config.blocks + 1):
                stages.append(Stage(channels + skips.pop(), width, config, attends=block == 0))
                channels = width
            self.up.append(stages)
            if level > 0:
                conv = nn.Conv2d(width, width, 3, padding=1)
                self.enlarge.append(nn.Sequential(nn.Upsample(scale_factor=2), conv))
        self.head = nn.Sequential(
            nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, folded, 3, padding=1)
        )

    def begin_at_zero(self) -> None:
        """Before training: the output is 0, whatever the input."""
        make_zero(self.head[-1])

    def forward(self, x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        """Estimate of x_0, like x_t; time is t - 1, (B,)."""
        config = self.config
        folded = F.pixel_unshuffle(x_t, config.fold) if config.fold > 1 else x_t  # (B, c, h, w)
        height, width = folded.shape[-2:]
        x = torch.cat([folded, self.condition(condition)], dim=1)
        x = self.stem(pad(x, config.multiple))
        embedded = self.time(time)  # (B, 4·width)
        skips = [x]
        for level, stages in enumerate(self.down):
            for stage in cast(nn.ModuleList, stages):
                x = stage(x, embedded)
                skips.append(x)
            if level < len(self.reduce):
                x = self.reduce[level](x)
                skips.append(x)
        x = self.middle2(self.middle1(x, embedded), embedded)
        for level, stages in enumerate(self.up):
            for stage in cast(nn.ModuleList, stages):
                x = stage(torch.cat([x, skips.pop()], dim=1), embedded)
            if level < len(self.enlarge):
                x = self.enlarge[level](x)
        out: Tensor = self.head(x)[..., :height, :width]
        return F.pixel_shuffle(out, config.fold) if config.fold > 1 else out


def condition_path(config: SwinUNetConfig) -> tuple[nn.Module, int]:
    """What brings the condition to the state's grid, and the channels that come out: 16, doubled by
    every halving; nothing to do where sizes agree."""
    if config.halvings == 0:
        return nn.Identity(), config.condition
    layers: list[nn.Module] = []
    channels, width = config.condition, 16
    for _ in range(config.halvings):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.SiLU()]
        layers.append(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1))
        channels = width = 2 * width
    return nn.Sequential(*layers), channels


def pad(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of `x` (B, C, H, W) up to multiples."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")
