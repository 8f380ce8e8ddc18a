"""Sinks that write files: a video, a folder of pictures."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import is_disk_full
from ..video.opening import VideoError, pyav, url
from ..video.pixels import SWSCALE
from .frame import Frame, FrameError, Picture, Pixels, fit

VIDEOS = (".mp4", ".mkv", ".mov")
_TICKS = 90_000  # to a second
_PLAIN = Picture()


class VideoSink:
    """H.264 through PyAV; a frame's time is kept, so dropped frames do not speed it up.

    Written under a partial name. `close` finishes the file and gives it its own name; if the disk
    filled up, with what was written until then. All frames get the size of the first, made even.
    picture: what the frames' RGB values mean; written as tags.
    """

    view = False

    def __init__(
        self,
        path: Path,
        quality: int = 20,
        overwrite: bool = False,
        picture: Picture = _PLAIN,
    ) -> None:
        try:
            av = pyav()
        except VideoError as error:
            raise FrameError(str(error)) from error
        if path.suffix.lower() not in VIDEOS:
            raise FrameError(f"{path}: cannot write this; use {', '.join(VIDEOS)}")
        if path.exists() and not overwrite:
            raise FrameError(f"{path} exists; give another name or --overwrite")
        self.name, self._path, self._quality = str(path), path, quality
        self._partial = path.with_name(f".{path.stem}.part{path.suffix}")
        self._av: Any = av
        self._picture = picture
        # Fragments: what is on the disk can be played even if the end never gets there.
        flags = {} if path.suffix.lower() == ".mkv" else {"movflags": "frag_keyframe+empty_moov"}
        try:
            self._file: Any = av.open(url(self._partial), "w", options=flags)
        except (av.FFmpegError, OSError) as error:
            raise FrameError(f"{path}: cannot be written ({error})") from error
        self._stream: Any = None
        self._first_s, self._last_tick = 0.0, -1

    def write(self, frame: Frame) -> None:
        """Encode a frame. FrameError if the disk is full or the encoder fails."""
        if self._file is None:
            raise FrameError("already closed")
        try:
            if self._stream is None:
                self._begin(frame)
            width, height = self._stream.width, self._stream.height
            picture = self._coded(fit(frame.pixels, width, height))
            # Two frames may not share a time: the second is moved by a tick.
            tick = max(self._last_tick + 1, round((frame.time_s - self._first_s) * _TICKS))
            picture.pts, picture.time_base = tick, Fraction(1, _TICKS)
            self._last_tick = tick
            self._file.mux(self._stream.encode(picture))
        except (self._av.FFmpegError, OSError) as error:
            raise FrameError(_reason(error)) from error

    def pressed(self) -> str:
        """None here."""
        return ""

    def close(self) -> None:
        """Finish the file. FrameError if its end could not be written; it is playable as it is."""
        if self._file is None:
            return
        file, self._file = self._file, None
        trouble: Exception | None = None
        try:
            try:
                if self._stream is not None:
                    file.mux(self._stream.encode(None))
            finally:
                file.close()
        except (self._av.FFmpegError, OSError) as error:
            trouble = error
        if self._stream is None or not self._partial.exists():
            self._partial.unlink(missing_ok=True)  # not one frame came
            return
        os.replace(self._partial, self._path)
        if trouble is not None:
            raise FrameError(f"its end is missing ({_reason(trouble)}); it plays up to there")

    def _coded(self, pixels: Pixels) -> Any:
        """YCbCr 4:2:0, limited range, in the matrix that the stream's tags tell."""
        rgb = self._av.VideoFrame.from_ndarray(pixels, "rgb24")
        matrix = SWSCALE[self._picture.matrix]
        coded = rgb.reformat(
            format="yuv420p", src_colorspace=matrix, dst_colorspace=matrix,
            src_color_range=2, dst_color_range=1,
        )  # fmt: skip
        picture = self._picture
        coded.colorspace, coded.color_range = picture.matrix, 1
        coded.color_primaries, coded.color_trc = picture.primaries, picture.transfer
        return coded

    def _begin(self, frame: Frame) -> None:
        height, width = frame.pixels.shape[:2]
        options = {"preset": "veryfast", "tune": "zerolatency", "crf": str(self._quality)}
        stream = self._file.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        context, picture = stream.codec_context, self._picture
        context.gop_size = 30
        context.thread_count = 1  # the cores belong to the network
        context.color_primaries, context.color_trc = picture.primaries, picture.transfer
        context.colorspace, context.color_range = picture.matrix, 1
        context.sample_aspect_ratio = picture.aspect
        self._stream, self._first_s = stream, frame.time_s


class FolderSink:
    """Frames as numbered PNG files."""

    view = False

    def __init__(self, folder: Path, overwrite: bool = False) -> None:
        self.name, self._folder = str(folder), folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FrameError(f"{folder}: cannot be made ({error})") from error
        if not overwrite and any(folder.glob("*.png")):
            raise FrameError(f"{folder} holds pictures already; give another name or --overwrite")

    def write(self, frame: Frame) -> None:
        """Write <index>.png, whole or not at all."""
        bgr = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR)
        data = np.asarray(cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])
        path = self._folder / f"{frame.index:06d}.png"
        partial = path.with_suffix(".part")
        try:
            partial.write_bytes(data.tobytes())
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise FrameError(_reason(error)) from error

    def pressed(self) -> str:
        """None here."""
        return ""

    def close(self) -> None:
        """Nothing is held open."""


def _reason(error: Exception) -> str:
    if is_disk_full(error):
        return "the disk is full"
    return str(error) or type(error).__name__
