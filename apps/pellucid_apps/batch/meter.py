"""Progress of `pellucid batch`: a bar or a line now and then; failures by name."""

import time
from collections import Counter

from ..progress import Progress, hours
from .rows import Row

_LINE_EVERY_S = 10.0
_FAILURES_NAMED = 20  # the report has them all


class Meter(Progress):
    """Counts rows. Context manager; total: photos that this run has before it."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self.counts: Counter[str] = Counter()
        self.failed = 0
        self._total = total
        self._begun = self._printed = time.monotonic()

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
                self.tell(f"FAILED  {row.status}: {row.error}")
            elif self.failed == _FAILURES_NAMED + 1:
                self.tell("        further failures are only in the report")
        has_bar = self.show(self.done, f"{self.failed} failed" if self.failed else "")
        if not has_bar and time.monotonic() - self._printed >= _LINE_EVERY_S:
            self._printed = time.monotonic()
            self.tell(self.line())

    def line(self) -> str:
        """Such as "120 of 1,000 photos, 12 %, 3.4 a second, 2 failed, 0:04:19 left"."""
        rate = self.done / self.elapsed if self.elapsed else 0.0
        left = (self._total - self.done) / rate if rate else 0.0
        share = 100 * self.done / self._total if self._total else 100
        failed = f"{self.failed} failed, " if self.failed else ""
        line = f"{self.done:,} of {self._total:,} photos, {share:.0f} %, {rate:.1f} a second"
        return f"{line}, {failed}{hours(left)} left"
