"""`pellucid train teacher SYSTEM`: any system, by its presets."""

from dataclasses import replace
from shlex import quote
from typing import Annotated

import typer

from . import options
from .session import Session, known, need_torch


def teacher(
    data: options.Data,
    out: options.Out,
    licence: options.Licence,
    system: Annotated[
        str, typer.Argument(help="diffuir, rddm, resshift, guided-deblur or your own MODULE:KIND.")
    ] = "diffuir",
    preset: Annotated[
        str | None, typer.Option(help="One of the system's (default: its first).")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(hidden=True, help="published: the preset of that name.")
    ] = None,
    minutes: options.Minutes = None,
    steps: options.Steps = None,
    batch: options.BatchSize = None,
    accumulate: Annotated[int | None, typer.Option(min=1, help="Batches a step.")] = None,
    crop: Annotated[int | None, typer.Option(min=32, help="Side of a training crop, px.")] = None,
    bf16: options.Bf16 = False,
    workers: options.Workers = 1,
    compile_: options.Compile = False,
    leave_out: options.LeaveOut = None,
    dataset: options.Dataset = None,
    dev: options.Dev = None,
    dev_every: options.DevEvery = 2500,
    hold_out: options.HoldOut = True,
) -> None:
    """Train a teacher and write OUT/teacher-*.safetensors.

    Several GPUs: torchrun --nproc-per-node=N -m pellucid_apps train teacher ...
    """
    need_torch()
    from pellucid_teacher.systems import find_kind
    from pellucid_teacher.teachers import keep_teacher, make_system, train_teacher

    try:
        presets = find_kind(system).presets
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    name = preset or next(iter(presets))
    if recipe == "published":
        name = f"{name}-published"
    known(name, presets)
    chosen = presets[name]
    config = chosen.recipe.train
    config = replace(
        config,
        workers=workers,
        bf16=bf16,
        compile=compile_,
        steps=steps or config.steps,
        batch_size=batch or config.batch_size,
        accumulate=accumulate or config.accumulate,
    )
    plan = replace(chosen.recipe, train=config, crop=crop or chosen.recipe.crop)
    made = make_system(chosen, plan)
    scale = getattr(made, "scale", 1)
    session = Session(data, out, tuple(leave_out or ()), dev, dev_every, hold_out, plan.draw, scale)
    if session.run(lambda corpus: train_teacher(made, plan, corpus, out, minutes, session.began)):
        for path in keep_teacher(made, out, dataset or [], licence):
            print(f"wrote {path}")
        command_options = (
            f"--teacher {out} --data {data} -o runs/student --weights-licence {quote(licence)}"
        )
        print(f"next: pellucid train student {command_options}")
