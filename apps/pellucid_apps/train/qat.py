"""`pellucid qat`: a student fine-tuned while its convolutions imitate 8 bits, and its int8 file."""

from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid import PellucidError

from .session import Session, need_torch

if TYPE_CHECKING:
    from pellucid_student.plain_unet import PlainUNet
    from pellucid_student.qat import Guarded
    from pellucid_teacher.data.corpus import Corpus

FINETUNE_LR = 1e-4  # the weights are right; only their rounding is new
CROPS = 8  # of each task that the loss is judged on
INT8_FLOOR_DB = 30.0  # of agreement with torch: where a value falls between two levels, they differ


def qat(
    weights: Annotated[Path, typer.Argument(help="A student's .safetensors, or a bundled name.")],
    data: Annotated[Path, typer.Option(help="Training folder, laid out as the README says.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder, made or resumed.")],
    minutes: Annotated[float | None, typer.Option(help="Time budget of the whole run.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of the whole run.")] = 3000,
    max_drop: Annotated[
        float, typer.Option(min=0.0, help="dB that a task may lose; layers go back to float.")
    ] = 0.1,
    crop: Annotated[int, typer.Option(min=32, help="Side of a training crop, px.")] = 96,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make samples.")] = 1,
) -> None:
    """Fine-tune a student for 8 bits and write OUT/model_qat.onnx (QDQ, one step).

    One photo in ten is held back: on those the loss of every task is judged.
    """
    need_torch()
    from pellucid_export.card import card
    from pellucid_export.onnx.file import write_onnx
    from pellucid_export.restoration import Restoration
    from pellucid_export.thresholds import ParityError
    from pellucid_export.weights import find_weights
    from pellucid_student.qat import in_floats, quantised
    from pellucid_student.student import Student
    from pellucid_student.train import STUDENT_TRAIN
    from pellucid_student.validation import hold_out
    from pellucid_student.weights import load_student
    from pellucid_teacher.data.corpus import load_corpus
    from pellucid_teacher.data.synthesis import Synthesis
    from pellucid_teacher.training.checkpoint import averaged_weights
    from pellucid_teacher.training.loop import train

    weights = find_weights(str(weights))
    try:
        student, provenance = load_student(weights)
        learnt, held = hold_out(load_corpus(data))
    except ValueError as error:
        raise PellucidError(str(error)) from error
    model = quantised(student)
    config = replace(STUDENT_TRAIN, lr=FINETUNE_LR, warmup=50, steps=steps, workers=workers)
    if not Session(str(data), out, hold_out=False).run(
        lambda _: train(
            Student(model),
            Synthesis(learnt, crop, samples_per_task=config.batch_size),
            config,
            out,
            minutes,
        ),
    ):
        return
    average, step = averaged_weights(out)
    model.load_state_dict(average)
    deployed, found = _guarded(model, held, max_drop, crop)
    print(f"8 bits cost at most {found.drop_db:.3f} dB of a task on photos held back")
    for name in found.kept_float:
        print(f"  stays in float: {name}")
    made = f"{provenance.recipe}; then {step} steps at {FINETUNE_LR:g} imitating 8 bits"
    kept = replace(provenance, recipe=made, steps=provenance.steps + step, date=str(date.today()))
    try:
        model_card = card(in_floats(deployed), kept, steps=1)
        done = write_onnx(
            Restoration(deployed, 1), model_card, out / "model_qat.onnx", INT8_FLOOR_DB
        )
    except ParityError as error:
        raise PellucidError(str(error)) from error
    print(f"wrote {done.path}, {done.parity_db:.0f} dB from torch; measure it: pellucid eval -m")


def _guarded(
    model: "PlainUNet", held: "Corpus", max_drop: float, crop: int
) -> "tuple[PlainUNet, Guarded]":
    """Scales frozen, layers that cost a task more than max_drop dB back in float."""
    from pellucid_student.qat import freeze, guard, layers
    from pellucid_student.steps import restore
    from pellucid_student.validation import ValidationCrops

    deployed, crops = freeze(model), ValidationCrops.draw(held, CROPS, crop)
    for layer in layers(deployed).values():
        layer.enabled = False
    whole = crops.psnr(partial(restore, deployed))

    def worst(network: "PlainUNet") -> float:
        now = crops.psnr(partial(restore, network))
        return min(now[task] - whole[task] for task in whole)

    return deployed, guard(deployed, worst, max_drop)
