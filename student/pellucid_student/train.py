"""Train a student on ground truth: python -m pellucid_student.train --data DIR --out runs/tiny

Stop it at any time; the same command goes on from the last checkpoint. At the end the averaged
weights are written to OUT/student.safetensors.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import torch

from pellucid_teacher.data.corpus import load_corpus
from pellucid_teacher.data.stream import single_thread_opencv
from pellucid_teacher.data.synthesis import Synthesis
from pellucid_teacher.training.checkpoint import averaged_weights
from pellucid_teacher.training.loop import Report, TrainConfig, train

from .objective import unrolled_loss
from .plain_unet import PRESETS, PlainUNet
from .watch import Watch
from .weights import Provenance, save_student

PRINT_EVERY = 100


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    config = TrainConfig(steps=args.steps, workers=args.workers)
    single_thread_opencv()
    try:
        corpus = load_corpus(args.data, frozenset(args.leave_out))
        watch = None if args.dev is None else Watch.load(args.dev, args.dev_pairs)
        print(
            f"{len(corpus.clean)} clean photos, {len(corpus.lowlight)} low-light pairs", flush=True
        )
        torch.manual_seed(config.seed)
        model = PlainUNet(PRESETS[args.preset])
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        synthesis = Synthesis(corpus, args.crop, hold=config.batch_size)
        _run(train(model, unrolled_loss, synthesis, config, args.out, args.minutes), args, watch)
        _keep(args, config)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(reports: Iterator[Report], args: argparse.Namespace, watch: Watch | None) -> None:
    total, started = 0.0, time.monotonic()
    for report in reports:
        total += report.loss
        if report.step % PRINT_EVERY == 0:
            took = (time.monotonic() - started) / PRINT_EVERY
            left = report.elapsed * (1 / max(report.progress, 1e-6) - 1) / 60
            print(
                f"step {report.step}  loss {total / PRINT_EVERY:.4f}  lr {report.lr:.1e}  "
                f"{took * 1e3:.0f} ms/step  {left:.0f} min left",
                flush=True,
            )
            total, started = 0.0, time.monotonic()
        if watch is not None and report.step % args.dev_every == 0:
            assert isinstance(report.ema, PlainUNet)
            print(f"dev   {watch.line(report.ema)}", flush=True)


def _keep(args: argparse.Namespace, config: TrainConfig) -> None:
    """Write the averaged weights of the last checkpoint, folded, with where they come from."""
    model = PlainUNet(PRESETS[args.preset])
    average, step = averaged_weights(args.out)
    model.load_state_dict(average)
    recipe = (
        f"ground truth only, batch {config.batch_size} of {args.crop} px, Adam {config.lr:g}, "
        f"cosine, EMA {config.ema}"
    )
    told = Provenance(args.preset, recipe, step, args.dataset, date=date.today().isoformat())
    path = args.out / "student.safetensors"
    save_student(path, model, told)
    print(f"wrote {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pellucid_student.train", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="training folder, laid out as in corpus.py")
    add("--out", type=Path, required=True, help="run folder, made or resumed")
    add("--preset", choices=sorted(PRESETS), default="tiny")
    add("--steps", type=int, default=60_000, help="optimiser steps of the whole run")
    add("--minutes", type=float, default=None, help="time budget of the whole run")
    add("--crop", type=int, default=128, help="side of a training crop, px")
    add("--workers", type=int, default=1, help="processes that make samples")
    add("--leave-out", nargs="*", default=[], help="folders under clean/ to keep unseen")
    add("--dataset", nargs="*", default=[], help="names and licences for the weights' header")
    add("--dev", type=Path, default=None, help="sets to watch, never trained on")
    add("--dev-pairs", type=int, default=2, help="pairs watched in each set")
    add("--dev-every", type=int, default=2500, help="steps between looks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
