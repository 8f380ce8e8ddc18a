"""`pellucid train student`, `teacher` and `router`: needs the `train` extra (torch).

Stop a training at any time; the same command goes on from its last checkpoint.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from pellucid import PellucidError

from .ablate import ablate

if TYPE_CHECKING:
    from pellucid_teacher.data.corpus import Corpus
    from pellucid_teacher.data.synthesis import TaskMix
    from pellucid_teacher.training.dev_set import Picture
    from pellucid_teacher.training.loop import Report, TrainConfig

app = typer.Typer(help="Train students and teachers.", no_args_is_help=True, rich_markup_mode=None)
app.command()(ablate)
PRINT_EVERY = 100


@dataclass(frozen=True)
class RunConfig:
    """What both kinds of training share."""

    data: Path
    out: Path
    leave_out: tuple[str, ...]
    dev: Path | None
    dev_every: int


Data = Annotated[Path, typer.Option("--data", help="Training folder, laid out as the README says.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Run folder, made or resumed.")]
Minutes = Annotated[float | None, typer.Option(help="Time budget of the whole run.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimiser steps of the whole run.")]
LeaveOut = Annotated[list[str] | None, typer.Option(help="Folder under clean/ to keep unseen.")]
Dataset = Annotated[list[str] | None, typer.Option(help="Name (licence), for the weights' header.")]
Dev = Annotated[Path | None, typer.Option("--dev", help="Sets to watch, never trained on.")]
DevEvery = Annotated[int, typer.Option(min=1, help="Steps between looks at the sets.")]
Compile = Annotated[
    bool, typer.Option("--compile", help="Faster steps by torch.compile; needs a C++ compiler.")
]
Rate = Annotated[
    float | None, typer.Option("--lr", min=0.0, help="Peak learning rate (default: the recipe's).")
]
Share = Annotated[
    list[str] | None,
    typer.Option(help="Share of a task, e.g. rain=0.4; repeat it (default: the recipe's)."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of samples and noise; another one for a new run.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that make samples.")]


@app.command()
def student(
    data: Data,
    out: Out,
    preset: Annotated[str, typer.Option(help="tiny, nano, pico, or large (a teacher).")] = "tiny",
    minutes: Minutes = None,
    steps: Steps = None,
    start: Annotated[
        Path | None, typer.Option(help="Weights to begin from, of this size or smaller.")
    ] = None,
    from_teacher: Annotated[
        Path | None, typer.Option("--teacher", help="Teacher's folder, or a student's weights.")
    ] = None,
    teacher_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the teacher's sampler (default: its own).")
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
    lr: Rate = None,
    share: Share = None,
    seed: Seed = 1,
    workers: Workers = 1,
    compile_: Compile = False,
    leave_out: LeaveOut = None,
    dataset: Dataset = None,
    dev: Dev = None,
    dev_every: DevEvery = 2500,
) -> None:
    """Train a student on ground truth, or from a teacher, and write OUT/student.safetensors."""
    need_torch()
    from pellucid_student.plain_unet import PRESETS
    from pellucid_student.steps import restore_photo
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
        compile=compile_,
        seed=seed,
        lr=lr or recipe.train.lr,
        steps=steps or recipe.train.steps,
    )
    if clips == 1 or (clips and (from_teacher is not None or ingredient)):
        raise typer.BadParameter("--clips needs at least 2 frames, and learns without a teacher")
    if new_diagnosis and (from_teacher is not None or ingredient):
        raise typer.BadParameter("--new-diagnosis learns without a teacher")
    recipe = replace(recipe, train=config, mix=mix, clip_frames=clips, new_diagnosis=new_diagnosis)
    course = RunConfig(data, out, tuple(leave_out or ()), dev, dev_every)

    def restore(report: "Report", picture: "Picture") -> "Picture":
        return restore_photo(report.ema, picture)

    if from_teacher is not None or ingredient:
        asked = _Lesson(
            preset, from_teacher, teacher_steps, ingredient or [], start, minutes, crop, mix
        )
        _distil(course, asked, config, restore, dataset or [])
        return
    run_course(course, lambda corpus: train_student(recipe, corpus, out, minutes, start), restore)
    print(f"wrote {keep_student(recipe, out, dataset or [], start)}")


@app.command()
def teacher(
    data: Data,
    out: Out,
    preset: Annotated[str, typer.Option(help="diffuir-t, -s, -b or -l.")] = "diffuir-t",
    recipe: Annotated[str, typer.Option(help="published, or own (six tasks, no noise).")] = "own",
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples a process.")] = None,
    accumulate: Annotated[int | None, typer.Option(min=1, help="Batches a step.")] = None,
    crop: Annotated[int | None, typer.Option(min=32, help="Side of a training crop, px.")] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="bf16 autocast.")] = False,
    workers: Workers = 1,
    compile_: Compile = False,
    leave_out: LeaveOut = None,
    dataset: Dataset = None,
    dev: Dev = None,
    dev_every: DevEvery = 2500,
) -> None:
    """Train a DiffUIR teacher and write OUT/teacher-*.safetensors.

    Several GPUs: torchrun --nproc-per-node=N -m pellucid_apps train teacher ...
    """
    need_torch()
    import torch

    from pellucid_teacher.networks.diffuir_unet import PRESETS
    from pellucid_teacher.processes import diffuir
    from pellucid_teacher.teachers import RECIPES, train_teacher
    from pellucid_teacher.training.checkpoint import averaged_weights
    from pellucid_teacher.training.dev_set import restore_whole
    from pellucid_teacher.weights import save_teacher

    known(preset, PRESETS)
    known(recipe, RECIPES)
    chosen = RECIPES[recipe](preset)
    config = replace(
        chosen.train,
        workers=workers,
        bf16=bf16,
        compile=compile_,
        steps=steps or chosen.train.steps,
        batch_size=batch or chosen.train.batch_size,
        accumulate=accumulate or chosen.train.accumulate,
    )
    chosen = replace(chosen, train=config, crop=crop or chosen.crop)
    course = RunConfig(data, out, tuple(leave_out or ()), dev, dev_every)
    schedule = diffuir.schedule(chosen.delta_end)

    def restore(report: "Report", picture: "Picture") -> "Picture":
        device = next(report.ema.parameters()).device
        generator = torch.Generator(device).manual_seed(0)
        return restore_whole(
            lambda degraded: diffuir.sample(
                report.ema, schedule, degraded, chosen.steps, chosen.start_noise, generator
            ),
            picture,
            device=device,
        )

    if run_course(course, lambda corpus: train_teacher(chosen, corpus, out, minutes), restore):
        weights, step = averaged_weights(out)
        for path in save_teacher(out, weights, chosen, step, dataset or []):
            print(f"wrote {path}")


@app.command()
def router(
    folder: Annotated[Path, typer.Argument(help="Folder of specialists.", show_default=False)],
    data: Data,
    samples: Annotated[int, typer.Option(min=1, help="Crops to learn from.")] = 8_000,
    crop: Annotated[int, typer.Option(min=32, help="Side of a crop, px.")] = 128,
    seed: Seed = 1,
    workers: Workers = 1,
    leave_out: LeaveOut = None,
) -> None:
    """Teach FOLDER's specialists who of them is asked, and write FOLDER/router.safetensors."""
    need_torch()
    from pellucid_student.router import save_router, train_router
    from pellucid_student.specialists import GENERAL, ROUTER
    from pellucid_student.weights import load_student
    from pellucid_teacher.data.corpus import load_corpus
    from pellucid_teacher.data.stream import single_thread_opencv
    from pellucid_teacher.data.synthesis import Synthesis

    single_thread_opencv()
    try:
        general, _ = load_student(folder / f"{GENERAL}.safetensors")
        synthesis = Synthesis(load_corpus(data, frozenset(leave_out or ())), crop)
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
    ingredients: list[str]
    start: Path | None
    minutes: float | None
    crop: int
    mix: "TaskMix"


