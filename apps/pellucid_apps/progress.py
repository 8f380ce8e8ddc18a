"""Progress of a batch: a bar on a terminal, plain lines elsewhere."""

import sys
from types import TracebackType

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
            self._bar = Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True))
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tiles(self, done: int, total: int) -> None:
        """`done` of `total` tiles of the photo at hand."""
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done + done / total)

    def finish(self, line: str, failed: bool) -> None:
        self._done += 1
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
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
