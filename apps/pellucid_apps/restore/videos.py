"""`pellucid restore` for videos: what is said before, while and after a video is restored."""

import time
from pathlib import Path

import typer

from pellucid import PellucidError, Restorer
from pellucid.video import SteadyRestorer, VideoOptions, plan_video, restore_video

from ..progress import Progress

_LINE_EVERY_S = 10.0  # of progress, where there is no terminal


class Interrupted(PellucidError):
    """Ctrl-C while a video was restored; what is finished is kept."""


def seconds(text: str | None) -> float | None:
    """A time as 90, 1:30 or 0:01:30.5, in seconds; None stays None."""
    if text is None:
        return None
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(0.0 <= part < 1e9 for part in parts):
        raise typer.BadParameter(f"expected seconds or h:mm:ss, got {text!r}")
    return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def restore_one(
    source: Path,
    target: Path,
    restorer: Restorer,
    strength: float,
    options: VideoOptions,
    progress: Progress,
    frames: Restorer | None = None,
) -> tuple[str, float, tuple[str, ...]]:
    """Restore one video; returns (size, milliseconds, notes). Ctrl-C raises Interrupted.

    frames: goes on from the last frame's result; None restores each frame for itself.
    """
    plan = plan_video(source, target, options)
    for note in plan.notes:
        progress.tell(f"note    {source}: {note}")
    label = _label(restorer, strength, frames)
    clock = _Clock(source, progress)
    begun = time.perf_counter()
    try:
        count, damage = restore_video(
            plan, lambda: SteadyRestorer(restorer, strength, frames), label, options, clock.report
        )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted at {clock.done} of {clock.total or '?'} frames of {source}; finished "
            f"parts are kept in {target}.partial, the same command goes on from there"
        ) from None
    track = plan.source.tracks[0]
    ms = round(1e3 * (time.perf_counter() - begun), 1)
    return f"{track.width}x{track.height}x{count}", ms, (*plan.notes, *damage)


def _label(restorer: Restorer, strength: float, frames: Restorer | None) -> str:
    """All that the result depends on besides the video: no run goes on with another model's."""
    digests = [one.digest for one in (restorer, frames) if one is not None]
    return f"{' '.join(digests)} steps {restorer.steps} strength {strength}"


class _Clock:
    """Frames done and the time that is left, from what this run has done so far."""

    def __init__(self, source: Path, progress: Progress) -> None:
        self._source, self._progress = source, progress
        self._begun = self._told = time.monotonic()
        self._first: int | None = None
        self.done, self.total = 0, 0

    def report(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first, self._begun = done, now
        self.done, self.total = done, max(total, done) if total else 0
        self._progress.tiles(done, max(total, done, 1))
        if now - self._told >= _LINE_EVERY_S:
            self._told = now
            self._progress.tell(self._line(now))

    def _line(self, now: float) -> str:
        line = f"        {self._source}: frame {self.done}"
        new = self.done - (self._first or 0)
        if not self.total or not new:
            return line
        left = round((now - self._begun) / new * (self.total - self.done))
        return f"{line} of {self.total}, {left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left"
