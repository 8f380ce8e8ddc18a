"""Frames of a stream in the order they are shown, past whatever is damaged."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .source import opened, pyav

_RETRIES = 100  # damaged places in a row after which the rest of a file is given up


@dataclass
class Damage:
    """What could not be read or had no usable time stamp, counted."""

    packets: int = 0
    retimed: int = 0

    def notes(self) -> tuple[str, ...]:
        told = []
        if self.packets:
            told.append(f"{self.packets} damaged packets were skipped; their frames are missing")
        if self.retimed:
            told.append(
                f"{self.retimed} frames had no time of their own; the next free one is used"
            )
        return tuple(told)


def read_frames(
    path: Path, index: int, damage: Damage, from_pts: int | None = None, threads: int = 1
) -> Iterator[tuple[int, Any]]:
    """(pts, frame) of stream `index`, pts strictly increasing.

    from_pts: begin at the last key frame at or before it; earlier frames come too. Their size may
    change on the way.
    """
    with opened(path) as container:
        stream = container.streams[index]
        stream.codec_context.thread_count = threads
        if from_pts is not None:
            try:
                container.seek(from_pts, stream=stream, backward=True)
            except pyav().error.FFmpegError:
                from_pts = None
        frames = _decode(container, stream, damage)
        first = next(frames, None)
        if first is None or from_pts is None or first.pts is not None and first.pts <= from_pts:
            yield from _timed(first, frames, damage)
            return
    # The file has no usable index: from its beginning then.
    yield from read_frames(path, index, damage, None, threads)


def _decode(container: Any, stream: Any, damage: Damage) -> Iterator[Any]:
    av = pyav()
    failures = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.EOFError, av.error.UndefinedError):
            failures += 1
            damage.packets += 1
            if failures > _RETRIES:
                return
            packets = _resumed(packets, container, stream)
            continue
        failures = 0
        yield from frames


def _resumed(packets: Any, container: Any, stream: Any) -> Any:
    """A generator that raised is finished; the container behind it goes on."""
    return packets if packets.gi_frame is not None else container.demux(stream)


def _timed(first: Any, rest: Iterator[Any], damage: Damage) -> Iterator[tuple[int, Any]]:
    last: int | None = None
    frame = first
    while frame is not None:
        pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None or (last is not None and pts <= last):
            damage.retimed += 1
            pts = 0 if last is None else last + max(1, frame.duration or 1)
        last = pts
        yield pts, frame
        frame = next(rest, None)
