"""Networks that compete in the sweep: picture (B, 3, H, W) in [-1, 1] -> restored picture.

PlainUNet in several widths and depths; TwoPath, a wide trunk at a quarter of the resolution with or
without a shallow path at half of it that keeps the detail; FFDNet's published shape as the anchor
that ties peers measured elsewhere to this machine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid_student.layers import RepConv, ResidualBlock
from pellucid_student.plain_unet import NANO, PICO, TINY, PlainUNet, PlainUNetConfig
from pellucid_student.steps import pad
from pellucid_student.student import Student
from pellucid_student.train import BODY as STUDENT_BODY
from pellucid_teacher.networks.diffuir_unet import PRESETS, DiffUIRUNet
from pellucid_teacher.processes import diffuir
from pellucid_teacher.system import Condition


class DepthwiseBlock(nn.Module):
    """x + pointwise(relu(depthwise(x))): few operations, much memory traffic."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.pointwise(F.relu(self.depthwise(x)))
        return out


class GatedBlock(nn.Module):
    """x + conv(a·b) with a, b the halves of one 3x3 convolution (NAFNet's simple gate)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = RepConv(channels, 2 * channels)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.expand(x).chunk(2, dim=1)
        out: Tensor = x + self.project(a * b)
        return out


BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "plain": ResidualBlock,
    "depthwise": DepthwiseBlock,
    "gated": GatedBlock,
}


@dataclass(frozen=True)
class TwoPathConfig:
    """width, depth: channels and blocks of the trunk at 1/unshuffle. detail, detail_blocks: of the
    path at half resolution; detail 0 leaves it out."""

    width: int = 96
    depth: int = 4
    unshuffle: int = 4
    detail: int = 32
    detail_blocks: int = 1
    block: str = "plain"


class TwoPath(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1], H and W multiples of `unshuffle`."""

    def __init__(self, config: TwoPathConfig) -> None:
        super().__init__()
        self.config = config
        block, r = BLOCKS[config.block], config.unshuffle
        self.into = RepConv(3 * r * r, config.width)
        self.trunk = nn.Sequential(*(block(config.width) for _ in range(config.depth)))
        self.stem = self.fine = self.up = None
        if config.detail:
            self.stem = RepConv(12, config.detail)
            self.fine = nn.Sequential(*(block(config.detail) for _ in range(config.detail_blocks)))
            self.up = nn.ConvTranspose2d(config.width, config.detail, r // 2, stride=r // 2)
            self.head = RepConv(config.detail, 12, gain=0.01)
        else:
            self.head = RepConv(config.width, 3 * r * r, gain=0.01)

    def forward(self, picture: Tensor, scene: Tensor | None = None) -> Tensor:
        """What the picture should be, (B, 3, H, W); the scene is not read."""
        x = self.trunk(F.relu(self.into(F.pixel_unshuffle(picture, self.config.unshuffle))))
        if self.stem is None or self.fine is None or self.up is None:
            coarse: Tensor = F.pixel_shuffle(self.head(x), self.config.unshuffle)
            return picture + coarse
        fine = F.relu(self.stem(F.pixel_unshuffle(picture, 2)))  # (B, detail, H/2, W/2)
        detail: Tensor = F.pixel_shuffle(self.head(self.fine(fine + self.up(x))), 2)
        return picture + detail


class FFDNetShape(nn.Module):
    """FFDNet's published colour shape: 12 convolutions of 96 channels at half resolution."""

    def __init__(self) -> None:
        super().__init__()
        widths = [15, *([96] * 11), 12]
        self.body = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )

    def forward(self, picture: Tensor, scene: Tensor | None = None) -> Tensor:
        x = F.pixel_unshuffle(picture, 2)
        level = torch.zeros_like(x[:, :3])  # the noise map
        x = torch.cat([x, level], dim=1)
        for index, conv in enumerate(self.body):
            x = conv(x) if index == len(self.body) - 1 else F.relu(conv(x))
        return F.pixel_shuffle(x, 2)


class DiffUIRStep(nn.Module):
    """One step of DiffUIR-T, from its start state without noise."""

    def __init__(self) -> None:
        super().__init__()
        self.network = DiffUIRUNet(PRESETS["diffuir-t"])
        self.start = 1.0 - float(diffuir.schedule().delta_bar[-1])

    def forward(self, picture: Tensor, scene: Tensor | None = None) -> Tensor:
        time = picture.new_full((len(picture),), 993.65)  # 1000·ᾱ_T
        restored: Tensor = picture - self.network(self.start * picture, picture, time)
        return restored


class OneCall(Student):
    """A candidate as a system: one call, whatever the network."""

    def sample(
        self, condition: Condition, steps: int | None, generator: torch.Generator | None
    ) -> Tensor:
        restored: Tensor = self.network(pad(condition.picture, 32)).clamp(-1.0, 1.0)
        return restored


def plain(widths: tuple[int, ...], depth: int = 1) -> PlainUNetConfig:
    return PlainUNetConfig(widths, (depth,) * len(widths), (depth,) * (len(widths) - 1))


ANCHOR = "ffdnet-shape"
TIMED_ONLY = (ANCHOR, "diffuir-t")  # never trained here
BODY = rf"{STUDENT_BODY}|(trunk|fine)\..*weight"  # kernels that Muon trains, TwoPath's too
CANDIDATES: dict[str, Callable[[], nn.Module]] = {
    ANCHOR: FFDNetShape,
    "diffuir-t": DiffUIRStep,
    "tiny": lambda: PlainUNet(TINY),
    "nano": lambda: PlainUNet(NANO),
    "pico": lambda: PlainUNet(PICO),
    "unet-48-64-32-32": lambda: PlainUNet(plain((48, 64, 32, 32))),
    "unet-48-64-96": lambda: PlainUNet(plain((48, 64, 96))),
    "unet-16-48-96-96": lambda: PlainUNet(plain((16, 48, 96, 96))),
    "unet-32-64-96": lambda: PlainUNet(plain((32, 64, 96))),
    "unet-32-64-96-x2": lambda: PlainUNet(plain((32, 64, 96), 2)),
    "unet-48-96-96": lambda: PlainUNet(plain((48, 96, 96))),
    "flat-r4-96x4": lambda: TwoPath(TwoPathConfig(detail=0)),
    "two-path-96x4-d16": lambda: TwoPath(TwoPathConfig(detail=16)),
    "two-path-96x4-d32": lambda: TwoPath(TwoPathConfig()),
    "two-path-64x4-d32": lambda: TwoPath(TwoPathConfig(width=64)),
    "two-path-96x4-d32-depthwise": lambda: TwoPath(TwoPathConfig(block="depthwise")),
    "two-path-96x4-d32-gated": lambda: TwoPath(TwoPathConfig(block="gated")),
    "two-path-r8-128x4-d32": lambda: TwoPath(TwoPathConfig(width=128, unshuffle=8)),
}
