"""Files as sources: a video, a folder of pictures; and pacing them like a camera."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import PhotoError
from ..image.encode import to_8_bits
from ..image.photo import read_photo
from ..video.opening import VideoError, pyav
from ..video.source import moving_streams
from .frame import Clock, Frame, FrameError, Pixels, Source

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")
_SLICE_S = 0.1  # a pause is slept in slices, so that closing need not wait for its end


class VideoSource:
    """A video file through PyAV; time_s is the presentation time, the first frame at 0.

    Pixels are as stored: turning them as a phone's video asks for is left to `pellucid restore`.
    """

    live = False
    patience_s: float | None = None

    def __init__(self, path: Path) -> None:
        try:
            av = pyav()
        except VideoError as error:
            raise FrameError(str(error)) from error
        self.name, self._broken = str(path), av.FFmpegError
        try:
            self._file: Any = av.open(str(path))
        except (av.FFmpegError, OSError) as error:
            raise FrameError(f"{path}: not a video that can be read ({error})") from error
        try:
            stream = moving_streams(self._file)[0]
        except VideoError as error:
            self._file.close()
            raise FrameError(f"{path}: {error}") from error
        self._frames = self._decode(stream)
        self._closed = False

    def read(self) -> Frame | None:
        """The next frame; damaged packets are passed over."""
        return None if self._closed else next(self._frames, None)

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._frames.close()
        self._file.close()

    def _decode(self, stream: Any) -> Any:
        first, index, before = None, 0, 0.0
        for packet in self._file.demux(stream):
            try:
                pictures = packet.decode()
            except self._broken:
                continue
            for picture in pictures:
                told = picture.time
                time_s = before + 1 / 30 if told is None else float(told)
                first = time_s if first is None else first
                before = time_s
                yield Frame(picture.to_ndarray(format="rgb24"), time_s - first, index)
                index += 1


class FolderSource:
    """The pictures of a folder in the order of their names, fps to a second."""

    live = False
    patience_s: float | None = None

    def __init__(self, folder: Path, fps: float) -> None:
        self.name, self._fps = str(folder), fps
        self._files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)
        if not self._files:
            raise FrameError(f"{folder}: holds no pictures; expected {', '.join(PICTURES)}")
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


class Paced:
    """A recorded source played by the clock: a frame comes when it is due, like a camera's.

    A source that decodes slower than it should play is not chased: time shifts instead.
    """

    live = True
    patience_s: float | None = None

    def __init__(self, source: Source, clock: Clock) -> None:
        self.name, self._source, self._clock = source.name, source, clock
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
