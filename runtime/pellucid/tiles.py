"""Tiles that give the very pixels of the whole picture.

An output pixel depends on inputs within the receptive field. A tile therefore computes a core plus
a margin of that width, and only the core is kept. Tiles start at multiples of the network's own
stride, so that strided layers see the same grid; at the picture's border a tile ends where the
picture ends, so that padding happens in the same place.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Along one axis: keep [start, stop), computed from [reach_start, reach_stop)."""

    start: int
    stop: int
    reach_start: int
    reach_stop: int

    @property
    def inside(self) -> slice:
        """Where the kept part lies in what was computed."""
        return slice(self.start - self.reach_start, self.stop - self.reach_start)


@dataclass(frozen=True)
class Tiling:
    """core: side of the kept part in px. margin: receptive field, rounded up to `multiple`."""

    core: int
    margin: int
    multiple: int

    def __post_init__(self) -> None:
        if self.core < 1 or self.margin < 0 or self.multiple < 1:
            raise ValueError(f"impossible tiling {self}")
        if self.core % self.multiple or self.margin % self.multiple:
            raise ValueError(f"core and margin must be multiples of {self.multiple}, got {self}")

    def spans(self, length: int) -> Iterator[Span]:
        """Cover [0, length) with cores of nearly equal size, none larger than `core`."""
        count = -(-length // self.core)
        # Equal shares rather than a thin last tile, whose margins would be nearly all of it.
        share = _round_up(-(-length // count), self.multiple)
        for start in range(0, length, share):
            stop = min(start + share, length)
            yield Span(
                start,
                stop,
                max(0, start - self.margin),
                min(length, stop + self.margin),
            )


def plan(receptive_field: int, multiple: int, window_pixels: int) -> Tiling:
    """Largest tiling whose windows (core plus two margins, squared) hold `window_pixels`.

    A window never gets smaller than twice its margins, or almost nothing of it would be kept.
    """
    margin = _round_up(receptive_field, multiple)
    side = int(window_pixels**0.5)
    core = max(side - 2 * margin, margin, 64)
    return Tiling(core=_round_up(core, multiple), margin=margin, multiple=multiple)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
