"""Packets of a file in the order they lie there: past damage, on a clock that never starts again.

A transport stream may be several recordings one after another, each with a clock of its own. The
later ones are moved so that each begins where the one before ended, all streams by the same time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from .opening import opened, pyav

_RETRIES = 100  # unreadable places in a row after which the rest of a file is given up
_CLOCKS_MAY_RESTART = 0x0200  # AVFMT_TS_DISCONT of libavformat
_RESTART_S = Fraction(1, 10)  # a step back that reordering cannot explain


@dataclass(frozen=True)
class Clock:
    """Where a file's clock starts again. Empty for nearly all files.

    begins: stream -> how many of its packets come before each new start. shifts_s: what is added
    to times after each start, s.
    """

    begins: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    shifts_s: tuple[Fraction, ...] = ()


STEADY = Clock()


@dataclass
class Damage:
    """What could not be read or had no usable time stamp, counted."""

    packets: int = 0
    retimed: int = 0

    def notes(self) -> tuple[str, ...]:
        notes = []
        if self.packets:
            notes.append(f"{self.packets} damaged packets were skipped; their frames are missing")
        if self.retimed:
            notes.append(
                f"{self.retimed} frames had no time of their own; the next free one is used"
            )
        return tuple(notes)


def find_restarts(path: Any) -> Clock:
    """Read all packets of a format whose clock may start again; STEADY for others."""
    with opened(path) as container:
        if not container.format.flags & _CLOCKS_MAY_RESTART:
            return STEADY
        begins: dict[int, list[int]] = {}
        counts: dict[int, int] = {}
        spans: dict[int, list[list[Fraction]]] = {}  # of each stream's parts: [first, end]
        for packet in raw_packets(container, list(container.streams), Damage()):
            index = packet.stream_index
            counts[index] = counts.get(index, 0) + 1
            if packet.dts is None:
                continue
            base = Fraction(packet.time_base)
            time, lasts = packet.dts * base, (packet.duration or 0) * base
            parts = spans.setdefault(index, [[time, time]])
            if time < parts[-1][1] - _RESTART_S - lasts:
                begins.setdefault(index, []).append(counts[index] - 1)
                parts.append([time, time])
            parts[-1][1] = max(parts[-1][1], time + lasts)
    count = max((len(parts) for parts in spans.values()), default=1)
    # Streams that end before the last start, or begin after the first, say nothing about it.
    whole = [parts for parts in spans.values() if len(parts) == count]
    shifts = [Fraction(0)]
    for k in range(1, count):
        shifts.append(shifts[-1] + max(p[k - 1][1] - p[k][0] for p in whole))
    return Clock({i: tuple(b) for i, b in begins.items()}, tuple(shifts[1:]))


def read_packets(
    container: Any, streams: Sequence[Any], clock: Clock, damage: Damage
) -> Iterator[Any]:
    """Packets with their times on one steady clock; the last of a stream may be empty, which makes
    its decoder give what it holds."""
    counts = dict[int, int]()
    for packet in raw_packets(container, streams, damage):
        if clock.shifts_s:
            index = packet.stream_index
            before = counts[index] = counts.get(index, -1) + 1
            begun = sum(before >= first for first in clock.begins.get(index, ()))
            if begun:
                moved = round(clock.shifts_s[begun - 1] / Fraction(packet.time_base))
                packet.pts = None if packet.pts is None else packet.pts + moved
                packet.dts = None if packet.dts is None else packet.dts + moved
        yield packet


def raw_packets(container: Any, streams: Sequence[Any], damage: Damage) -> Iterator[Any]:
    """Packets as they are; places that cannot be read are passed over."""
    av = pyav()
    packets, failures = container.demux(streams), 0
    while failures <= _RETRIES:
        try:
            for packet in packets:
                failures = 0
                yield packet
            return
        except (av.error.InvalidDataError, av.error.EOFError, av.error.UndefinedError):
            failures += 1
            damage.packets += 1
            # A generator that raised is finished; the container behind it goes on.
            packets = container.demux(streams)
