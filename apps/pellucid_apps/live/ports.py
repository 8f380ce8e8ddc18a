"""What `pellucid live` understands as a source and as a sink."""

import re
import sys
from pathlib import Path

from pellucid.frames import FrameError, Sink, Source
from pellucid.frames.cameras import CameraSource, find_camera
from pellucid.frames.files import FolderSource, Looped, Paced, VideoSource
from pellucid.frames.frame import Clock, Picture
from pellucid.frames.mjpeg import PageSink
from pellucid.frames.raw import RawSink, RawSource
from pellucid.frames.screens import VirtualCameraSink, WindowSink, has_windows
from pellucid.frames.writers import VIDEOS, FolderSink, VideoSink
from pellucid.size import Size


def open_source(
    source: str,
    clock: Clock,
    size: Size | None,
    fps: float,
    every_frame: bool,
    loop: bool = False,
) -> Source:
    """The source of a name: -, a path or a camera. Files play by the clock unless every_frame.

    loop: a file or folder begins again at its end.
    """
    if source == "-":
        if size is None:
            raise FrameError("raw frames do not tell their size; add --size WIDTHxHEIGHT")
        # Unbuffered: a reader that still waits at the end would hold the buffer's lock.
        stream = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        height, width = size
        return RawSource(stream, width, height, clock)
    path = Path(source)
    if path.is_dir() or path.is_file():

        def opened() -> Source:
            return FolderSource(path, fps) if path.is_dir() else VideoSource(path)

        recorded = Looped(opened) if loop else opened()
        return recorded if every_frame else Paced(recorded, clock)
    if path.suffix or "/" in source:
        raise FrameError(f"{source}: no such file or folder")
    wished = None if size is None else (size[1], size[0])
    return CameraSource(find_camera(source), clock, wished, fps)


def default_sink() -> str:
    """A window where OpenCV can open one, else a page."""
    return "window" if has_windows() else "page"


def open_sink(sink: str, fps: float, overwrite: bool, picture: Picture) -> Sink:
    """The sink of a name; picture: the source's. FrameError if it cannot be opened."""
    if sink == "window":
        return WindowSink()
    if sink == "camera":
        return VirtualCameraSink(fps)
    if sink == "-":
        return RawSink(sys.stdout.buffer)
    page = re.fullmatch(r"page(?::(\d{1,5}))?", sink)
    if page is not None:
        return PageSink(int(page[1] or 0))
    path = Path(sink)
    if path.suffix.lower() in VIDEOS:
        return VideoSink(path, overwrite=overwrite, picture=picture)
    if path.suffix:
        raise FrameError(
            f"{sink}: expected window, page, camera, -, a folder or a video ({', '.join(VIDEOS)})"
        )
    return FolderSink(path, overwrite)


def check_unlike(source: str, sinks: list[str]) -> None:
    """FrameError where a sink would write over the source or over another sink."""
    places = [Path(name).resolve() for name in sinks if name not in ("-", "window", "camera")]
    if source != "-" and Path(source).exists() and Path(source).resolve() in places:
        raise FrameError(f"{source} is both source and sink; write elsewhere")
    if len(set(sinks)) < len(sinks):
        raise FrameError(f"a sink is named twice: {', '.join(sinks)}")
