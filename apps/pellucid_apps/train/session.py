"""A training as a command shows it: data loaded, progress on the screen, TensorBoard written."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pellucid import PellucidError

if TYPE_CHECKING:
    from pellucid_teacher.data.corpus import Corpus
    from pellucid_teacher.training.loop import Report

PRINT_EVERY = 100


@dataclass(frozen=True)
class Session:
    """data: training folder. out: run folder. leave_out: folders under clean/ that stay unseen.
    dev: sets to measure on every `dev_every` steps, or None."""

    data: Path
    out: Path
    leave_out: tuple[str, ...] = ()
    dev: Path | None = None
    dev_every: int = 2500

    def run(self, start: "Callable[[Corpus], Iterator[Report]]") -> bool:
        """Train to the end. True in the main process, which writes the weights.

        Raises PellucidError for a user's mistake.
        """
        from pellucid_teacher.data.corpus import load_corpus
        from pellucid_teacher.data.stream import single_thread_opencv
        from pellucid_teacher.training.dev_set import DevSet
        from pellucid_teacher.training.loop import flushed_denormals
        from pellucid_teacher.training.monitor import Monitor

        single_thread_opencv()
        main = True
        try:
            corpus = load_corpus(self.data, frozenset(self.leave_out))
            dev = None if self.dev is None else DevSet.load(self.dev, pairs=2)
            monitor = Monitor(self.out, dev, self.dev_every)
            console = Console()
            columns = (TextColumn("training"), BarColumn(), TaskProgressColumn())
            remaining = TimeRemainingColumn()
            with flushed_denormals(), Progress(*columns, remaining, console=console) as bar:
                task, total = bar.add_task("", total=1.0), 0.0
                for report in start(corpus):
                    main = report.is_main
                    bar.update(task, completed=report.progress, visible=main)
                    total += report.loss
                    if not main:
                        continue
                    if report.step % PRINT_EVERY == 0:
                        console.print(_line(report, total / PRINT_EVERY), highlight=False)
                        total = 0.0
                    scores = monitor.record(report)
                    if scores is not None:
                        console.print(f"dev  {scores.line()}", highlight=False)
            monitor.close()
        except ValueError as error:
            raise PellucidError(str(error)) from error
        return main


def _line(report: "Report", loss: float) -> str:
    rate = 1e3 * report.elapsed / report.step
    return f"step {report.step}  loss {loss:.4f}  lr {report.lr:.1e}  {rate:.0f} ms/step"


def known(name: str, names: Mapping[str, object]) -> None:
    """Raises BadParameter for a name that is not one of `names`."""
    if name not in names:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(names)}")


def need_torch() -> None:
    """Raises PellucidError where the `train` extra is not installed."""
    if any(find_spec(name) is None for name in ("torch", "accelerate", "safetensors")):
        raise PellucidError("training needs torch: pip install 'pellucid[train]'")
