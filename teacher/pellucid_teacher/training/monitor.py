"""TensorBoard record of a run: loss, learning rate, held PSNR, before/after pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from .dev_set import DevScores, Picture, Watch
from .loop import Report


class Monitor:
    """Writes folder/tensorboard. `watch` None: scalars only."""

    def __init__(self, folder: Path, watch: Watch | None = None, every: int = 2500) -> None:
        self._writer = SummaryWriter(folder / "tensorboard")
        self._watch, self._every = watch, every

    def record(
        self, report: Report, restore: Callable[[Picture], Picture], scalars_every: int = 20
    ) -> DevScores | None:
        """Record a step; every `every` steps look at the held pairs through `restore`."""
        write = self._writer.add_scalar
        if report.step % scalars_every == 0:
            write("train/loss", report.loss, report.step)
            write("train/lr", report.lr, report.step)
        if self._watch is None or report.step % self._every:
            return None
        look = self._watch.look(restore)
        for name, (_, psnr) in look.figures.items():
            write(f"dev/{name}", psnr, report.step)
        picture = np.asarray(look.grid)
        self._writer.add_image("before-after-clean", picture, report.step, dataformats="HWC")
        self._writer.flush()
        return look

    def close(self) -> None:
        self._writer.close()
