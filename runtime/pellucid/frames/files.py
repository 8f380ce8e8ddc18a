"""Files as sources: a video, a folder of pictures; and pacing them like a camera."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import PhotoError
from ..image.encode import SUFFIXES, to_8_bits
from ..image.photo import read_photo
from ..video.opening import VideoError
from ..video.packets import Damage
from ..video.pixels import Converter
from ..video.probe import probe
from ..video.reader import read_frames
from .frame import Clock, Frame, FrameError, Picture, Pixels, Source

_SLICE_S = 0.1  # a pause is slept in slices, so that closing need not wait for its end


class VideoSource:
    """A video file through PyAV, upright, in the colours that `pellucid restore` sees.

    time_s is the presentation time, the first frame at 0. Damaged places are passed over.
    """

    live = False
    patience_s: float | None = None

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            source = probe(path)
            track = source.tracks[0]
            self._converter = Converter(track, deep=False)
        except VideoError as error:
            raise FrameError(str(error)) from error
        turned = track.matrix is not None and abs(track.matrix[1]) > abs(track.matrix[0])
        aspect = 1 / track.aspect if turned else track.aspect
        self.picture = Picture(track.primaries, track.transfer, self._converter.matrix, aspect)
        self._track, self._index, self._closed = track, 0, False
        self._frames = read_frames(
            path, track.index, Damage(), clock=source.clock, first_pts=track.first_pts
        )

    def read(self) -> Frame | None:
        """The next frame. FrameError if the file is gone."""
        if self._closed:
            return None
        try:
            pts, frame = next(self._frames, (0, None))
        except VideoError as error:
            raise FrameError(str(error)) from error
        if frame is None:
            return None
        pixels = upright(self._converter.to_array(frame)[1], self._track.matrix)
        time_s = float((pts - self._track.first_pts) * self._track.time_base)
        self._index += 1
        return Frame(np.ascontiguousarray(pixels), time_s, self._index - 1)

    def close(self) -> None:
        """Close the file; a read that is under way closes it when it ends."""
        self._closed = True
        with contextlib.suppress(ValueError):  # the generator is at work in the reader's thread
            self._frames.close()


def upright(pixels: Pixels, matrix: tuple[int, ...] | None) -> Pixels:
    """(H, W, 3) turned and mirrored by quarter turns as a display matrix asks.

    The matrix is MP4's: (x, y) of the stored picture goes to (a x + c y, b x + d y), numbers
    a b _ c d. Other turns are left to players.
    """
    if matrix is None:
        return pixels
    across, down = matrix[0], matrix[4]
    if abs(matrix[1]) > abs(matrix[0]):
        pixels = pixels.transpose(1, 0, 2)
        across, down = matrix[3], matrix[1]
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


class FolderSource:
    """The pictures of a folder in the order of their names, fps to a second."""

    live = False
    picture = Picture()
    patience_s: float | None = None

    def __init__(self, folder: Path, fps: float) -> None:
        self.name, self._fps = str(folder), fps
        self._files = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not self._files:
            raise FrameError(f"{folder}: holds no pictures; expected {', '.join(SUFFIXES)}")
        self._index = 0

    def read(self) -> Frame | None:
        """The next picture, 8 bits a channel. FrameError if it cannot be read."""
        if self._index >= len(self._files):
            return None
        path = self._files[self._index]
        try:
            pixels = _to_rgb8(read_photo(path).pixels)
        except PhotoError as error:
            raise FrameError(str(error)) from error
        frame = Frame(pixels, self._index / self._fps, self._index)
        self._index += 1
        return frame

    def close(self) -> None:
        """Nothing is held open."""
        self._index = len(self._files)


class Looped:
    """A recorded source that begins again at its end; times and numbers go on.

    open_source: opens it anew. A source without a single frame ends.
    """

    live = False
    patience_s: float | None = None

    def __init__(self, open_source: Callable[[], Source]) -> None:
        self._open = open_source
        self._source = open_source()
        self.name, self.picture = self._source.name, self._source.picture
        self._time_s, self._index = 0.0, 0  # where this turn began
        self._last: Frame | None = None
        self._spacing_s = 0.0
        self._closed = False

    def read(self) -> Frame | None:
        """The next frame; None once closed."""
        frame = self._source.read()
        if frame is None and self._last is not None and not self._closed:
            self._source.close()
            self._time_s = self._last.time_s + self._spacing_s
            self._index = self._last.index + 1
            self._source = self._open()
            frame = self._source.read()
        if frame is None:
            return None
        shifted = Frame(frame.pixels, frame.time_s + self._time_s, frame.index + self._index)
        if self._last is not None:
            self._spacing_s = shifted.time_s - self._last.time_s or self._spacing_s
        self._last = shifted
        return shifted

    def close(self) -> None:
        """Close the source at hand."""
        self._closed = True
        self._source.close()


class Paced:
    """A recorded source played by the clock: a frame comes when it is due, like a camera's.

    A source that decodes slower than it should play is not chased: time shifts instead.
    """

    live = True
    patience_s: float | None = None

    def __init__(self, source: Source, clock: Clock) -> None:
        self.name, self._source, self._clock = source.name, source, clock
        self.picture = source.picture
        self._start: float | None = None
        self._closed = False

    def read(self) -> Frame | None:
        """The next frame, at the time it is due; its time_s is that time on the clock."""
        frame = self._source.read()
        if frame is None:
            return None
        now = self._clock.now()
        if self._start is None:
            self._start = now - frame.time_s
        due = self._start + frame.time_s
        if due < now:
            self._start += now - due
            due = now
        while not self._closed and (left := due - self._clock.now()) > 0.0:
            self._clock.sleep(min(left, _SLICE_S))
        return None if self._closed else Frame(frame.pixels, due, frame.index)

    def close(self) -> None:
        """Close the source behind it."""
        self._closed = True
        self._source.close()


def _to_rgb8(pixels: Any) -> Pixels:
    """(H, W), (H, W, 3) or (H, W, 4) of any type to (H, W, 3) uint8."""
    if pixels.dtype != np.uint8:
        pixels = to_8_bits(pixels)
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(pixels[..., :3])
