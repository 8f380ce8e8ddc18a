"""Raw frames on standard input and output: width x height x 3 bytes each, RGB, nothing between.

ffmpeg -i clip.mp4 -f rawvideo -pix_fmt rgb24 - | pellucid live - --size 1280x720 --sink - | ...
"""

from typing import BinaryIO

import numpy as np

from ..errors import is_disk_full
from .frame import Clock, Frame, FrameError, Picture, Pixels, fit


class RawSource:
    """Frames of a known size from a stream of bytes; time_s is when the last byte came."""

    live = True
    picture = Picture()
    patience_s: float | None = None
    name = "standard input"

    def __init__(self, stream: BinaryIO, width: int, height: int, clock: Clock) -> None:
        if width < 1 or height < 1:
            raise FrameError(f"expected a size like 1280x720, got {width}x{height}")
        self._stream, self._clock = stream, clock
        self._shape, self._index = (height, width, 3), 0

    def read(self) -> Frame | None:
        """The next frame. FrameError if the bytes end in the middle of one."""
        height, width, _ = self._shape
        expected = height * width * 3
        pixels: Pixels = np.empty(self._shape, np.uint8)
        room = pixels.data.cast("B")
        got = 0
        while got < expected:
            part = self._stream.readinto(room[got:])  # type: ignore[attr-defined]
            if not part:
                break
            got += part
        if got == 0:
            return None
        if got < expected:
            raise FrameError(
                f"the last frame is cut off: expected {expected} bytes for {width}x{height}, "
                f"got {got}; is --size right?"
            )
        frame = Frame(pixels, self._clock.now(), self._index)
        self._index += 1
        return frame

    def close(self) -> None:
        """The stream stays open: it belongs to the program."""


class RawSink:
    """Frames as bytes; all get the size of the first."""

    view = False
    name = "standard output"

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size: tuple[int, int] | None = None

    def write(self, frame: Frame) -> None:
        """Write a frame. FrameError if nobody reads any more or the disk is full."""
        if self._size is None:
            self._size = (frame.pixels.shape[1], frame.pixels.shape[0])
        try:
            self._stream.write(np.ascontiguousarray(fit(frame.pixels, *self._size)).data)
            self._stream.flush()
        except OSError as error:
            if is_disk_full(error):
                raise FrameError("the disk is full") from error
            raise FrameError(f"the reader of standard output is gone ({error})") from error

    def pressed(self) -> str:
        """None here."""
        return ""

    def close(self) -> None:
        """The stream stays open: it belongs to the program."""
