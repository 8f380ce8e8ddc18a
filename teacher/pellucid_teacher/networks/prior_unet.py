"""The prior's network: a small fully convolutional U-Net for patches, no attention, no position.

Photos look alike wherever one looks, so a patch needs no coordinates; and a network that sees a
patch only can be trained on two cores (PaDIS, Hu et al., NeurIPS 2024, arXiv 2406.10211).
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import TimeEmbedding

NOISE_SCALE = 250.0  # ln(σ)/4 on the scale of the sinusoids


@dataclass(frozen=True)
class PriorConfig:
    """widths: channels from 1/2 resolution down. blocks: residual blocks a level. patch: side that
    it learns on, px; a multiple of 2^len(widths)."""

    widths: tuple[int, ...] = (48, 96, 128)
    blocks: int = 1
    patch: int = 64

    @property
    def multiple(self) -> int:
        return int(2 ** len(self.widths))

    def __post_init__(self) -> None:
        if self.patch % self.multiple:
            raise ValueError(f"patch {self.patch} is no multiple of {self.multiple}")


CPU = PriorConfig()
WORKSTATION = PriorConfig((96, 192, 256), blocks=2, patch=96)
GPU = PriorConfig((128, 256, 384, 512), blocks=2, patch=128)


class Block(nn.Module):
    """x + conv(silu(conv(silu(x)) + noise)), (B, C, H, W); the last convolution starts at zero."""

    def __init__(self, channels: int, noise_width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.noise = nn.Linear(noise_width, channels)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        inner = self.conv1(F.silu(x)) + self.noise(noise)[:, :, None, None]
        out: Tensor = x + self.conv2(F.silu(inner))
        return out


class Level(nn.ModuleList):
    """Blocks in a row."""

    def __init__(self, count: int, channels: int, noise_width: int) -> None:
        super().__init__(Block(channels, noise_width) for _ in range(count))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        for block in self:
            x = block(x, noise)
        return x


class PriorUNet(nn.Module):
    """F of EDM: (B, 3, H, W) scaled to unit variance and c_noise (B,) -> (B, 3, H, W); H and W
    multiples of `config.multiple`."""

    def __init__(self, config: PriorConfig = CPU) -> None:
        super().__init__()
        self.config = config
        widths, blocks = config.widths, config.blocks
        noise_width = 4 * widths[0]
        self.noise = TimeEmbedding(widths[0])
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(Level(blocks, c, noise_width) for c in widths)
        self.decoder = nn.ModuleList(Level(blocks, c, noise_width) for c in widths[:-1])
        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in steps
        )
        self.head = nn.Conv2d(widths[0], 12, 3, padding=1)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        level = F.silu(self.noise(NOISE_SCALE * noise))  # (B, 4·width)
        x = self.stem(F.pixel_unshuffle(x, 2))
        skips = []
        for index, blocks in enumerate(self.encoder):
            x = blocks(self.down[index - 1](x) if index else x, level)
            skips.append(x)
        x = skips.pop()
        for index in reversed(range(len(self.decoder))):
            x = self.decoder[index](skips[index] + self.up[index](x), level)
        out: Tensor = F.pixel_shuffle(self.head(F.silu(x)), 2)
        return out
