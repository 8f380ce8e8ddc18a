"""`pellucid train ablate`: what each ingredient of distillation is worth, in dB."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid import PellucidError

if TYPE_CHECKING:
    from pellucid_student.ablation import Study

PRINT_EVERY = 200


def ablate(
    data: Annotated[Path, typer.Option("--data", help="Training folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the study, resumed.")],
    teacher: Annotated[
        Path | None, typer.Option("--teacher", help="Teacher's folder, or a student's weights.")
    ] = None,
    teacher_steps: Annotated[int | None, typer.Option(min=1, help="Of its sampler.")] = None,
    preset: Annotated[str, typer.Option(help="tiny, nano or pico.")] = "tiny",
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of every arm.")] = 10_000,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            help="control, teacher, gating, full, kept (teacher and unroll), frequency, coarse, "
            "unroll; repeat it (default: the first four)."
        ),
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat it for several.")] = None,
    pruned: Annotated[
        Path | None,
        typer.Option(help="Pruned weights: compare them, fine-tuned, with their shape from zero."),
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Weights that every arm begins from.")] = None,
    lr: Annotated[
        float | None, typer.Option(min=0.0, help="Peak learning rate (default: the recipe's).")
    ] = None,
    dev: Annotated[Path | None, typer.Option("--dev", help="Sets to measure on.")] = None,
    crop: Annotated[int, typer.Option(min=32, help="Side of a training crop, px.")] = 96,
    crops: Annotated[int, typer.Option(min=1, help="Held-out crops a task.")] = 16,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make samples.")] = 1,
) -> None:
    """Train every arm with equal steps and seeds, and print what each gains over the first."""
    from .session import known, need_torch

    need_torch()
    from pellucid_student.ablation import DEFAULT_ARMS, RECIPES, Study, Variant
    from pellucid_student.frozen_teacher import load_frozen_teacher
    from pellucid_student.plain_unet import PRESETS
    from pellucid_student.train import STUDENT_TRAIN
    from pellucid_student.validation import ValidationCrops, hold_out
    from pellucid_student.weights import load_student
    from pellucid_teacher.data.corpus import load_corpus
    from pellucid_teacher.data.stream import single_thread_opencv
    from pellucid_teacher.training.dev_set import DevSet

    known(preset, PRESETS)
    names = arm or list(DEFAULT_ARMS)
    for name in names:
        known(name, RECIPES)
    single_thread_opencv()
    try:
        frozen = None if teacher is None else load_frozen_teacher(teacher, teacher_steps)
        if pruned is None:
            arms = [Variant(name, RECIPES[name], PRESETS[preset], start) for name in names]
        else:
            network = load_student(pruned)[0].config
            recipe = RECIPES["control" if frozen is None else "gating"]
            arms = [
                Variant("from-zero", recipe, network),
                Variant("pruned", recipe, network, pruned),
            ]
        if frozen is None and any(a.recipe.asks_teacher for a in arms):
            raise ValueError("these arms ask a teacher: add --teacher PATH")
        training, held = hold_out(load_corpus(data))
        config = replace(STUDENT_TRAIN, steps=steps, workers=workers, lr=lr or STUDENT_TRAIN.lr)
        dev_set = None if dev is None else DevSet.load(dev, pairs=4)
        drawn = ValidationCrops.draw(held, crops)
        study = Study(out, training, drawn, config, crop, frozen, dev_set)
        for number in seed or [1]:
            for chosen in arms:
                for report in study.run(chosen, number):
                    if report.step % PRINT_EVERY == 0:
                        ms = 1e3 * report.elapsed / report.step
                        line = f"step {report.step}  loss {report.loss:.4f}  {ms:.0f} ms/step"
                        print(f"{chosen.name}, seed {number}: {line}", flush=True)
        _report(study, [a.name for a in arms])
    except ValueError as error:
        raise PellucidError(str(error)) from error


def _report(study: "Study", arms: list[str]) -> None:
    from pellucid_student.ablation import STEPS, table

    before = study.crops.psnr_in()
    text = "\n\n".join(table(study.results(), arms, before, steps) for steps in STEPS)
    print(text)
    (study.folder / "table.md").write_text(text + "\n")
    print(f"wrote {study.folder / 'table.md'}")
