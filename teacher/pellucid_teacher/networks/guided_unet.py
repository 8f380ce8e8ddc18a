"""A fully convolutional U-Net guided by structure at several scales (Ren et al., ICCV 2023, arXiv
2212.01789): image-conditional diffusion for deblurring that holds out of its domain.

    guidance at 1/s   gray(y) reduced by s -> 3x3 -> residual blocks -> g_s -> 3x3: gray(x) reduced
    encoder at 1/s    x + 1x1(g_s), then residual blocks; the decoder and other scales are plain

Gray takes away colour as a shortcut, and a reduced picture has little blur: its sharp structure can
be found on cameras that training never saw. The regression of each scale is trained beside the
denoiser and thrown away; its last features stay. Widths and schedule are ours: the paper's are not
public.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import TimeEmbedding

LUMA = (0.299, 0.587, 0.114)
LEVEL_SCALE = 1000.0  # noise levels in [0, 1] on the scale of the sinusoids


@dataclass(frozen=True)
class GuidanceConfig:
    """scales: reductions that guide, powers of 2. width, blocks: of each regression.
    gray, reduced: False ablates the two ideas (colour, full-size guidance). injected: False keeps
    only the auxiliary loss."""

    scales: tuple[int, ...] = (2, 4, 8)
    width: int = 16
    blocks: int = 2
    gray: bool = True
    reduced: bool = True
    injected: bool = True


@dataclass(frozen=True)
class GuidedUNetConfig:
    """widths: channels from the first level down. fold: pixels are unshuffled by this factor, so
    the first level lies at 1/fold. blocks: residual blocks a level. guidance: None for a plain
    network."""

    widths: tuple[int, ...] = (64, 128, 192, 256)
    fold: int = 1
    blocks: int = 2
    guidance: GuidanceConfig | None = GuidanceConfig()

    @property
    def multiple(self) -> int:
        """Input height and width must be multiples of this."""
        return int(self.fold * 2 ** (len(self.widths) - 1))

    def __post_init__(self) -> None:
        if self.guidance is not None:
            there = [self.fold * 2**level for level in range(len(self.widths))]
            missing = [scale for scale in self.guidance.scales if scale not in there]
            if missing:
                raise ValueError(f"no level at 1/{missing[0]}: the levels are at 1/{there}")


PUBLISHED = GuidedUNetConfig()  # for a GPU
SMALL = GuidedUNetConfig((32, 48, 64, 64), fold=2, blocks=1)  # for two cores
PRESETS = {"published": PUBLISHED, "small": SMALL}


class Block(nn.Module):
    """x + conv(relu(conv(x) + level)), (B, C, H, W); the last convolution starts at zero."""

    def __init__(self, channels: int, level_width: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.level = nn.Linear(level_width, channels) if level_width else None
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        inner = self.conv1(x)
        if self.level is not None:
            inner = inner + self.level(level)[:, :, None, None]
        out: Tensor = x + self.conv2(F.relu(inner))
        return out


class Guidance(nn.Module):
    """The regressions of all scales: (B, 3, H, W) in [-1, 1] -> features by scale."""

    def __init__(self, config: GuidanceConfig) -> None:
        super().__init__()
        self.config = config
        self.branches, self.heads = nn.ModuleDict(), nn.ModuleDict()
        for scale in config.scales:
            planes = (1 if config.gray else 3) * (1 if config.reduced else scale**2)
            self.branches[str(scale)] = nn.Sequential(
                nn.Conv2d(planes, config.width, 3, padding=1),
                *(Block(config.width) for _ in range(config.blocks)),
            )
            self.heads[str(scale)] = nn.Conv2d(config.width, planes, 3, padding=1)

    def structure(self, picture: Tensor, scale: int) -> Tensor:
        """What the regression at `scale` sees or aims at, (B, planes, H/scale, W/scale)."""
        if self.config.gray:
            weights = picture.new_tensor(LUMA)[None, :, None, None]
            picture = (picture * weights).sum(dim=1, keepdim=True)
        if self.config.reduced:
            return F.avg_pool2d(picture, scale)
        return F.pixel_unshuffle(picture, scale)  # all detail of the full size, on the level's grid

    def forward(self, picture: Tensor) -> dict[int, Tensor]:
        """Features g_s, (B, width, H/s, W/s)."""
        return {
            scale: self.branches[str(scale)](self.structure(picture, scale))
            for scale in self.config.scales
        }

    def loss(self, features: dict[int, Tensor], degraded: Tensor, clean: Tensor) -> Tensor:
        """Σ_s mean |gray(y)↓s + head(g_s) - gray(x)↓s|², ()."""
        terms = [
            (
                self.structure(degraded, scale)
                + self.heads[str(scale)](found)
                - self.structure(clean, scale)
            )
            .square()
            .mean()
            for scale, found in features.items()
        ]
        return torch.stack(terms).sum()


class GuidedUNet(nn.Module):
    """Denoiser by the denoiser contract; time is sqrt(ᾱ), (B,). Pictures (B, 3, H, W) in [-1, 1], H
    and W multiples of `config.multiple`. What it predicts (noise or clean) is the system's choice.
    """

    def __init__(self, config: GuidedUNetConfig = SMALL) -> None:
        super().__init__()
        self.config = config
        widths, fold = config.widths, config.fold
        level_width = 4 * widths[0]
        self.level = TimeEmbedding(widths[0])
        self.stem = nn.Conv2d(6 * fold**2, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(_blocks(config.blocks, c, level_width) for c in widths)
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2)
            for fine, coarse in zip(widths[:-1], widths[1:], strict=True)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2)
            for fine, coarse in zip(widths[:-1], widths[1:], strict=True)
        )
        self.decoder = nn.ModuleList(_blocks(config.blocks, c, level_width) for c in widths[:-1])
        self.head = nn.Conv2d(widths[0], 3 * fold**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        self.guidance = None if config.guidance is None else Guidance(config.guidance)
        self.inject = nn.ModuleDict()
        if config.guidance is not None and config.guidance.injected:
            for scale in config.guidance.scales:
                self.inject[str(scale)] = nn.Conv2d(
                    config.guidance.width, widths[(scale // fold).bit_length() - 1], 1
                )

    def guide(self, degraded: Tensor) -> dict[int, Tensor]:
        """Features by scale, once a picture; empty for a plain network."""
        return {} if self.guidance is None else self.guidance(degraded)

    def forward(
        self,
        x_t: Tensor,
        condition: Tensor,
        time: Tensor,
        guide: dict[int, Tensor] | None = None,
    ) -> Tensor:
        """(B, 3, H, W); guide: as `guide` makes it, None to make it here."""
        guide = self.guide(condition) if guide is None else guide
        level = F.relu(self.level(LEVEL_SCALE * time))  # (B, 4·width)
        fold = self.config.fold
        x = F.pixel_unshuffle(torch.cat([x_t, condition], dim=1), fold)
        x, skips = self.stem(x), []
        for index, blocks in enumerate(self.encoder):
            if index > 0:
                x = F.relu(self.down[index - 1](x))
            scale = fold * 2**index
            if str(scale) in self.inject:
                x = x + self.inject[str(scale)](guide[scale])
            x = _run(blocks, x, level)
            skips.append(x)
        x = skips.pop()
        for index in reversed(range(len(self.decoder))):
            x = skips[index] + self.up[index](F.relu(x))
            x = _run(self.decoder[index], x, level)
        out: Tensor = F.pixel_shuffle(self.head(x), fold)
        return out


def _blocks(count: int, channels: int, level_width: int) -> nn.ModuleList:
    return nn.ModuleList(Block(channels, level_width) for _ in range(count))


def _run(blocks: nn.Module, x: Tensor, level: Tensor) -> Tensor:
    assert isinstance(blocks, nn.ModuleList)
    for block in blocks:
        x = block(x, level)
    return x
