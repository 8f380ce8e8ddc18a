"""TensorBoard record of a run: loss, learning rate, PSNR on the dev set, before/after pictures."""

from functools import partial
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from .dev_set import DevScores, DevSet, restore_picture
from .loop import StepReport


class Monitor:
    """Writes folder/tensorboard. dev None: scalars only. every: steps between measurements."""

    def __init__(self, folder: Path, dev: DevSet | None = None, every: int = 2500) -> None:
        self._writer = SummaryWriter(folder / "tensorboard")
        self._dev, self._every = dev, every

    def record(self, report: StepReport, scalars_every: int = 20) -> DevScores | None:
        """Record a step; every `every` steps measure the averaged system on the dev set."""
        write = self._writer.add_scalar
        if report.step % scalars_every == 0:
            write("train/loss", report.loss, report.step)
            write("train/lr", report.lr, report.step)
        return None if report.step % self._every else self.measure(report)

    def measure(self, report: StepReport) -> DevScores | None:
        """Measure the averaged system on the dev set now; None if there is no set."""
        if self._dev is None:
            return None
        write = self._writer.add_scalar
        scores = self._dev.measure(partial(restore_picture, report.average))
        for name, (_, psnr) in scores.figures.items():
            write(f"dev/{name}", psnr, report.step)
        picture = np.asarray(scores.grid)
        self._writer.add_image("before-after-clean", picture, report.step, dataformats="HWC")
        self._writer.flush()
        return scores

    def close(self) -> None:
        self._writer.close()
