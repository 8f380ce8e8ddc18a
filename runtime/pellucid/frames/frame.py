"""The contract of everything that gives or takes frames."""

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PellucidError

Pixels = NDArray[np.uint8]


class FrameError(PellucidError):
    """A source or sink of frames cannot be opened, or broke while running."""


@dataclass(frozen=True)
class Frame:
    """One picture of a stream.

    pixels: (H, W, 3) uint8 RGB, not to be written to. time_s: when it was captured, in seconds on
    the clock of its source. index: how many frames the source gave before it.
    """

    pixels: Pixels
    time_s: float
    index: int


@dataclass(frozen=True)
class Picture:
    """What a stream's RGB values mean, as numbers of ITU-T H.273, and the shape of its pixels.

    matrix: the one its samples are coded with, which has no part in RGB; kept for writing.
    """

    primaries: int = 1  # BT.709
    transfer: int = 1
    matrix: int = 1
    aspect: Fraction = Fraction(1)


class Source(Protocol):
    """Gives frames in order. `read` is called from one thread, `close` possibly from another.

    live: time_s is the clock's time, so that a frame has an age.
    picture: what its pixels mean.
    patience_s: silence after which the source counts as broken; None waits for ever.
    """

    name: str
    live: bool
    picture: Picture
    patience_s: float | None

    def read(self) -> Frame | None:
        """The next frame; None at the end. FrameError if the source broke.

        A frame of size zero means "nothing right now"; it is counted and passed over.
        """

    def close(self) -> None:
        """Free the device; may be called twice."""


class Sink(Protocol):
    """Takes frames in order.

    view: made for a person's eyes; may carry the statistics and the split view.
    """

    name: str
    view: bool

    def write(self, frame: Frame) -> None:
        """Take a frame. FrameError if it cannot be taken now or ever again."""

    def pressed(self) -> str:
        """Keys pressed since the last call, oldest first; "" where there is no keyboard."""

    def close(self) -> None:
        """Finish; what was written so far is usable. May be called twice. FrameError if not."""


class Clock(Protocol):
    """Seconds that never run backwards; tests bring their own."""

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


def fit(pixels: Pixels, width: int, height: int) -> Pixels:
    """The picture as large as it fits into width x height, centred on black, (height, width, 3).

    For sinks whose size is fixed by their first frame.
    """
    high, wide = pixels.shape[:2]
    if (wide, high) == (width, height):
        return pixels
    scale = min(width / wide, height / high)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    room: Any = np.zeros((height, width, 3), np.uint8)
    room[top : top + size[1], left : left + size[0]] = small
    return np.asarray(room, np.uint8)
