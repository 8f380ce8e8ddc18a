"""`pellucid train student`: on ground truth alone, or with a teacher beside it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid import PellucidError

from . import options
from .session import Session, known, need_torch

if TYPE_CHECKING:
    from pellucid_teacher.data.corpus import Corpus
    from pellucid_teacher.training.loop import StepReport

PRESET_HELP = (
    "tiny, nano, pico, each also with -two-scale, large (a teacher); sr4 enlarges x4, sr4-real "
    "what is not clean."
)


def student(
    data: options.Data,
    out: options.Out,
    licence: options.Licence,
    preset: Annotated[str, typer.Option(help=PRESET_HELP)] = "tiny",
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
    crop: Annotated[
        int | None, typer.Option(min=32, help="Side of a training crop, px (default: 96; 128).")
    ] = None,
    clips: Annotated[
        int, typer.Option(min=0, help="Frames of a training clip, for video, such as 4; 0: photos.")
    ] = 0,
    new_estimator: Annotated[
        bool, typer.Option("--new-estimator", help="Of --start: learn it anew, not only the rest.")
    ] = False,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Of a network of two scales: learn only what sees the whole picture."
        ),
    ] = False,
    lr: options.Rate = None,
    share: options.Share = None,
    seed: options.Seed = 1,
    workers: options.Workers = 1,
    batch: options.BatchSize = None,
    precision: options.Precision = "auto",
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
    from pellucid_student.enlarging import PRESETS as ENLARGING
    from pellucid_student.enlarging import EnlargingConfig, keep_enlarger, train_enlarger
    from pellucid_student.frozen_teacher import load_frozen_teacher
    from pellucid_student.plain_unet import PRESETS
    from pellucid_student.precision import PRECISIONS, choose_bf16
    from pellucid_student.train import RunConfig, keep_student, train_student
    from pellucid_teacher.systems import kinds_with

    known(preset, {**PRESETS, **ENLARGING})
    known(precision, dict.fromkeys(PRECISIONS))
    enlarges = preset in ENLARGING
    if enlarges and (clips or share or new_estimator or whole):
        raise typer.BadParameter(f"{preset} takes no --clips, --share, --new-estimator, --whole")
    if clips == 1 or (clips and (from_teacher is not None or loss_term)):
        raise typer.BadParameter("--clips needs at least 2 frames, and learns without a teacher")
    config: RunConfig | EnlargingConfig
    try:
        if enlarges:
            config = ENLARGING[preset]
        else:
            config = RunConfig(
                PRESETS[preset], clip_frames=clips, new_estimator=new_estimator, whole=whole
            )
            config = replace(config, mix=config.mix.with_shares(share or []))
        config = replace(
            config,
            start=start,
            crop=crop or config.crop,
            losses=config.losses.with_terms(loss_term or []),
            train=replace(
                config.train,
                workers=workers,
                batch_size=batch or config.train.batch_size,
                compile=compile_,
                seed=seed,
                lr=lr or config.train.lr,
                steps=steps or config.train.steps,
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
    asked = "bfloat16" if bf16 else precision
    timed = None if isinstance(config, EnlargingConfig) else config.network
    coarse, why = choose_bf16(asked, timed, config.train, config.crop, out)
    print(f"precision: {why}")
    config = replace(config, train=replace(config.train, bf16=coarse))
    draw = config.samples if isinstance(config, EnlargingConfig) else None
    scale = config.network.scale if isinstance(config, EnlargingConfig) else 1
    session = Session(data, out, tuple(leave_out or ()), dev, dev_every, hold_out, draw, scale)

    def begin(corpus: "Corpus") -> "Iterator[StepReport]":
        if isinstance(config, EnlargingConfig):
            return train_enlarger(config, corpus, out, minutes, teacher, session.began)
        return train_student(config, corpus, out, minutes, teacher, session.began)

    if session.run(begin):
        if isinstance(config, EnlargingConfig):
            path = keep_enlarger(config, out, preset, dataset or [], licence, teacher)
        else:
            path = keep_student(config, out, preset, dataset or [], licence, teacher)
        print(f"wrote {path}")
        print(f"next: pellucid export {path} -o {path.parent / 'exported'}")
