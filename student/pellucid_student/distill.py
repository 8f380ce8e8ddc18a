"""Distillation: the student's objective with a teacher, every ingredient a switch.

    L = mean_b log( |S - GT| + λ·g·|S - T| + φ·|F(S - GT)| + ENOUGH )  +  ω·ST-LPIPS

S, T, GT are the student's, the teacher's and the clean picture; λ falls over the run, so the truth
has the last word. With everything off but the later calls it is `objective.call_loss`; without them
too, the control that any teacher has to beat.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.stream import Batch
from pellucid_teacher.data.synthesis import Synthesis, TaskMix
from pellucid_teacher.training.checkpoint import averaged_weights
from pellucid_teacher.training.loop import Report, TrainConfig, train

from . import losses
from .dead_channels import kept_alive, look
from .diagnosis import prepare_diagnosis
from .frozen_teacher import FrozenTeacher
from .objective import ENOUGH, LATER, at_some_call
from .perceptual import load_st_lpips, st_lpips
from .plain_unet import PlainUNet
from .student import Student
from .weights import Provenance, continued, save_student


@dataclass(frozen=True)
class DistillRecipe:
    """teacher, teacher_end: weight λ of the teacher term at start and end; 0 and 0: no teacher.
    gating: pull only where the teacher is nearer to the truth than the student, by how much it is.
    teacher_share: share of the steps that ask the teacher (a large one costs more than the step).
    frequency: weight φ of the spectrum's L1.
    coarse: share of the run on targets reduced 4, then 2 times.
    unroll: share of the batches that are states which the student's own later calls will meet.
    perceptual: weight of ST-LPIPS, outside the logarithm; for a build that looks sharp at a cost in
    dB, so not part of FULL.
    """

    teacher: float = 1.0
    teacher_end: float = 0.1
    gating: bool = True
    teacher_share: float = 1.0
    frequency: float = 0.05
    coarse: float = 0.15
    unroll: float = LATER
    perceptual: float = 0.0

    def __post_init__(self) -> None:
        for name in ("teacher_share", "coarse", "unroll"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a share, expected 0..1, got {getattr(self, name)}")

    @property
    def asks_teacher(self) -> bool:
        return max(self.teacher, self.teacher_end) > 0.0


CONTROL = DistillRecipe(0.0, 0.0, False, 1.0, 0.0, 0.0, 0.0)
FULL = DistillRecipe()
PERCEPTUAL = replace(FULL, perceptual=0.1)
INGREDIENTS = ("gating", "frequency", "coarse", "unroll", "perceptual")


def with_ingredients(names: list[str], teacher: bool) -> DistillRecipe:
    """CONTROL, the teacher term if there is one, and the named ingredients of PERCEPTUAL."""
    unknown = [name for name in names if name not in INGREDIENTS]
    if unknown:
        raise ValueError(f"unknown ingredient {unknown[0]!r}; known: {', '.join(INGREDIENTS)}")
    needy = [name for name in names if name == "gating"]
    if needy and not teacher:
        raise ValueError(f"the ingredient {needy[0]!r} needs a teacher: add --teacher PATH")
    base = replace(CONTROL, teacher=FULL.teacher, teacher_end=FULL.teacher_end)
    chosen = {name: getattr(PERCEPTUAL, name) for name in names}
    return replace(base if teacher else CONTROL, **chosen)


class DistillLoss:
    """The loss of one step. `progress` (0..1 of the run) is set by whoever watches the run."""

    def __init__(self, recipe: DistillRecipe, frozen: FrozenTeacher | None = None) -> None:
        if recipe.asks_teacher and frozen is None:
            raise ValueError("this recipe asks a teacher, none was given; add --teacher PATH")
        self.recipe, self.frozen, self.progress = recipe, frozen, 0.0
        self.eye = load_st_lpips() if recipe.perceptual else {}

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """model: the student, also inside DistributedDataParallel. Returns ()."""
        recipe = self.recipe
        asked = self.frozen is not None and recipe.asks_teacher
        if asked and recipe.teacher_share < 1.0:
            asked = float(torch.rand(1, generator=generator)) < recipe.teacher_share
        seen = at_some_call(model, batch, generator, recipe.unroll)
        restored = model(seen.degraded).float()
        taught = self.frozen.restore(batch.degraded) if asked and self.frozen is not None else None
        value = torch.log(self._error(restored, seen.clean, taught) + ENOUGH).mean()
        if recipe.perceptual:
            value = value + recipe.perceptual * st_lpips(self.eye, restored, batch.clean).mean()
        return value

    def _error(self, restored: Tensor, clean: Tensor, taught: Tensor | None) -> Tensor:
        """The sum inside the logarithm, (B,)."""
        recipe = self.recipe
        factor = losses.coarseness(self.progress, recipe.coarse)
        restored, clean = losses.pooled(restored, factor), losses.pooled(clean, factor)
        error = losses.rms(restored, clean)
        weight = losses.annealed(recipe.teacher, recipe.teacher_end, self.progress)
        if taught is not None and weight:
            taught = losses.pooled(taught, factor)
            gate = losses.gate(restored, taught, clean) if recipe.gating else None
            error = error + weight * losses.l1(restored, taught, gate)
        if recipe.frequency:
            error = error + recipe.frequency * losses.frequency_l1(restored, clean)
        return error


@dataclass(frozen=True)
class RunConfig:
    """What a run needs besides the network. crop: side of a training crop, px. mix: of tasks."""

    recipe: DistillRecipe
    train: TrainConfig
    crop: int = 96
    mix: TaskMix = field(default_factory=TaskMix)


def train_distilled(
    student: PlainUNet,
    course: RunConfig,
    corpus: Corpus,
    folder: Path,
    minutes: float | None = None,
    frozen: FrozenTeacher | None = None,
    began: float | None = None,
) -> Iterator[Report]:
    """Train or resume `student` in `folder`; every report's `average` is the student to keep.

    Raises ValueError if the recipe asks for a teacher and there is none.
    """
    torch.manual_seed(course.train.seed)
    loss = DistillLoss(course.recipe, frozen)
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    synthesis = Synthesis(corpus, course.crop, course.mix, course.train.batch_size)
    config = course.train
    # A step's progress must be known before the step, also for the first one after a resume.
    if not (folder / "state.pt").exists():
        prepare_diagnosis(student.diagnosis, synthesis, course.train, minutes)
    else:
        told = torch.load(folder / "state.pt", weights_only=True, map_location="cpu")
        spent = 0.0 if minutes is None else float(told["elapsed"]) / (60.0 * minutes)
        loss.progress = max(int(told["step"]) / config.steps, spent)
        del told
    reports = train(Student(student, loss), synthesis, config, folder, minutes, began)
    for report in kept_alive(
        reports,
        student,
        lambda: look(student, synthesis, config),
        config.seed,
    ):
        loss.progress = max(report.progress, report.step / config.steps)
        yield report


def kept_student(student: PlainUNet, folder: Path) -> tuple[PlainUNet, int]:
    """Fill `student` with the averaged weights of a run's last checkpoint; returns it with the
    run's step."""
    average, step = averaged_weights(folder)
    student.load_state_dict(average)
    return student, step


def keep_distilled(
    student: PlainUNet,
    preset: str,
    course: RunConfig,
    folder: Path,
    datasets: list[str],
    frozen: FrozenTeacher | None,
    start: Path | None = None,
) -> Path:
    """Write the averaged weights of the last checkpoint, folded: folder/student.safetensors.

    start: the weights that the run began from; their provenance comes first.
    """
    kept, step = kept_student(student, folder)
    config, recipe = course.train, course.recipe
    used = [name for name in INGREDIENTS if getattr(recipe, name)]
    made = (
        f"{'teacher and ground truth' if frozen else 'ground truth'}; "
        f"{', '.join(used) or 'no ingredients'}; batch {config.batch_size} of {course.crop} px, "
        f"Muon and Adam {config.lr:g}, cosine, EMA {config.ema}; shares: {course.mix}"
    )
    teacher = None if frozen is None else str(frozen)
    told = Provenance(preset, made, step, datasets, teacher=teacher, date=date.today().isoformat())
    path = folder / "student.safetensors"
    save_student(path, kept, continued(told, start))
    return path
