"""Tiles of models whose receptive field is unknown: blended over their overlap, so no seam shows.

Such tiles cannot equal the whole picture; what can be had is a picture without steps. Weights fall
linearly across the overlap and sum to 1 everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .image.photo import full_scale
from .tiles import Span

Array = NDArray[Any]


@dataclass(frozen=True)
class Share:
    """Along one axis: a tile adds to [start, stop), by `weights`, (stop - start,) float32."""

    start: int
    stop: int
    weights: NDArray[np.float32]


def shares(spans: Sequence[Span], width: int) -> list[Share]:
    """What each tile adds along an axis when every border is blended over 2·width px."""
    length = spans[-1].stop
    total = np.zeros(length, np.float32)
    found = []
    for span in spans:
        start = max(span.reach_start, span.start - width)
        stop = min(span.reach_stop, span.stop + width)
        centres = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
        weights = np.ones(stop - start, np.float32)
        if width and span.start > 0:
            weights *= np.clip((centres - span.start + width) / (2 * width), 0.0, 1.0)
        if width and span.stop < length:
            weights *= np.clip((span.stop + width - centres) / (2 * width), 0.0, 1.0)
        total[start:stop] += weights
        found.append(Share(start, stop, weights))
    return [Share(s.start, s.stop, s.weights / total[s.start : s.stop]) for s in found]


class Blend:
    """Sums of overlapping tiles, a strip at a time; rows are written once nothing adds to them.

    picture: (H, W, C), written in place from the top. Rows that the next strip overlaps are carried
    over in float32, so that rounding happens once.
    """

    def __init__(
        self, picture: Array, rows: Sequence[Span], cols: Sequence[Span], width: int
    ) -> None:
        self._picture, self._rows, self._cols = picture, rows, cols
        self._row_shares, self._col_shares = shares(rows, width), shares(cols, width)
        tallest = max(share.stop - share.start for share in self._row_shares)
        self._sums = np.zeros((tallest, *picture.shape[1:]), np.float32)

    def add(self, row: int, col: int, window: NDArray[np.float32]) -> None:
        """Add tile (row, col): its whole window, (h, w, C)."""
        r, c = self._row_shares[row], self._col_shares[col]
        top, left = r.start - self._rows[row].reach_start, c.start - self._cols[col].reach_start
        part = window[top : top + r.stop - r.start, left : left + c.stop - c.start]
        weights = r.weights[:, None, None] * c.weights[None, :, None]
        self._sums[: r.stop - r.start, c.start : c.stop] += part * weights

    def finish(self, row: int) -> None:
        """All tiles of this strip are in: write the rows that no later strip adds to."""
        start, last = self._row_shares[row].start, row + 1 == len(self._row_shares)
        stop = self._row_shares[row].stop if last else self._row_shares[row + 1].start
        for at in range(start, stop):  # by rows: a strip of floats is four pictures of its size
            self._picture[at] = to_type(self._sums[at - start], self._picture.dtype)
        carried = self._row_shares[row].stop - stop
        self._sums[:carried] = self._sums[stop - start : stop - start + carried]
        self._sums[carried:] = 0.0


def to_type(values: NDArray[np.float32], dtype: np.dtype[Any]) -> Array:
    """Values in [0, 1] to a picture's own type, rounded; floats are not clipped."""
    peak = full_scale(dtype)
    if peak != 1.0:
        values = np.clip(values, 0.0, 1.0)
        values *= peak
        np.rint(values, out=values)
    return np.asarray(values.astype(dtype))
