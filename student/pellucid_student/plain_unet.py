"""PlainUNet: the student network.

Notable choices, each for a device
- Pixel-unshuffle by 2 at the stem, pixel-shuffle at the head: no full-resolution convolution.
- Plain 3x3 convolutions and ReLU; no norm, no attention, no product of maps, no depthwise layer:
  these cost more time than their operations say, and NPUs fall back on them.
- Additive skips: no concatenation to move through memory.
- The receptive field is bounded, so overlapping tiles give the very same pixels.
- What needs the whole picture comes in as the scene vector, statistics of the picture and amounts
  of what is wrong with it (estimator.py), which may be told by hand: it becomes one code that
  enters as a bias per channel of every level, as one inside every block (its gate) and as a tone
  curve on the input.
- Haze and darkness are of the whole picture but not alike everywhere: networks of two scales have
  a second, smaller U-Net for the whole picture (thumbnail.py), which refines the tone curve.

What it is: the noise-free, deterministic form of DiffUIR's sampler. Without noise a state of that
sampler is a mix of the degraded picture and the estimates so far, itself a picture, so a step is
a map from picture to picture and needs no time: this network. `steps.py` has two and three steps.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.degradations import DEGRADATIONS

from .classifier import TaskClassifier
from .estimator import MULTIPLE, Estimator, ReadAmounts
from .layers import Chain, RepConv
from .scene import BAND, SCENE_SIZE, measure_scene
from .thumbnail import ThumbnailNet, changed, enlarge, fit, shrink

# What the classifier of the first weights tells apart; files without names of their own have these.
FIRST_DEGRADATIONS = ("rain", "lowlight", "haze", "snow", "blur", "noise", "clean")


@dataclass(frozen=True)
class PlainUNetConfig:
    """Widths and depths from 1/2 resolution down; the last level has no decoder of its own.

    diagnosis_width: of the classifier that networks made before the estimator have in its place; 0:
    the estimator. degradations: what either of them tells, in the order of its outputs.
    thumbnail_widths: of the network for the whole picture, from half of its grid down; (): none.
    """

    widths: tuple[int, ...] = (32, 64, 96, 80)
    encoder_blocks: tuple[int, ...] = (1, 1, 1, 1)
    decoder_blocks: tuple[int, ...] = (2, 1, 1)
    code_width: int = 64
    diagnosis_width: int = 0
    degradations: tuple[str, ...] = DEGRADATIONS
    thumbnail_widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        levels = len(self.widths)
        if len(self.encoder_blocks) != levels or len(self.decoder_blocks) != levels - 1:
            raise ValueError(
                f"{levels} widths need {levels} encoder and {levels - 1} decoder entries, got "
                f"{self.encoder_blocks} and {self.decoder_blocks}"
            )
        if any(width % 16 for width in self.widths):
            raise ValueError(f"widths must be multiples of 16 (vector units), got {self.widths}")

    @property
    def scene_size(self) -> int:
        """Length of the scene vector: statistics and, if there is an estimator, amounts."""
        return SCENE_SIZE + (len(self.degradations) if self.diagnosis_width == 0 else 0)

    @property
    def multiple(self) -> int:
        """Input height and width must be multiples of this: whole cells of the network and of the
        scene vector."""
        return max(BAND, MULTIPLE, int(2 ** len(self.widths)))

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> "PlainUNetConfig":
        """The config that `to_dict` wrote, also after a trip through JSON (lists for tuples)."""
        return cls(
            widths=tuple(entries["widths"]),
            encoder_blocks=tuple(entries["encoder_blocks"]),
            decoder_blocks=tuple(entries["decoder_blocks"]),
            code_width=int(entries["code_width"]),
            diagnosis_width=int(entries["diagnosis_width"]),
            degradations=tuple(entries.get("degradations", FIRST_DEGRADATIONS)),
            thumbnail_widths=tuple(entries.get("thumbnail_widths", ())),
        )


TINY = PlainUNetConfig()
NANO = PlainUNetConfig((32, 48, 32, 32))  # what pruning tiny gives
PICO = PlainUNetConfig((16, 32, 32), (1, 1, 1), (1, 1), code_width=24)
# Too large for a phone: a teacher of the others, 5 times the parameters and 4 times the operations.
LARGE = PlainUNetConfig((64, 112, 160, 192), (1, 1, 2, 2), (2, 2, 2), code_width=96)
# Two scales: what pruning leaves of the body, and a network for the whole picture.
TINY_TWO_SCALE = PlainUNetConfig((32, 64, 64, 32), thumbnail_widths=(24, 32, 48, 64))
NANO_TWO_SCALE = PlainUNetConfig((32, 48, 16, 16), thumbnail_widths=(16, 16, 24, 24))
PICO_TWO_SCALE = PlainUNetConfig((16, 32), (1, 1), (1,), code_width=16, thumbnail_widths=(8, 8, 8))
PRESETS = {
    "tiny": TINY,
    "nano": NANO,
    "pico": PICO,
    "tiny-two-scale": TINY_TWO_SCALE,
    "nano-two-scale": NANO_TWO_SCALE,
    "pico-two-scale": PICO_TWO_SCALE,
    "large": LARGE,
}


class PlainUNet(nn.Module):
    """One call of a restorer: pictures (B, 3, H, W) in [-1, 1] -> what they should be, same.

    H and W must be multiples of `config.multiple`.
    """

    def __init__(self, config: PlainUNetConfig = TINY) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = RepConv(24, widths[0])  # the picture and its toned copy
        self.encoder = nn.ModuleList(
            Chain(n, c, config.code_width)
            for n, c in zip(config.encoder_blocks, widths, strict=True)
        )
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2)
            for fine, coarse in zip(widths[:-1], widths[1:], strict=True)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2)
            for fine, coarse in zip(widths[:-1], widths[1:], strict=True)
        )
        self.decoder = nn.ModuleList(
            Chain(n, c, config.code_width)
            for n, c in zip(config.decoder_blocks, widths[:-1], strict=True)
        )
        self.head = RepConv(widths[0], 12, gain=0.01)
        self.read_scene = nn.Linear(SCENE_SIZE, config.code_width)
        self.estimator: Estimator | None = None
        if config.diagnosis_width == 0:
            self.estimator = Estimator().requires_grad_(False)
            self.read_amounts = ReadAmounts(config.code_width)
        else:
            names = config.degradations
            self.diagnosis = TaskClassifier(config.diagnosis_width, names).requires_grad_(False)
            self.read_diagnosis = nn.Linear(len(names), config.code_width, bias=False)
        self.code = nn.Linear(config.code_width, config.code_width)
        self.bias = nn.ModuleList(nn.Linear(config.code_width, c) for c in widths)
        self.curve = nn.Linear(config.code_width, 9)
        nn.init.zeros_(self.curve.weight)
        nn.init.zeros_(self.curve.bias)
        self.thumbnail: ThumbnailNet | None = None
        if config.thumbnail_widths:
            self.thumbnail = ThumbnailNet(config.thumbnail_widths, config.code_width)

    def forward(
        self,
        picture: Tensor,
        scene: Tensor | None = None,
        thumbnail: Tensor | None = None,
        window: Tensor | None = None,
        detailed: bool = True,
    ) -> Tensor:
        """One call: what the picture should be, (B, 3, H, W) in [-1, 1] -> same, unclipped.

        scene: (B, scene_size) of the whole picture, if `picture` is a part of it or mirrored;
        None: measure it here.
        thumbnail, window: of the whole picture, (B, 3, GRID, GRID), if `picture` is a part of it,
        and where it lies in it (`thumbnail.enlarge`). For networks of two scales.
        detailed: False: of pictures on the grid, (B, 3, GRID, GRID), what the whole picture's path
        alone makes of every cell.
        """
        code = self.scene_code(self.scene_of(picture) if scene is None else scene)
        if not detailed:
            return 2.0 * changed(*self._change_of(picture, code))[0] - 1.0
        maps = None
        if self.thumbnail is not None and thumbnail is None:
            maps = self.maps_of(shrink(picture), code)
        elif thumbnail is not None:
            maps = self._maps_of_parts(thumbnail, code)
        toned = self.tone(picture, code, maps, window)
        return toned + self.detail(torch.cat([picture, toned], dim=1), code)

    def maps_of(self, thumbnail: Tensor, code: Tensor) -> Tensor:
        """How the intensity changes over the whole picture, beyond the tone curve: slope and
        offset, (B, 6, GRID, GRID), from (B, 3, GRID, GRID) in [-1, 1]. For networks of two scales.
        """
        return fit(*self._change_of(thumbnail, code))

    def _change_of(self, thumbnail: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """The toned picture in [0, 1], and the log-gain and offset of each of its cells."""
        assert self.thumbnail is not None
        curved = self._curved(thumbnail, code)
        pictures = torch.cat([thumbnail, 2.0 * curved - 1.0], dim=1).to(code.dtype)
        return curved, self.thumbnail(pictures, code).to(curved.dtype)

    def _maps_of_parts(self, thumbnail: Tensor, code: Tensor) -> Tensor:
        """`maps_of`, once for parts of one picture that follow each other, with the first's code:
        what is seen whole would cost more than all the rest of a training step."""
        whole, place = torch.unique_consecutive(thumbnail, return_inverse=True, dim=0)
        first = torch.searchsorted(place, torch.arange(len(whole), device=place.device))
        return self.maps_of(whole, code[first])[place]

    def scene_of(self, picture: Tensor) -> Tensor:
        """Scene vector of pictures in [-1, 1]: (B, 3, H, W) -> (B, scene_size)."""
        return self.measure((picture + 1.0) / 2.0)

    @property
    def degradations(self) -> tuple[str, ...]:
        """Names of the amounts that end the scene vector, in their order."""
        return () if self.estimator is None else self.config.degradations

    @property
    def scene_size(self) -> int:
        """Length of the scene vector: [SCENE_SIZE statistics | amounts of `degradations`]."""
        return self.config.scene_size

    def measure(self, picture: Tensor) -> Tensor:
        """Scene vector of whole pictures in [0, 1], (B, 3, H, W) -> (B, scene_size)."""
        statistics = measure_scene(picture)
        if self.estimator is None:
            return statistics
        return torch.cat([statistics, self.estimator(picture)], dim=1)

    def scene_code(self, scene: Tensor) -> Tensor:
        """(B, scene_size) -> (B, code_width)."""
        read_amounts = self.read_diagnosis if self.estimator is None else self.read_amounts
        read = self.read_scene(scene[:, :SCENE_SIZE]) + read_amounts(self.amounts(scene))
        out: Tensor = F.relu(self.code(F.relu(read)))
        return out

    def amounts(self, scene: Tensor) -> Tensor:
        """What is wrong with the picture, (B, scene_size) -> (B, len(config.degradations)):
        amounts, or the classifier's probabilities."""
        if self.estimator is not None:
            return scene[:, SCENE_SIZE:]
        found: Tensor = self.diagnosis(scene)
        return found

    def detail(self, pictures: Tensor, code: Tensor) -> Tensor:
        """What is missing from the toned picture in [-1, 1], unclipped, (B, 3, H, W).

        pictures: the picture and its toned copy, (B, 6, H, W). code: as `scene_code` makes it.
        """
        *skips, x = self.encode(pictures, code)
        for level in reversed(range(len(skips))):
            x = self.decoder[level](skips[level] + self.up[level](x), code)
        detail: Tensor = F.pixel_shuffle(self.head(x), 2)  # (B, 3, H, W)
        return detail

    def encode(self, pictures: Tensor, code: Tensor) -> list[Tensor]:
        """The encoder's maps of `detail`'s arguments, from 1/2 resolution down, (B, C, h, w)."""
        x = F.pixel_unshuffle(pictures, 2)  # (B, 24, H/2, W/2)
        x = F.relu(self.stem(x) + self._bias(0, code))
        maps: list[Tensor] = []
        for level, blocks in enumerate(self.encoder):
            if level > 0:
                x = F.relu(self.down[level - 1](x) + self._bias(level, code))
            x = blocks(x, code)
            maps.append(x)
        return maps

    def _bias(self, level: int, code: Tensor) -> Tensor:
        bias: Tensor = self.bias[level](code)[:, :, None, None]  # (B, C, 1, 1)
        return bias

    def tone(
        self,
        picture: Tensor,
        code: Tensor,
        maps: Tensor | None = None,
        window: Tensor | None = None,
    ) -> Tensor:
        """The picture with its intensity set right, (B, 3, H, W) in [-1, 1] -> same, unclipped.

        maps: of `maps_of`, for networks of two scales; window: see `thumbnail.enlarge`.
        """
        toned = self._curved(picture, code)
        if maps is not None:
            maps = enlarge(maps, picture.shape[2], picture.shape[3], window)
            slope, offset = maps.chunk(2, dim=1)  # (B, 3, H, W)
            toned = slope * toned + offset
        return 2.0 * toned - 1.0

    def _curved(self, picture: Tensor, code: Tensor) -> Tensor:
        """Global tone curve per channel, [-1, 1] -> [0, 1]:  y = s·g·v / (1 + (g - 1)·v) + o.

        g is the gain at black; g = s = 1, o = 0 is the identity and the curve's start value.
        """
        log_gain, scale, offset = self.curve(code)[:, :, None, None].to(picture.dtype).chunk(3, 1)
        gain = torch.exp(log_gain.clamp(-2.0, 4.0))  # (B, 3, 1, 1)
        v = (picture + 1.0) / 2.0
        curved: Tensor = v * ((1.0 + scale) * gain) / (1.0 + (gain - 1.0) * v) + offset
        return curved


def receptive_radius(config: PlainUNetConfig) -> int:
    """Upper bound in pixels of how far an output pixel looks, by summing every layer's reach.

    A 3x3 convolution at scale k adds k; crossing a 2x2 stride-2 layer at scale k adds k (the
    pixel may sit at either end of its cell), once going down and not again going up.
    """
    reach = 2 + 2 + 1  # stem and head at 1/2, and the unshuffle's cell
    for level, blocks in enumerate(config.encoder_blocks):
        decoder = config.decoder_blocks[level] if level < len(config.decoder_blocks) else 0
        scale = 2 ** (level + 1)
        reach += 2 * (blocks + decoder) * scale
        if level > 0:
            reach += scale // 2
    return reach
