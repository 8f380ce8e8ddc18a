"""A training as a command shows it: data loaded, progress on the screen, TensorBoard written."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pellucid import PellucidError

from ..progress import hours
from .degraded import degraded_photos, warning
from .held_out import FEWEST, HeldOut

if TYPE_CHECKING:
    from pellucid_teacher.data.corpus import Corpus
    from pellucid_teacher.data.stream import Samples
    from pellucid_teacher.training.loop import StepReport
    from pellucid_teacher.training.monitor import Monitor

PRINT_EVERY = 100


@dataclass(frozen=True)
class Session:
    """data: training folder, or a folder or address of shards. out: run folder. leave_out: folders
    under clean/ that stay unseen. dev: sets to measure on every `dev_every` steps, or None.
    hold_out: without `dev`, keep a sixth of the files (`is_held`) unseen, to measure on.
    scale: sides of results over those of the inputs, which the sets must have, too.
    draw: what is drawn of them, as `Recipe.draw`; None: every task of the synthesis.
    began: `time.monotonic()` at which the command began; loading counts as time of the training."""

    data: str
    out: Path
    leave_out: tuple[str, ...] = ()
    dev: Path | None = None
    dev_every: int = 2500
    hold_out: bool = True
    draw: "Callable[[Corpus, int], Samples] | None" = None
    scale: int = 1
    began: float = field(default_factory=time.monotonic)

    def run(self, start: "Callable[[Corpus], Iterator[StepReport]]") -> bool:
        """Train to the end. True in the main process, which writes the weights.

        Raises PellucidError for a user's mistake; exits with 130 after Ctrl-C and SIGTERM, when
        everything is saved.
        """
        from pellucid_teacher.data.shards import open_corpus
        from pellucid_teacher.data.stream import single_thread_opencv
        from pellucid_teacher.training.dev_set import DevSet
        from pellucid_teacher.training.loop import flushed_denormals
        from pellucid_teacher.training.monitor import Monitor

        single_thread_opencv()
        console = Console(quiet=os.environ.get("RANK", "0") != "0")
        last: StepReport | None = None
        try:
            console.print(f"loading pictures from {self.data}", highlight=False)
            if not console.quiet and not (self.out / "state.pt").exists():
                line = warning(*degraded_photos(self.data, self.leave_out))
                console.print(line, highlight=False, soft_wrap=True, end="\n" if line else "")
            dev = None if self.dev is None else DevSet.load(self.dev, pairs=2, scale=self.scale)
            left, held = frozenset(self.leave_out), None
            if dev is None and self.hold_out:
                corpus, held = HeldOut.load(self.data, left, self.out, self.draw)
            else:
                corpus = open_corpus(self.data, left)
            monitor = Monitor(self.out, dev, self.dev_every)
            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
            remaining = TimeRemainingColumn()
            with flushed_denormals(), Progress(*columns, remaining, console=console) as bar:
                task, total, printed = bar.add_task("preparing", total=1.0), 0.0, time.monotonic()
                for report in start(corpus):
                    bar.update(task, completed=report.progress, description="training")
                    total += report.loss
                    first, last = last is None, report
                    if not report.is_main:
                        continue
                    if first and held is not None:
                        held.begin(report.average)
                    if report.step % PRINT_EVERY == 0:
                        rate = 1e3 * (time.monotonic() - printed) / PRINT_EVERY
                        console.print(_line(report, total / PRINT_EVERY, rate), highlight=False)
                        total, printed = 0.0, time.monotonic()
                    scores = monitor.record(report)
                    if scores is not None:
                        console.print(f"dev  {scores.line()}", highlight=False)
                if last is not None and last.is_main:
                    bar.update(task, description="measuring")
                    for line in self._result_lines(last, held, monitor):
                        console.print(line, highlight=False, soft_wrap=True)
            monitor.close()
        except KeyboardInterrupt:
            step = "before its first step" if last is None else f"after step {last.step}"
            console.print(f"stopped {step}; the same command goes on from {self.out}")
            raise typer.Exit(130) from None
        except ValueError as error:
            raise PellucidError(str(error)) from error
        if last is None and not (self.out / "state.pt").exists():
            raise PellucidError("the time budget ended before the first step; give more --minutes")
        return last is None or last.is_main

    def _result_lines(
        self, last: "StepReport", held: HeldOut | None, monitor: "Monitor"
    ) -> Iterator[str]:
        """What came of it."""
        yield f"{last.step:,} steps, {last.pictures:,} pictures seen, {hours(last.elapsed)}"
        scores = monitor.measure(last)
        if scores is not None:
            yield f"dev, dB given -> now: {scores.line()}"
        elif held is not None:
            yield held.gain(last.average)
        elif self.hold_out:
            yield f"no figures: --data has under {FEWEST} clean photos to hold some out; give --dev"


def _line(report: "StepReport", loss: float, rate: float) -> str:
    return f"step {report.step}  loss {loss:.4f}  lr {report.lr:.1e}  {rate:.0f} ms/step"


def known(name: str, names: Mapping[str, object]) -> None:
    """Raises BadParameter for a name that is not one of `names`."""
    if name not in names:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(names)}")


def need_torch() -> None:
    """Raises PellucidError where the `train` extra is not installed."""
    if any(find_spec(name) is None for name in ("torch", "accelerate", "safetensors")):
        raise PellucidError("training needs torch: pip install 'pellucid[train]'")
