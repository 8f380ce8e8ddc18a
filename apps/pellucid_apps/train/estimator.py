"""`pellucid train estimator`: what is wrong with a photo, learnt anew; the restoring stays."""

from pathlib import Path
from typing import Annotated

import typer

from pellucid import PellucidError

from . import options
from .session import PRINT_EVERY, need_torch


def estimator(
    weights: Annotated[Path, typer.Argument(help="A student's weights.", show_default=False)],
    data: Annotated[
        Path, typer.Option("--data", help="Training folder, laid out as the README says.")
    ],
    out: options.Out,
    minutes: Annotated[float, typer.Option(help="Time budget of the training.")] = 15.0,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what WEIGHTS know.")] = False,
    lr: options.Rate = None,
    seed: options.Seed = 1,
    workers: options.Workers = 1,
    compile_: Annotated[
        bool, typer.Option("--compile", help="bf16 and torch.compile; needs a C++ compiler.")
    ] = False,
    measure: Annotated[bool, typer.Option(help="Measure on the held-out pictures.")] = True,
) -> None:
    """Train the degradation estimator of WEIGHTS and write OUT/student.safetensors.

    One file of six is held out (pellucid_teacher.data.corpus.is_held); the score is measured there.
    """
    need_torch()
    from pellucid_student.estimator_training import (
        EstimatorTraining,
        train_estimator,
        with_estimator,
    )
    from pellucid_student.estimator_validation import EstimatorValidation
    from pellucid_student.weights import load_student
    from pellucid_teacher.data.corpus import is_held, load_corpus
    from pellucid_teacher.data.labelled import Labelled
    from pellucid_teacher.data.stream import single_thread_opencv

    single_thread_opencv()
    try:
        network, _ = load_student(weights)
        if network.estimator is None:
            raise ValueError(f"{weights}: this student has no estimator; train a new one")
        if anew:
            network.estimator.forget()
        labelled = Labelled(load_corpus(data, wanted=lambda path: not is_held(path)))
        config = EstimatorTraining(
            minutes=minutes,
            lr=lr or EstimatorTraining.lr,
            seed=seed,
            workers=workers,
            fast=compile_,
        )
        network.estimator.requires_grad_(True)
        step = 0
        for report in train_estimator(network.estimator, labelled, config, out):
            step = report.step
            if step % PRINT_EVERY == 0:
                print(f"step {step}  loss {report.loss:.4f}", flush=True)
        if step == 0:
            raise ValueError("the time budget ended before the first step; give more --minutes")
        path = with_estimator(weights, network.estimator, out / "student.safetensors", step)
        print(f"wrote {path}")
        if measure:
            print(EstimatorValidation(data).score(network.eval()))
    except ValueError as error:
        raise PellucidError(str(error)) from error
