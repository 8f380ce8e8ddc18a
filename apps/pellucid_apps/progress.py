"""Progress of a batch: a bar on a terminal, plain lines elsewhere."""

import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """Context manager. `tiles` takes a photo's share of work done; `finish` ends a photo."""

    def __init__(self, total: int, quiet: bool = False) -> None:
        self._quiet, self._done = quiet, 0
        self._bar: Bar | None = None
        if sys.stderr.isatty() and not quiet:
            columns = (TextColumn("restoring"), BarColumn(), MofNCompleteColumn())
            note = TextColumn("{task.fields[note]}")
            self._bar = Bar(*columns, TimeRemainingColumn(), note, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=total, note="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, completed: float, note: str = "") -> bool:
        """Move the bar; whether there is one."""
        if self._bar is not None:
            self._bar.update(self._task, completed=completed, note=note)
        return self._bar is not None

    def tiles(self, done: int, total: int) -> None:
        """`done` of `total` tiles of the photo at hand."""
        self.show(self._done + done / total)

    def finish(self, line: str, failed: bool) -> None:
        self._done += 1
        if self.show(self._done):
            self.tell(line)
        elif not self._quiet:
            print(line, file=sys.stderr if failed else sys.stdout, flush=True)

    def tell(self, line: str) -> None:
        """A line in between, on the error stream."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        elif not self._quiet:
            print(line, file=sys.stderr, flush=True)


def hours(seconds: float) -> str:
    """h:mm:ss"""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
