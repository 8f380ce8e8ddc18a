"""`pellucid prune`: a smaller student out of a wider one, fine-tuned with the wider as teacher."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from pellucid import PellucidError

from .session import Session

CROPS = 8  # a task, to measure what levels are worth
FINETUNE_LR = 3e-4  # a third of a fresh student's: the weights are nearly right


def prune(
    weights: Annotated[Path, typer.Argument(help="A student's .safetensors, or a bundled name.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    macs_ratio: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the operations to keep.")
    ] = 0.5,
    parameters: Annotated[
        int | None, typer.Option(min=1, help="Parameters to keep at most (default: any number).")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Training folder, to measure what levels are worth, and to fine-tune."),
    ] = None,
    finetune_minutes: Annotated[float | None, typer.Option(help="Time for fine-tuning.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make samples.")] = 1,
) -> None:
    """Prune a student and fine-tune what is left, with the original as its teacher."""
    _run(weights, macs_ratio, parameters, out, data, finetune_minutes, workers)


def _run(
    weights: Path,
    macs_ratio: float,
    parameters: int | None,
    out: Path,
    data: Path | None,
    minutes: float | None,
    workers: int,
) -> None:
    """Write OUT/pruned.safetensors and, after fine-tuning, OUT/student.safetensors."""
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("torch_pruning") is None:
        raise PellucidError("pruning needs torch-pruning: pip install 'pellucid[prune]'")
    if minutes is not None and data is None:
        raise PellucidError("fine-tuning needs pictures: add --data FOLDER")
    from pellucid_export.weights import find_weights
    from pellucid_student.prune import prune as prune_student
    from pellucid_student.prune import size
    from pellucid_student.validation import ValidationCrops
    from pellucid_student.weights import load_student, save_student
    from pellucid_teacher.data.corpus import load_corpus
    from pellucid_teacher.data.stream import single_thread_opencv

    single_thread_opencv()
    weights = find_weights(str(weights))
    try:
        wide, provenance = load_student(weights)
        crops = None if data is None else ValidationCrops.draw(load_corpus(data), CROPS, 96)
        done = prune_student(wide, macs_ratio, parameters, crops)
    except ValueError as error:
        raise PellucidError(str(error)) from error
    preset = f"{provenance.preset}-pruned"
    made = f"pruned to {done.macs_ratio:.2f} of the operations of: {provenance.recipe}"
    kept = replace(provenance, preset=preset, recipe=made, date=str(date.today()))
    out.mkdir(parents=True, exist_ok=True)
    save_student(out / "pruned.safetensors", done.student, kept)
    print(
        f"widths {wide.config.widths} -> {done.student.config.widths}, "
        f"{size(wide.config)} -> {size(done.student.config)} parameters, "
        f"{done.macs_ratio:.2f} of the operations"
    )
    print(f"wrote {out / 'pruned.safetensors'}")
    if minutes is not None and data is not None:
        _finetune(weights, out, data, minutes, workers)


def _finetune(weights: Path, out: Path, data: Path, minutes: float, workers: int) -> None:
    from pellucid_student.frozen_teacher import load_frozen_teacher
    from pellucid_student.train import STUDENT_TRAIN, RunConfig, keep_student, train_student
    from pellucid_student.weights import load_student

    start = out / "pruned.safetensors"
    network, provenance = load_student(start)
    teacher = load_frozen_teacher(weights)
    training = replace(STUDENT_TRAIN, lr=FINETUNE_LR, workers=workers)
    config = RunConfig(network.config, start, train=training)
    session = Session(str(data), out, hold_out=False)
    if session.run(lambda corpus: train_student(config, corpus, out, minutes, teacher)):
        done = keep_student(
            config, out, provenance.preset, provenance.datasets, provenance.license, teacher
        )
        print(f"wrote {done}")
