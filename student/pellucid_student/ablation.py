"""Fair comparisons of students: equal steps, equal seeds, equal held-out crops; restartable.

An ablation is a folder. Every variant and seed has its own run in it, resumed by the training loop,
and leaves `result.json`; a finished one is never trained again.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.training.dev_set import DevSet, restore_picture
from pellucid_teacher.training.loop import StepReport, TrainConfig

from .frozen_teacher import FrozenTeacher
from .losses import Losses
from .plain_unet import PlainUNet, PlainUNetConfig
from .steps import restore
from .student import Student
from .train import RunConfig, kept_network, train_student
from .validation import ValidationCrops

STEPS = (1, 3)  # that every variant is measured in
_ALONE = Losses(teacher=0.0, teacher_end=0.0)
VARIANTS: dict[str, Losses] = {
    "control": replace(_ALONE, later=0.0),
    "later": _ALONE,
    "teacher": Losses(later=0.0),
    "full": Losses(),
}


@dataclass(frozen=True)
class Variant:
    """One side of a comparison. start: weights of `network` to begin from, or None."""

    name: str
    losses: Losses
    network: PlainUNetConfig
    start: Path | None = None

    @property
    def needs_teacher(self) -> bool:
        return self.losses.teacher > 0.0


@dataclass(frozen=True)
class Result:
    """crops, watched: sampler steps (as text) -> task or set -> dB. ms: mean of a training step."""

    variant: str
    seed: int
    steps: int
    ms: float
    crops: dict[str, dict[str, float]]
    watched: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Ablation:
    """What all variants share. corpus: without what `crops` were drawn from (`hold_out`)."""

    folder: Path
    corpus: Corpus
    crops: ValidationCrops
    train: TrainConfig
    crop: int = 96
    teacher: FrozenTeacher | None = None
    dev: DevSet | None = None

    def run(self, variant: Variant, seed: int) -> Iterator[StepReport]:
        """Train one variant to the end and write its result; nothing is yielded if it is there.

        Raises ValueError if the result in the folder was made by another recipe.
        """
        home = self.folder / f"{variant.name}-{seed}"
        config = replace(self.train, seed=seed)
        plan = {
            "losses": asdict(variant.losses),
            "network": variant.network.to_dict(),
            "steps": config.steps,
            "batch_size": config.batch_size,
            "crop": self.crop,
            "lr": config.lr,
            "start": str(variant.start),
            "teacher": None if self.teacher is None else str(self.teacher),
        }
        done = home / "result.json"
        if done.exists():
            was = json.loads(done.read_text())["plan"]
            if was != json.loads(json.dumps(plan)):
                raise ValueError(f"{done} was made by another plan ({was}); use a new folder")
            return
        run = RunConfig(variant.network, variant.start, variant.losses, config, self.crop)
        teacher = self.teacher if variant.needs_teacher else None
        elapsed = 0.0
        for report in train_student(run, self.corpus, home, teacher=teacher):
            elapsed = report.elapsed
            yield report
        kept, step = kept_network(run, home)
        result = self.measure(kept.eval(), variant.name, seed, step, 1e3 * elapsed / max(1, step))
        partial = done.with_name("result.json.partial")
        partial.write_text(json.dumps({"plan": plan, "result": asdict(result)}, indent=1))
        os.replace(partial, done)

    def measure(self, student: PlainUNet, variant: str, seed: int, step: int, ms: float) -> Result:
        """Figures of a network on the held-out crops and, if there is one, the dev set."""
        device = student.read_scene.weight.device
        crops = {}
        watched = {}
        for steps in STEPS:
            crops[str(steps)] = self.crops.psnr(partial(restore, student, steps=steps), device)
            if self.dev is None:
                continue
            scores = self.dev.measure(partial(restore_picture, Student(student), steps=steps))
            watched[str(steps)] = {name: after for name, (_, after) in scores.figures.items()}
        return Result(variant, seed, step, ms, crops, watched)

    def results(self) -> list[Result]:
        """All that is finished, in the order of their names."""
        found = sorted(self.folder.glob("*/result.json"))
        return [Result(**json.loads(path.read_text())["result"]) for path in found]


def table(results: list[Result], variants: list[str], before: dict[str, float], steps: int) -> str:
    """Markdown: a row a variant, a column a task, mean over seeds, and the gain on the first."""
    tasks = list(before)
    sets = sorted({name for r in results for name in r.watched.get(str(steps), {})})
    lines = [
        f"| variant, {steps} step(s) | seeds | {' | '.join(tasks)} | mean | gain | "
        + "".join(f"{name} | " for name in sets)
        + "ms/step |",
        "|" + "---|" * (len(tasks) + len(sets) + 5),
    ]
    lines.append(
        f"| input | | {' | '.join(f'{before[t]:.2f}' for t in tasks)} | "
        f"{_mean(list(before.values())):.2f} | | " + "| " * len(sets) + "|"
    )
    first: float | None = None
    for variant in variants:
        own = [r for r in results if r.variant == variant]
        if not own:
            continue
        figures = [_mean([r.crops[str(steps)][task] for r in own]) for task in tasks]
        mean = _mean(figures)
        first = mean if first is None else first
        watched = [_mean([r.watched[str(steps)][name] for r in own]) for name in sets]
        cells = [f"{value:.2f}" for value in (*figures, mean)]
        cells += [f"{mean - first:+.2f}", *(f"{value:.2f}" for value in watched)]
        cells.append(f"{_mean([r.ms for r in own]):.0f}")
        lines.append(f"| {variant} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
