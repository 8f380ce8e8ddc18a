"""`pellucid train student`: on ground truth alone, or with a teacher beside it."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pellucid import PellucidError

from . import options
from .session import Session, known, need_torch


def student(
    data: options.Data,
    out: options.Out,
    licence: options.Licence,
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
    loss_term: Annotated[
        list[str] | None,
        typer.Option("--loss-term", "--ingredient", help="perceptual: looks sharper, at less dB."),
    ] = None,
    crop: Annotated[int, typer.Option(min=32, help="Side of a training crop, px.")] = 96,
    clips: Annotated[
        int, typer.Option(min=0, help="Frames of a training clip, for video, such as 4; 0: photos.")
    ] = 0,
    new_estimator: Annotated[
        bool, typer.Option("--new-estimator", help="Of --start: learn it anew, not only the rest.")
    ] = False,
    lr: options.Rate = None,
    share: options.Share = None,
    seed: options.Seed = 1,
    workers: options.Workers = 1,
    batch: options.BatchSize = None,
    bf16: options.Bf16 = False,
    compile_: options.Compile = False,
    leave_out: options.LeaveOut = None,
    dataset: options.Dataset = None,
    dev: options.Dev = None,
    dev_every: options.DevEvery = 2500,
    hold_out: options.HoldOut = True,
) -> None:
    """Train a student and write OUT/student.safetensors."""
    need_torch()
    from pellucid_student.frozen_teacher import load_frozen_teacher
    from pellucid_student.plain_unet import PRESETS
    from pellucid_student.train import STUDENT_TRAIN, RunConfig, keep_student, train_student
    from pellucid_teacher.systems import kinds_with

    known(preset, PRESETS)
    if clips == 1 or (clips and (from_teacher is not None or loss_term)):
        raise typer.BadParameter("--clips needs at least 2 frames, and learns without a teacher")
    config = RunConfig(PRESETS[preset], start, crop=crop, clip_frames=clips)
    try:
        config = replace(
            config,
            losses=config.losses.with_terms(loss_term or []),
            mix=config.mix.with_shares(share or []),
            new_estimator=new_estimator,
            train=replace(
                STUDENT_TRAIN,
                workers=workers,
                batch_size=batch or STUDENT_TRAIN.batch_size,
                bf16=bf16,
                compile=compile_,
                seed=seed,
                lr=lr or STUDENT_TRAIN.lr,
                steps=steps or STUDENT_TRAIN.steps,
            ),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    teacher = None
    if from_teacher is not None:
        try:
            teacher = load_frozen_teacher(from_teacher, teacher_steps, kinds_with(system))
        except ValueError as error:
            raise PellucidError(str(error)) from error
    session = Session(data, out, tuple(leave_out or ()), dev, dev_every, hold_out)
    if session.run(
        lambda corpus: train_student(config, corpus, out, minutes, teacher, session.began)
    ):
        path = keep_student(config, out, preset, dataset or [], licence, teacher)
        print(f"wrote {path}")
        print(f"next: pellucid export {path} -o {path.parent / 'exported'}")
