"""Train a student on ground truth: python -m pellucid_student.train --data DIR --out runs/tiny

Stop it at any time; the same command goes on from the last checkpoint.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

from pellucid_teacher.data.corpus import load_corpus
from pellucid_teacher.data.stream import single_thread_opencv
from pellucid_teacher.data.synthesis import Synthesis
from pellucid_teacher.training.loop import TrainConfig, train

from .objective import unrolled_loss
from .plain_unet import PRESETS, PlainUNet


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="training folder, see corpus.py")
    parser.add_argument("--out", type=Path, required=True, help="run folder, made or resumed")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--minutes", type=float, default=None, help="time budget of the whole run")
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--leave-out", nargs="*", default=[], help="folders under clean/ to skip")
    args = parser.parse_args()

    config = TrainConfig(steps=60_000)
    single_thread_opencv()
    corpus = load_corpus(args.data, frozenset(args.leave_out))
    print(f"{len(corpus.clean)} clean photos, {len(corpus.lowlight)} low-light pairs", flush=True)
    torch.manual_seed(config.seed)
    model = PlainUNet(PRESETS[args.preset]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean, started = 0.0, time.monotonic()
    for report in train(
        model, unrolled_loss, Synthesis(corpus, args.crop), config, args.out, args.minutes
    ):
        mean += report.loss
        if report.step % 100 == 0:
            took = (time.monotonic() - started) / 100
            left = report.elapsed * (1 / max(report.progress, 1e-6) - 1) / 60
            print(
                f"step {report.step}  loss {mean / 100:.4f}  lr {report.lr:.1e}  "
                f"{took * 1e3:.0f} ms/step  {left:.0f} min left",
                flush=True,
            )
            mean, started = 0.0, time.monotonic()
    return 0


if __name__ == "__main__":
    sys.exit(main())
