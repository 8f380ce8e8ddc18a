"""`pellucid train ablate`: what each term of a student's loss is worth, in dB."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid import PellucidError

if TYPE_CHECKING:
    from pellucid_student.ablation import Ablation

PRINT_EVERY = 200


def ablate(
    data: Annotated[Path, typer.Option("--data", help="Training folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the comparison, resumed.")],
    teacher: Annotated[
        Path | None, typer.Option("--teacher", help="Teacher's folder, or a student's weights.")
    ] = None,
    teacher_steps: Annotated[int | None, typer.Option(min=1, help="Of its sampler.")] = None,
    preset: Annotated[str, typer.Option(help="tiny, nano or pico.")] = "tiny",
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of every variant.")] = 10_000,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--variant", "--arm", help="control, later, teacher, full; repeat it (default: all)."
        ),
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat it for several.")] = None,
    pruned: Annotated[
        Path | None,
        typer.Option(help="Pruned weights: compare them, fine-tuned, with their shape from zero."),
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Weights that all begin from.")] = None,
    lr: Annotated[
        float | None, typer.Option(min=0.0, help="Peak learning rate (default: the recipe's).")
    ] = None,
    dev: Annotated[Path | None, typer.Option("--dev", help="Sets to measure on.")] = None,
    crop: Annotated[int, typer.Option(min=32, help="Side of a training crop, px.")] = 96,
    crops: Annotated[int, typer.Option(min=1, help="Held-out crops a task.")] = 16,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make samples.")] = 1,
) -> None:
    """Train variants with equal steps and seeds, and print what each gains over the first."""
    from .session import known, need_torch

    need_torch()
    from pellucid_student.ablation import VARIANTS, Ablation, Variant
    from pellucid_student.frozen_teacher import load_frozen_teacher
    from pellucid_student.plain_unet import PRESETS
    from pellucid_student.train import STUDENT_TRAIN
    from pellucid_student.validation import ValidationCrops, hold_out
    from pellucid_student.weights import load_student
    from pellucid_teacher.data.corpus import load_corpus
    from pellucid_teacher.data.stream import single_thread_opencv
    from pellucid_teacher.training.dev_set import DevSet

    known(preset, PRESETS)
    names = variant or list(VARIANTS)
    for name in names:
        known(name, VARIANTS)
    single_thread_opencv()
    try:
        frozen = None if teacher is None else load_frozen_teacher(teacher, teacher_steps)
        if pruned is None:
            variants = [Variant(name, VARIANTS[name], PRESETS[preset], start) for name in names]
        else:
            network = load_student(pruned)[0].config
            losses = VARIANTS["later" if frozen is None else "full"]
            variants = [
                Variant("from-zero", losses, network),
                Variant("pruned", losses, network, pruned),
            ]
        if frozen is None and any(v.needs_teacher for v in variants):
            raise ValueError("these variants need a teacher: add --teacher PATH")
        training, held = hold_out(load_corpus(data))
        config = replace(STUDENT_TRAIN, steps=steps, workers=workers, lr=lr or STUDENT_TRAIN.lr)
        dev_set = None if dev is None else DevSet.load(dev, pairs=4)
        drawn = ValidationCrops.draw(held, crops)
        ablation = Ablation(out, training, drawn, config, crop, frozen, dev_set)
        for number in seed or [1]:
            for chosen in variants:
                for report in ablation.run(chosen, number):
                    if report.step % PRINT_EVERY == 0:
                        ms = 1e3 * report.elapsed / report.step
                        line = f"step {report.step}  loss {report.loss:.4f}  {ms:.0f} ms/step"
                        print(f"{chosen.name}, seed {number}: {line}", flush=True)
        _report(ablation, [v.name for v in variants])
    except ValueError as error:
        raise PellucidError(str(error)) from error


def _report(ablation: "Ablation", variants: list[str]) -> None:
    from pellucid_student.ablation import STEPS, table

    before = ablation.crops.psnr_in()
    text = "\n\n".join(table(ablation.results(), variants, before, steps) for steps in STEPS)
    print(text)
    (ablation.folder / "table.md").write_text(text + "\n")
    print(f"wrote {ablation.folder / 'table.md'}")
