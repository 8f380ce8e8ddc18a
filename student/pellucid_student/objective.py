"""The student's loss: PSNR of one call, at the pictures that its own steps visit, given amounts
as it will be: mostly its estimator's, at times by hand, at times wrong.

    L = mean_b log( rms(S - GT) + λ·|S - T| + ENOUGH ) + ω·ST-LPIPS(S, GT)

S, T and GT are the student's, the teacher's and the clean picture. But for ENOUGH the first part is
PSNR: the logarithm weighs a sample by the inverse of its own error; without it the worst samples of
a batch decide alone. L1 in place of the RMS leaves more of the brightest streaks (0.1 dB on noise,
0.3 dB on rain).

A student restores without noise, so it learns without noise too. A later call sees a picture,
half-restored (steps.py), and is an ordinary call on that picture.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid_teacher.data.stream import Batch
from pellucid_teacher.training.checkpoint import run_so_far
from pellucid_teacher.training.config import TrainConfig
from pellucid_teacher.training.loop import StepReport

from .losses import Losses, annealed, l1, rms
from .perceptual import load_st_lpips, st_lpips
from .scene import SCENE_SIZE

# Softens the logarithm (root mean square error, scale 2) where a sample is as good as clean.
ENOUGH = 0.05
# Shares of the samples whose amounts are given by hand; tremble (half of them by hand); lack one.
BY_HAND, TREMBLING, MISSED = 0.3, 0.2, 0.1
LEAST_INPUT_WEIGHT = 0.4  # of what was given, in a later call's picture; a third one sees a half

Restore = Callable[[Tensor], Tensor]  # (B, 3, H, W) in [-1, 1] -> same


class StudentLoss:
    """The loss of one step. teacher: its restored pictures, or None. detailed: False: of a network
    of two scales, what sees the whole picture alone.

    progress: 0..1 of the run, set by `following`; the teacher's weight follows it.
    """

    def __init__(
        self,
        losses: Losses | None = None,
        teacher: Restore | None = None,
        detailed: bool = True,
    ) -> None:
        self.losses, self.detailed = losses or Losses(), detailed
        asked = max(self.losses.teacher, self.losses.teacher_end) > 0.0
        self.teacher, self.progress = teacher if asked else None, 0.0
        self.st_lpips = load_st_lpips() if self.losses.perceptual else {}

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """network: the student, also inside DistributedDataParallel. Returns ()."""
        target = self.teacher_picture(batch.degraded, generator)
        seen = at_some_call(network, batch, generator, self.losses.later, self.detailed)
        scene = given_scene(network, seen, generator)
        restored = one_call(network, seen, scene, self.detailed)
        return self.value(restored.float(), batch.clean, target)

    def teacher_picture(self, degraded: Tensor, generator: torch.Generator) -> Tensor | None:
        """What the teacher makes of a batch, if it is asked in this step."""
        share = self.losses.teacher_share
        if self.teacher is None:
            return None
        asked = share == 1.0 or float(torch.rand(1, generator=generator)) < share
        return self.teacher(degraded) if asked else None

    def value(self, restored: Tensor, clean: Tensor, target: Tensor | None) -> Tensor:
        """L of pictures like `clean`, (B, 3, H, W); target: the teacher's. Returns ()."""
        losses = self.losses
        error = rms(restored, clean)  # (B,)
        if target is not None:
            weight = annealed(losses.teacher, losses.teacher_end, self.progress)
            error = error + weight * l1(restored, target)
        value = torch.log(error + ENOUGH).mean()
        if losses.perceptual:
            distance = st_lpips(self.st_lpips, restored, clean).mean()
            value = value + losses.perceptual * distance
        return value


class EnlargingLoss(StudentLoss):
    """See `StudentLoss`; for networks that enlarge: no scene, no later calls."""

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        target = self.teacher_picture(batch.degraded, generator)
        return self.value(network(batch.degraded).float(), batch.clean, target)


