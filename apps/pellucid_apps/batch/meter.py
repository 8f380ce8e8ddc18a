"""Progress of a batch: a bar on a terminal, elsewhere a line now and then; failures by name."""

import sys
import time
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ..progress import hours
from .rows import Row

_LINE_EVERY_S = 10.0
_FAILURES_NAMED = 20  # the report has them all


class Meter:
    """Counts rows. Context manager; total: photos that this run has before it."""

    def __init__(self, total: int) -> None:
        self.counts: Counter[str] = Counter()
        self.failed = 0
        self._total = total
        self._begun = self._told = time.monotonic()
        self._bar: Bar | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("restoring"), BarColumn(), MofNCompleteColumn())
            rest = (TimeRemainingColumn(), TextColumn("{task.fields[failed]}"))
            self._bar = Bar(*columns, *rest, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=total, failed="")

    def __enter__(self) -> "Meter":
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

    @property
    def done(self) -> int:
        return self.counts.total()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begun

    def add(self, row: Row) -> None:
        self.counts[row.status] += 1
        if row.failed:
            self.failed += 1
            if self.failed <= _FAILURES_NAMED:
                self._tell(f"FAILED  {row.status}: {row.error}")
            elif self.failed == _FAILURES_NAMED + 1:
                self._tell("        further failures are only in the report")
        if self._bar is not None:
            failed = f"{self.failed} failed" if self.failed else ""
            self._bar.update(self._task, completed=self.done, failed=failed)
        elif time.monotonic() - self._told >= _LINE_EVERY_S:
            self._told = time.monotonic()
            self._tell(self.line())

    def line(self) -> str:
        """Such as "120 of 1,000 photos, 12 %, 3.4 a second, 2 failed, 0:04:19 left"."""
        rate = self.done / self.elapsed if self.elapsed else 0.0
        left = (self._total - self.done) / rate if rate else 0.0
        share = 100 * self.done / self._total if self._total else 100
        failed = f"{self.failed} failed, " if self.failed else ""
        line = f"{self.done:,} of {self._total:,} photos, {share:.0f} %, {rate:.1f} a second"
        return f"{line}, {failed}{hours(left)} left"

    def _tell(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)
