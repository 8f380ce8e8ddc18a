"""ResShift (Yue et al., NeurIPS 2023, arXiv 2307.12348; journal 2403.07319) in pixels.

The published system works in the latents of a VQ-GAN, whose weights are not free for every use;
this one shifts the residual of the pixels themselves, by the same equations and schedules. With
`scale` above 1 it enlarges: the process starts from the picture enlarged bicubically, and the
network sees the small one. With `fills` it fills holes: the process starts from the picture with
black holes, the network sees that and the mask, and known pixels come back as they were.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.corpus import Corpus
from ..data.masks import PUBLISHED as PUBLISHED_MASKS
from ..data.masks import RETOUCH, MaskRecipe
from ..data.stream import Batch, Samples
from ..data.task_samples import Enlarging, Faces, Holes
from ..denoiser import Denoiser
from ..networks.diffuir_unet import DIFFUIR_B, DiffUIRConfig, DiffUIRUNet
from ..networks.swin_unet import SwinUNet, SwinUNetConfig
from ..processes import resshift
from ..system import BaseSystem, Condition, Preset, SystemKind, read_options
from ..training.config import SMALL, Recipe, TrainConfig

NAME = "resshift"


@dataclass(frozen=True)
class ResShiftOptions:
    """steps, least, kappa: of `resshift.schedule`. scale: sides of the result over the input's.
    fills: takes a mask. residual: the network predicts y - x_0 instead of x_0, and begins near the
    identity. deterministic: SinSR's steps instead of draws from the posterior."""

    network: DiffUIRConfig | SwinUNetConfig
    steps: int = 4
    least: float = 0.2
    kappa: float = resshift.KAPPA
    scale: int = 1
    fills: bool = False
    residual: bool = True
    deterministic: bool = False


class ResShift(BaseSystem):
    """See `System`."""

    def __init__(self, options: ResShiftOptions) -> None:
        self.options, self.scale = options, options.scale
        network = (
            DiffUIRUNet(options.network)
            if isinstance(options.network, DiffUIRConfig)
            else SwinUNet(options.network)
        )
        if options.residual:
            network.begin_at_zero()
        self.network: torch.nn.Module = network
        self.schedule = resshift.schedule(options.steps, options.least, options.kappa)

    def prepare(self, degraded: Tensor, mask: Tensor | None = None) -> Condition:
        """picture: y. guides["seen"]: what the network is shown beside x_t. mask (B, 1, H, W): 1 is
        to be filled, 0 known."""
        network, scale = self.options.network, self.scale
        is_swin = isinstance(network, SwinUNetConfig)
        if isinstance(network, SwinUNetConfig) and scale == 1:
            degraded = _padded(degraded, network.fold)
            mask = None if mask is None else _padded(mask, network.fold)
        if self.options.fills:
            mask = torch.zeros_like(degraded[:, :1]) if mask is None else mask
            y = torch.where(mask > 0.5, -1.0, degraded)
            seen = torch.cat([y, 2.0 * mask - 1.0], dim=1)
            return Condition(y, {"seen": seen, "mask": mask})
        degraded = super().prepare(degraded, mask).picture
        if scale == 1:
            return Condition(degraded, {"seen": degraded})
        y = F.interpolate(degraded, scale_factor=scale, mode="bicubic").clamp(-1.0, 1.0)
        return Condition(y, {"seen": degraded if is_swin else y})

    def _denoiser(self, y: Tensor) -> Denoiser:
        """x_0 as the network sees it, (x_t, seen, t - 1) -> (B, 3, H, W)."""
        scaled = resshift.preconditioned(self.network, self.schedule)
        if not self.options.residual:
            return scaled
        return lambda x_t, seen, time: y - scaled(x_t, seen, time)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """E_t |x̂_0 - x_0|², t ~ U{1..T}."""
        degraded, mask = batch.degraded, None
        if self.options.fills:
            degraded, mask = degraded[:, :3], (degraded[:, 3:] + 1.0) / 2.0
        condition = self.prepare(degraded, mask)
        y = condition.picture
        t = torch.randint(1, self.schedule.steps + 1, (len(y),), generator=generator).to(y.device)
        noise = torch.randn(y.shape, generator=generator).to(y.device)
        return resshift.loss(
            self._denoiser(y), self.schedule, batch.clean, y, t, noise, condition.guides["seen"]
        )

    def sample(
        self, condition: Condition, steps: int | None, generator: torch.Generator | None
    ) -> Tensor:
        if steps not in (None, self.schedule.steps):
            expected = self.schedule.steps
            raise ValueError(f"this ResShift learnt a chain of {expected} steps, got {steps}")
        y, guides = condition.picture, condition.guides
        restored = resshift.sample(
            self._denoiser(y),
            self.schedule,
            y,
            guides["seen"],
            deterministic=self.options.deterministic,
            generator=generator,
        )
        return torch.where(guides["mask"] > 0.5, restored, y) if "mask" in guides else restored

    def header(self) -> dict[str, Any]:
        return {"system": NAME, **asdict(self.options)}


