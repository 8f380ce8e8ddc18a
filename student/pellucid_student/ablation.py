"""Fair comparisons of students: equal steps, equal seeds, equal held-out crops; restartable.

A study is a folder. Every arm and seed has its own run in it, resumed by the training loop, and
leaves `result.json`; a finished one is never trained again.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.training.dev_set import DevSet, restore_picture
from pellucid_teacher.training.loop import Report, TrainConfig

from .distill import CONTROL, FULL, DistillRecipe, RunConfig, kept_student, train_distilled
from .frozen_teacher import FrozenTeacher
from .plain_unet import PlainUNet, PlainUNetConfig
from .steps import restore
from .student import Student
from .validation import ValidationCrops
from .weights import begin_from

STEPS = (1, 3)  # of the sampler, measured for every arm
_TAUGHT = replace(CONTROL, teacher=FULL.teacher, teacher_end=FULL.teacher_end)
RECIPES: dict[str, DistillRecipe] = {
    "control": CONTROL,
    "teacher": _TAUGHT,
    "gating": replace(_TAUGHT, gating=True),
    "kept": replace(_TAUGHT, unroll=FULL.unroll),  # what has paid
    "full": FULL,
    "frequency": replace(CONTROL, frequency=FULL.frequency),
    "coarse": replace(CONTROL, coarse=FULL.coarse),
    "unroll": replace(CONTROL, unroll=FULL.unroll),
}
DEFAULT_ARMS = ("control", "teacher", "gating", "full")


@dataclass(frozen=True)
class Variant:
    """One side of a comparison. start: weights of `network` to begin from, or None."""

    name: str
    recipe: DistillRecipe
    network: PlainUNetConfig
    start: Path | None = None


@dataclass(frozen=True)
class Result:
    """crops, watched: sampler steps (as text) -> task or set -> dB. ms: mean of a training step."""

    arm: str
    seed: int
    steps: int
    ms: float
    crops: dict[str, dict[str, float]]
    watched: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Study:
    """What all arms share. corpus must not hold what `crops` were drawn from (`held.hold_out`)."""

    folder: Path
    corpus: Corpus
    crops: ValidationCrops
    train: TrainConfig
    crop: int = 96
    frozen: FrozenTeacher | None = None
    dev: DevSet | None = None

    def run(self, arm: Variant, seed: int) -> Iterator[Report]:
        """Train one arm to the end and write its result; nothing is yielded if it is there.

        Raises ValueError if the result in the folder was made by another recipe.
        """
        home = self.folder / f"{arm.name}-{seed}"
        config = replace(self.train, seed=seed)
        plan = {
            "recipe": asdict(arm.recipe),
            "network": arm.network.to_dict(),
            "steps": config.steps,
            "batch_size": config.batch_size,
            "crop": self.crop,
            "lr": config.lr,
            "start": str(arm.start),
            "teacher": None if self.frozen is None else str(self.frozen),
        }
        done = home / "result.json"
        if done.exists():
            was = json.loads(done.read_text())["plan"]
            if was != json.loads(json.dumps(plan)):
                raise ValueError(f"{done} was made by another plan ({was}); use a new folder")
            return
        torch.manual_seed(seed)
        student = PlainUNet(arm.network)
        if arm.start is not None:
            begin_from(student, arm.start)
        frozen = self.frozen if arm.recipe.asks_teacher else None
        course = RunConfig(arm.recipe, config, self.crop)
        elapsed = 0.0
        for report in train_distilled(student, course, self.corpus, home, frozen=frozen):
            elapsed = report.elapsed
            yield report
        kept, step = kept_student(student, home)
        result = self.measure(kept.eval(), arm.name, seed, step, 1e3 * elapsed / max(1, step))
        partial = done.with_name("result.json.partial")
        partial.write_text(json.dumps({"plan": plan, "result": asdict(result)}, indent=1))
        os.replace(partial, done)

    def measure(self, student: PlainUNet, arm: str, seed: int, step: int, ms: float) -> Result:
        """Figures of a network on the held-out crops and, if there are any, the watched sets."""
        device = student.read_scene.weight.device
        crops = {}
        watched = {}
        for steps in STEPS:
            crops[str(steps)] = self.crops.psnr(partial(restore, student, steps=steps), device)
            if self.dev is None:
                continue
            scores = self.dev.measure(partial(restore_picture, Student(student), steps=steps))
            watched[str(steps)] = {name: after for name, (_, after) in scores.figures.items()}
        return Result(arm, seed, step, ms, crops, watched)

    def results(self) -> list[Result]:
        """All that is finished, in the order of their names."""
        found = sorted(self.folder.glob("*/result.json"))
        return [Result(**json.loads(path.read_text())["result"]) for path in found]


def table(results: list[Result], arms: list[str], before: dict[str, float], steps: int) -> str:
    """Markdown: a row an arm, a column a task, mean over seeds, and the gain on the first arm."""
    tasks = list(before)
    sets = sorted({name for r in results for name in r.watched.get(str(steps), {})})
    lines = [
        f"| arm, {steps} step(s) | seeds | {' | '.join(tasks)} | mean | gain | "
        + "".join(f"{name} | " for name in sets)
        + "ms/step |",
        "|" + "---|" * (len(tasks) + len(sets) + 5),
    ]
    lines.append(
        f"| input | | {' | '.join(f'{before[t]:.2f}' for t in tasks)} | "
        f"{_mean(list(before.values())):.2f} | | " + "| " * len(sets) + "|"
    )
    first: float | None = None
    for arm in arms:
        own = [r for r in results if r.arm == arm]
        if not own:
            continue
        figures = [_mean([r.crops[str(steps)][task] for r in own]) for task in tasks]
        mean = _mean(figures)
        first = mean if first is None else first
        watched = [_mean([r.watched[str(steps)][name] for r in own]) for name in sets]
        cells = [f"{value:.2f}" for value in (*figures, mean)]
        cells += [f"{mean - first:+.2f}", *(f"{value:.2f}" for value in watched)]
        cells.append(f"{_mean([r.ms for r in own]):.0f}")
        lines.append(f"| {arm} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