def one_call(
    network: nn.Module, batch: Batch, scene: Tensor | None = None, detailed: bool = True
) -> Tensor:
    """What one call makes of a batch's degraded pictures, (B, 3, H, W), unclipped."""
    given: list[Any] = [batch.degraded]
    if batch.thumbnail is not None or not detailed:
        given += [scene, batch.thumbnail, batch.window, detailed]
    elif scene is not None:  # of one scale, or pictures that are whole
        given.append(scene)
    restored: Tensor = network(*given)
    return restored


@torch.no_grad()
def half_restored(network: nn.Module, batch: Batch, weight: float, detailed: bool = True) -> Batch:
    """weight·I_in + (1 - weight)·network(I_in) in place of the degraded pictures: what a later call
    sees. Whole pictures, of which a part alone is restored, are so without detail."""
    estimate = one_call(network, batch, detailed=detailed)
    changed = replace(batch, degraded=_between(estimate, batch.degraded, weight))
    if batch.thumbnail is None:
        return changed
    estimate = one_call(network, Batch(batch.thumbnail, batch.thumbnail), detailed=False)
    return replace(changed, thumbnail=_between(estimate, batch.thumbnail, weight))


def _between(estimate: Tensor, given: Tensor, weight: float) -> Tensor:
    estimate = estimate.float()
    return estimate + weight * (given - estimate)


def at_some_call(
    network: nn.Module,
    batch: Batch,
    generator: torch.Generator,
    later: float,
    detailed: bool = True,
) -> Batch:
    """The batch as a first call gets it or, a share `later` of the time, as a later one does."""
    draw, how_far = torch.rand(2, generator=generator).tolist()
    if draw >= later:
        return batch
    weight = LEAST_INPUT_WEIGHT + (1.0 - LEAST_INPUT_WEIGHT) * how_far
    return half_restored(network, batch, weight, detailed)


@torch.no_grad()
def given_scene(model: nn.Module, seen: Batch, generator: torch.Generator) -> Tensor | None:
    """The scene vector that the model is given, (B, scene_size); None where it is to measure it.

    Its amounts are the estimator's in most samples; in some the true ones, as if given by hand, in
    some they tremble, and in some one of them is missed.
    """
    network: Any = getattr(model, "module", model)
    network = getattr(network, "_orig_mod", network)
    if seen.amounts is None or not network.degradations:
        return None
    scene: Tensor = network.scene_of(seen.degraded)
    statistics, estimated = scene[:, :SCENE_SIZE], scene[:, SCENE_SIZE:]
    known = torch.where(seen.amounts.isnan(), estimated, seen.amounts)
    draws = torch.rand(len(scene), 2, generator=generator).to(scene.device)
    noise = torch.randn(estimated.shape, generator=generator).to(scene.device)
    missed = (draws[:, 1:] * estimated.shape[1]).long()  # (B, 1)
    given = torch.where(draws[:, :1] < BY_HAND, known, estimated)
    trembling = (draws[:, :1] - BY_HAND).abs() < TREMBLING / 2.0
    given = torch.where(trembling, (given + 0.15 * noise).clamp(0.0, 1.0), given)
    given = torch.where(draws[:, :1] > 1.0 - MISSED, given.scatter(1, missed, 0.0), given)
    return torch.cat([statistics, given], dim=1)


def following(
    loss: StudentLoss,
    reports: Iterator[StepReport],
    training: TrainConfig,
    folder: Path,
    minutes: float | None,
) -> Iterator[StepReport]:
    """The reports of a run in `folder`, while the loss is kept up with how far it has come.

    reports: of a run that has not begun. minutes: its time budget, or None.
    """
    # A step's progress must be known before the step, also for the first one after a resume.
    step, elapsed = run_so_far(folder)
    loss.progress = max(
        step / training.steps, 0.0 if minutes is None else elapsed / (60.0 * minutes)
    )
    for report in reports:
        loss.progress = max(report.progress, report.step / training.steps)
        yield report