def _padded(picture: Tensor, multiple: int) -> Tensor:
    """Right and bottom edges repeated up to multiples, (B, C, H, W)."""
    height, width = picture.shape[-2:]
    return F.pad(picture, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def from_header(header: Mapping[str, Any]) -> ResShift:
    network = dict(header["network"])
    network["multipliers"] = tuple(network["multipliers"])
    is_swin = "swin_width" in network
    config = SwinUNetConfig(**network) if is_swin else DiffUIRConfig(**network)
    return ResShift(read_options(ResShiftOptions, config, header))


# Adam 5e-5 to 2e-5, 5,000 steps of warm-up, 400 k at batch 96 in parts of 12, EMA 0.999 (journal).
PUBLISHED = Recipe(
    TrainConfig(
        steps=400_000, batch_size=12, accumulate=8, lr=5e-5, final_lr=2e-5, warmup=5000, clip=1.0
    ),
    crop=256,
)
# Hours of two cores; crops of 128 px, which are 32 px before enlarging.
HOURS = Recipe(
    TrainConfig(steps=60_000, batch_size=16, lr=5e-4, final_lr=1e-5, warmup=500, clip=1.0), crop=128
)


def enlarging(corpus: Corpus, crop: int) -> Samples:
    return Enlarging(corpus, crop)


def blind_enlarging(corpus: Corpus, crop: int) -> Samples:
    return Enlarging(corpus, crop, is_blind=True)


def faces(corpus: Corpus, crop: int) -> Samples:
    return Faces(corpus, crop)


def holes(recipe: MaskRecipe, corpus: Corpus, crop: int) -> Samples:
    return Holes(corpus, crop, recipe)


# The published widths on pixels folded by 4, on the grid of a x4 enlargement's input; and a small
# network for two cores. Holes and faces keep their size: the condition comes by two halvings.
LARGE_SWIN = SwinUNetConfig(fold=4)
SMALL_SWIN = SwinUNetConfig(width=64, multipliers=(1, 1, 2), blocks=1, swin_width=64, fold=4)


def _task(network: SwinUNetConfig, task: str) -> ResShiftOptions:
    """Options of sr4, sr4-real, face or inpaint."""
    if task.startswith("sr4"):
        return ResShiftOptions(network, scale=4)
    network = replace(network, halvings=2, condition=4 if task == "inpaint" else 3)
    return ResShiftOptions(network, fills=task == "inpaint")


Draw = Callable[[Corpus, int], Samples]
DRAWN: dict[str, tuple[Draw, Draw]] = {
    "sr4": (enlarging, enlarging),
    "sr4-real": (blind_enlarging, blind_enlarging),
    "face": (faces, faces),
    "inpaint": (partial(holes, RETOUCH), partial(holes, PUBLISHED_MASKS)),
}


def _presets() -> dict[str, Preset]:
    small = ResShiftOptions(DiffUIRConfig(16, (1, 1, 1, 1)))
    conference = ResShiftOptions(DIFFUIR_B, 15, 0.04, residual=False)
    presets = {
        "small": Preset(partial(ResShift, small), SMALL),
        "pixel-15": Preset(partial(ResShift, conference), PUBLISHED),
        "pixel-4": Preset(partial(ResShift, replace(conference, steps=4, least=0.2)), PUBLISHED),
    }
    for task, (few, many) in DRAWN.items():
        make = partial(ResShift, _task(SMALL_SWIN, task))
        presets[task] = Preset(make, replace(HOURS, draw=few))
        make = partial(ResShift, _task(LARGE_SWIN, task))
        presets[f"{task}-published"] = Preset(make, replace(PUBLISHED, draw=many))
    return presets


KIND = SystemKind(NAME, _presets(), from_header)
