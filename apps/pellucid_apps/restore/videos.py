"""`pellucid restore` for videos: what is said before, while and after a video is restored."""

import time
from dataclasses import dataclass
from pathlib import Path

import typer

from pellucid import PellucidError, Restorer
from pellucid.degradations import BLIND, Choice
from pellucid.video import FoundInFrames, SteadyRestorer, VideoOptions, plan_video, restore_video

from ..progress import Progress, hours

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


@dataclass(frozen=True)
class How:
    """frames: goes on from the last frame's result; None restores each frame for itself. choice:
    what is restored."""

    restorer: Restorer
    strength: float = 1.0
    frames: Restorer | None = None
    choice: Choice = BLIND

    @property
    def label(self) -> str:
        """All that the result depends on besides the video: no run goes on with another's."""
        digests = [one.digest for one in (self.restorer, self.frames) if one is not None]
        label = f"{' '.join(digests)} steps {self.restorer.steps} strength {self.strength}"
        return f"{label} {self.choice}".rstrip()


@dataclass(frozen=True)
class RestoredVideo:
    """size: WIDTHxHEIGHTxFRAMES. found: in the frames that this run restored."""

    size: str
    ms: float
    notes: tuple[str, ...]
    found: FoundInFrames


def restore_one(
    source: Path, target: Path, how: How, options: VideoOptions, progress: Progress
) -> RestoredVideo:
    """Restore one video. Ctrl-C raises Interrupted."""
    plan = plan_video(source, target, options)
    for note in plan.notes:
        progress.tell(f"note    {source}: {note}")
    found = FoundInFrames()

    def new_restorer() -> SteadyRestorer:
        return SteadyRestorer(how.restorer, how.strength, how.frames, how.choice, found)

    clock = _Clock(source, progress)
    begun = time.perf_counter()
    try:
        count, damage = restore_video(plan, new_restorer, how.label, options, clock.report)
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted at {clock.done} of {clock.total or '?'} frames of {source}; finished "
            f"parts are kept in {target}.partial, the same command goes on from there"
        ) from None
    track = plan.source.tracks[0]
    ms = round(1e3 * (time.perf_counter() - begun), 1)
    size = f"{track.width}x{track.height}x{count}"
    return RestoredVideo(size, ms, (*plan.notes, *damage), found)


class _Clock:
    """Frames done and the time that is left, from what this run has done so far."""

    def __init__(self, source: Path, progress: Progress) -> None:
        self._source, self._progress = source, progress
        self._begun = self._printed = time.monotonic()
        self._first: int | None = None
        self.done, self.total = 0, 0

    def report(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first, self._begun = done, now
        self.done, self.total = done, max(total, done) if total else 0
        self._progress.tiles(done, max(total, done, 1))
        if now - self._printed >= _LINE_EVERY_S:
            self._printed = now
            self._progress.tell(self._line(now))

    def _line(self, now: float) -> str:
        line = f"        {self._source}: frame {self.done}"
        new = self.done - (self._first or 0)
        if not self.total or not new:
            return line
        left = (now - self._begun) / new * (self.total - self.done)
        return f"{line} of {self.total}, {hours(left)} left"
