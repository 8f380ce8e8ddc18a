"""Frames of a stream in the order they are shown, past whatever is damaged."""

from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from .opening import opened, pyav
from .packets import STEADY, Clock, Damage, read_packets

_RETRIES = 100  # packets in a row that do not decode, after which the rest is given up


def read_frames(
    path: Path,
    index: int,
    damage: Damage,
    from_pts: int | None = None,
    threads: int = 1,
    clock: Clock = STEADY,
    first_pts: int | None = None,
) -> Generator[tuple[int, Any], None, None]:
    """(pts, frame) of stream `index`, pts strictly increasing.

    from_pts: begin at the last key frame at or before it; earlier frames come too. first_pts: of
    the first frame, which may not carry it itself. The frames' size may change on the way.
    """
    with opened(path) as container:
        stream = container.streams[index]
        stream.codec_context.thread_count = threads
        if clock.shifts_s:
            from_pts = None  # times say nothing of places in such a file
        if from_pts is not None:
            try:
                container.seek(from_pts, stream=stream, backward=True)
            except pyav().error.FFmpegError:
                from_pts = None
        step = frame_ticks(stream)
        frames = _decode(container, stream, clock, damage)
        first = next(frames, None)
        if from_pts is None:
            yield from _timed(first, frames, step, damage, first_pts)
            return
        if first is None or (first.pts is not None and first.pts <= from_pts):
            yield from _timed(first, frames, step, damage)
            return
    # The file has no usable index: from its beginning then.
    yield from read_frames(path, index, damage, None, threads, clock, first_pts)


def frame_ticks(stream: Any) -> int:
    """How long a frame lasts at the stream's average rate, in units of its time base."""
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    return max(1, round(1 / (Fraction(rate) * Fraction(stream.time_base))))


def _decode(container: Any, stream: Any, clock: Clock, damage: Damage) -> Iterator[Any]:
    av = pyav()
    failures = 0
    for packet in read_packets(container, [stream], clock, damage):
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.EOFError, av.error.UndefinedError):
            failures += 1
            damage.packets += 1
            if failures > _RETRIES:
                return
            continue
        failures = 0
        yield from frames


def _timed(
    first: Any, rest: Iterator[Any], step: int, damage: Damage, first_pts: int | None = None
) -> Iterator[tuple[int, Any]]:
    """first_pts: where counting begins until the first frame that carries its time."""
    last: int | None = None
    frame, counting = first, first_pts is not None
    while frame is not None:
        pts = frame.pts if frame.pts is not None else frame.dts
        counting = counting and pts is None
        if pts is None or (last is not None and pts <= last):
            damage.retimed += not counting
            pts = (first_pts or 0) if last is None else last + max(1, frame.duration or step)
        last = pts
        yield pts, frame
        frame = next(rest, None)