def _distil(
    course: RunConfig,
    asked: _Lesson,
    config: "TrainConfig",
    restore: "Callable[[Report, Picture], Picture]",
    datasets: list[str],
) -> None:
    import torch

    from pellucid_student import distill
    from pellucid_student.frozen_teacher import load_frozen_teacher
    from pellucid_student.plain_unet import PRESETS, PlainUNet
    from pellucid_student.weights import begin_from

    try:
        frozen = (
            None
            if asked.teacher is None
            else load_frozen_teacher(asked.teacher, asked.teacher_steps)
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
        return distill.train_distilled(student, plan, corpus, course.out, asked.minutes, frozen)

    if run_course(course, begin, restore):
        path = distill.keep_distilled(
            student, asked.preset, plan, course.out, datasets, frozen, asked.start
        )
        print(f"wrote {path}")


def run_course(
    course: RunConfig,
    start: "Callable[[Corpus], Iterator[Report]]",
    restore: "Callable[[Report, Picture], Picture]",
) -> bool:
    """Load the data, train, show progress, record to TensorBoard. True in the main process."""
    from pellucid_teacher.data.corpus import load_corpus
    from pellucid_teacher.data.stream import single_thread_opencv
    from pellucid_teacher.training.dev_set import Watch
    from pellucid_teacher.training.loop import flushed_denormals
    from pellucid_teacher.training.monitor import Monitor

    single_thread_opencv()
    main = True
    try:
        corpus = load_corpus(course.data, frozenset(course.leave_out))
        watch = None if course.dev is None else Watch.load(course.dev, pairs=2)
        monitor = Monitor(course.out, watch, course.dev_every)
        console = Console()
        columns = (TextColumn("training"), BarColumn(), TaskProgressColumn())
        with flushed_denormals(), Bar(*columns, TimeRemainingColumn(), console=console) as bar:
            task, total = bar.add_task("", total=1.0), 0.0
            for report in start(corpus):
                main = report.is_main
                bar.update(task, completed=report.progress, visible=main)
                total += report.loss
                if not main:
                    continue
                if report.step % PRINT_EVERY == 0:
                    console.print(_line(report, total / PRINT_EVERY), highlight=False)
                    total = 0.0
                look = monitor.record(report, partial(restore, report))
                if look is not None:
                    console.print(f"dev  {look.line()}", highlight=False)
        monitor.close()
    except ValueError as error:
        raise PellucidError(str(error)) from error
    return main


def _line(report: "Report", loss: float) -> str:
    rate = 1e3 * report.elapsed / report.step
    return f"step {report.step}  loss {loss:.4f}  lr {report.lr:.1e}  {rate:.0f} ms/step"


def known(name: str, names: Mapping[str, object]) -> None:
    if name not in names:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(names)}")


def need_torch() -> None:
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("torch", "accelerate", "safetensors")):
        raise PellucidError("training needs torch: pip install 'pellucid[train]'")
