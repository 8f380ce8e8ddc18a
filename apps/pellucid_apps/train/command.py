"""`pellucid train student`, `teacher` and `router`: needs the `train` extra (torch).

Stop a training at any time; the same command goes on from its last checkpoint.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid import PellucidError

from . import options
from .ablate import ablate
from .session import Session, known, need_torch
from .teacher import teacher

if TYPE_CHECKING:
    from pellucid_teacher.data.corpus import Corpus
    from pellucid_teacher.data.synthesis import TaskMix
    from pellucid_teacher.training.loop import Report, TrainConfig

app = typer.Typer(help="Train students and teachers.", no_args_is_help=True, rich_markup_mode=None)
app.command()(ablate)
app.command()(teacher)


@app.command()
def student(
    data: options.Data,
    out: options.Out,
    preset: Annotated[str, typer.Option(help="tiny, nano, pico, or large (a teacher).")] = "tiny",
    minutes: options.Minutes = None,
    steps: options.Steps = None,
    start: Annotated[
        Path | None, typer.Option(help="Weights to begin from, of this size or smaller.")
    ] = None,
    from_teacher: Annotated[
        Path | None, typer.Option("--teacher", help="Teacher's folder, or a student's weights.")
    ] = None,
    teacher_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the teacher's sampler (default: its own).")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="Of a --teacher that is not part of pellucid: MODULE:KIND.")
    ] = None,
    ingredient: Annotated[
        list[str] | None,
        typer.Option(
            help="gating, frequency, coarse, unroll, perceptual; repeat it (default: none, which "
            "was best)."
        ),
    ] = None,
    crop: Annotated[int, typer.Option(min=32, help="Side of a training crop, px.")] = 96,
    clips: Annotated[
        int, typer.Option(min=0, help="Frames of a training clip, for video, such as 4; 0: photos.")
    ] = 0,
    new_diagnosis: Annotated[
        bool, typer.Option("--new-diagnosis", help="Of --start: learn it anew, not only the rest.")
    ] = False,
    lr: options.Rate = None,
    share: options.Share = None,
    seed: options.Seed = 1,
    workers: options.Workers = 1,
    batch: options.Batch = None,
    bf16: options.Bf16 = False,
    compile_: options.Compile = False,
    leave_out: options.LeaveOut = None,
    dataset: options.Dataset = None,
    dev: options.Dev = None,
    dev_every: options.DevEvery = 2500,
    hold_out: options.HoldOut = True,
) -> None:
    """Train a student on ground truth, or from a teacher, and write OUT/student.safetensors."""
    need_torch()
    from pellucid_student.plain_unet import PRESETS
    from pellucid_student.train import StudentRecipe, keep_student, train_student

    known(preset, PRESETS)
    recipe = StudentRecipe(preset, crop)
    try:
        mix = recipe.mix.with_shares(share or [])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    config = replace(
        recipe.train,
        workers=workers,
        bf16=bf16,
        compile=compile_,
        seed=seed,
        batch_size=batch or recipe.train.batch_size,
        lr=lr or recipe.train.lr,
        steps=steps or recipe.train.steps,
    )
    if clips == 1 or (clips and (from_teacher is not None or ingredient)):
        raise typer.BadParameter("--clips needs at least 2 frames, and learns without a teacher")
    if new_diagnosis and (from_teacher is not None or ingredient):
        raise typer.BadParameter("--new-diagnosis learns without a teacher")
    recipe = replace(recipe, train=config, mix=mix, clip_frames=clips, new_diagnosis=new_diagnosis)
    session = Session(data, out, tuple(leave_out or ()), dev, dev_every, hold_out)
    if from_teacher is not None or ingredient:
        asked = _Lesson(
            preset, from_teacher, teacher_steps, system, ingredient or [], start, minutes, crop, mix
        )
        _distil(session, asked, config, dataset or [])
        return
    if session.run(
        lambda corpus: train_student(recipe, corpus, out, minutes, start, session.began)
    ):
        _tell_written(keep_student(recipe, out, dataset or [], start))


@app.command()
def router(
    folder: Annotated[Path, typer.Argument(help="Folder of specialists.", show_default=False)],
    data: options.Data,
    samples: Annotated[int, typer.Option(min=1, help="Crops to learn from.")] = 8_000,
    crop: Annotated[int, typer.Option(min=32, help="Side of a crop, px.")] = 128,
    seed: options.Seed = 1,
    workers: options.Workers = 1,
    leave_out: options.LeaveOut = None,
) -> None:
    """Teach FOLDER's specialists who of them is asked, and write FOLDER/router.safetensors."""
    need_torch()
    from pellucid_student.router import save_router, train_router
    from pellucid_student.specialists import GENERAL, ROUTER
    from pellucid_student.weights import load_student
    from pellucid_teacher.data.shards import open_corpus
    from pellucid_teacher.data.stream import single_thread_opencv
    from pellucid_teacher.data.synthesis import Synthesis

    single_thread_opencv()
    try:
        general, _ = load_student(folder / f"{GENERAL}.safetensors")
        synthesis = Synthesis(open_corpus(data, frozenset(leave_out or ())), crop)
        found, loss = train_router(general.eval(), synthesis, seed, samples, workers)
    except ValueError as error:
        raise PellucidError(str(error)) from error
    path = folder / f"{ROUTER}.safetensors"
    save_router(path, found)
    print(f"wrote {path}  loss {loss:.3f} nats")


@dataclass(frozen=True)
class _Lesson:
    """What `train student` was asked for beyond ground truth alone."""

    preset: str
    teacher: Path | None
    teacher_steps: int | None
    system: str | None
    ingredients: list[str]
    start: Path | None
    minutes: float | None
    crop: int
    mix: "TaskMix"


def _distil(
    session: Session,
    asked: _Lesson,
    config: "TrainConfig",
    datasets: list[str],
) -> None:
    import torch

    from pellucid_student import distill
    from pellucid_student.frozen_teacher import load_frozen_teacher
    from pellucid_student.plain_unet import PRESETS, PlainUNet
    from pellucid_student.weights import begin_from
    from pellucid_teacher.systems import kinds_with

    try:
        frozen = (
            None
            if asked.teacher is None
            else load_frozen_teacher(asked.teacher, asked.teacher_steps, kinds_with(asked.system))
        )
        recipe = distill.with_ingredients(asked.ingredients, frozen is not None)
        torch.manual_seed(config.seed)
        student = PlainUNet(PRESETS[asked.preset])
        if asked.start is not None:
            begin_from(student, asked.start)
    except ValueError as error:
        raise PellucidError(str(error)) from error
    plan = distill.RunConfig(recipe, config, asked.crop, asked.mix)

    def begin(corpus: "Corpus") -> "Iterator[Report]":
        return distill.train_distilled(
            student, plan, corpus, session.out, asked.minutes, frozen, session.began
        )

    if session.run(begin):
        path = distill.keep_distilled(
            student, asked.preset, plan, session.out, datasets, frozen, asked.start
        )
        _tell_written(path)


def _tell_written(path: Path) -> None:
    print(f"wrote {path}")
    print(f"next: pellucid export {path} -o {path.parent / 'exported'}")
