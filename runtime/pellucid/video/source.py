"""What a video file holds, found out before any work is done; PyAV opens it.

Terms are FFmpeg's: a stream is one video, sound, subtitle or data track of the container; pts is a
frame's presentation time in units of its stream's time base.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import PellucidError

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts",
            ".m2ts", ".wmv", ".flv", ".3gp", ".ogv", ".mxf", ".y4m")  # fmt: skip
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_MAGIC = (b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"ID3", b"fLaC",
          b"YUV4MPEG2", b"\x06\x0e\x2b\x34", b"\x30\x26\xb2\x75")  # fmt: skip
HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273


class VideoError(PellucidError):
    """A video cannot be read, restored or written; finished parts stay for the next run."""


@dataclass(frozen=True)
class Track:
    """One video stream that is restored. Colour numbers are those of ITU-T H.273."""

    index: int
    codec: str
    width: int
    height: int
    pixel_format: str
    depth: int  # bits of a sample
    time_base: Fraction
    rate: Fraction
    frames: int  # as declared or estimated; 0 if unknown
    first_s: Fraction  # presentation time of the first frame
    primaries: int
    transfer: int
    space: int
    full_range: bool
    colour_range: int
    aspect: Fraction  # of a sample
    matrix: tuple[int, ...] | None  # display matrix: rotation and mirroring, 9 numbers
    interlaced: bool


@dataclass(frozen=True)
class Source:
    """A video file as it was found. notes: what the user should know before it starts."""

    path: Path
    tracks: tuple[Track, ...]
    duration_s: float
    notes: tuple[str, ...]


def pyav() -> ModuleType:
    """PyAV, or the error that tells how to get it."""
    try:
        import av
    except ImportError as error:
        raise VideoError("videos need PyAV: pip install 'pellucid[video]'") from error
    return av


def is_video(path: Path) -> bool:
    """Whether the content is a film's or sound; the name decides when it cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(377)
    except OSError:
        return path.suffix.lower() in SUFFIXES
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return head[8:12] not in _PICTURE_BRANDS
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WAVE"):
        return True
    stream = len(head) == 377 and any(
        head[k] == head[k + 188] == 0x47
        for k in (0, 4)  # MPEG transport stream, M2TS
    )
    return stream or head.startswith(_MAGIC) or path.suffix.lower() in SUFFIXES


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The container for reading. Raises VideoError naming the file."""
    av = pyav()
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise VideoError(
            f"{path}: cannot read this video ({told}); a recording that was cut off before it "
            "was closed, or not a video"
        ) from error
    with container:
        yield container


def moving_streams(container: Any) -> list[Any]:
    """The video streams that are films; the cover of a song is a video stream too.

    Raises VideoError telling what is there instead.
    """
    cover = pyav().stream.Disposition.attached_pic
    pictures = container.streams.video
    moving = [stream for stream in pictures if not stream.disposition & cover]
    if not moving:
        what = "only sound and a cover picture" if pictures else "no video stream"
        raise VideoError(f"{what}; expected a video")
    return moving


def probe(path: Path) -> Source:
    """DevScores at every stream and the first frame of each video stream.

    Raises VideoError if there is no picture that moves, or nothing can be decoded.
    """
    with opened(path) as container:
        try:
            moving = [stream.index for stream in moving_streams(container)]
        except VideoError as error:
            raise VideoError(f"{path}: {error}") from error
        duration = float(container.duration or 0) / 1e6
    tracks = tuple(_probe_track(path, index, duration) for index in moving)
    return Source(path, tracks, duration, tuple(_notes(tracks)))


def _probe_track(path: Path, index: int, duration_s: float) -> Track:
    from .reader import Damage, read_frames

    with opened(path) as container:
        stream = container.streams[index]
        context = stream.codec_context
        if context is None:
            raise VideoError(f"{path}: stream {index} has a codec this FFmpeg does not know")
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        seconds = float(stream.duration * stream.time_base) if stream.duration else duration_s
        frames = stream.frames or round(seconds * rate)
        codec, time_base = context.name, stream.time_base
        primaries, transfer = int(context.color_primaries), int(context.color_trc)
        space, colour_range = int(context.colorspace), int(context.color_range)
        aspect = stream.sample_aspect_ratio or Fraction(1)
    for pts, frame in read_frames(path, index, Damage()):
        name = frame.format.name
        full = colour_range == 2 or name.startswith("yuvj")
        depth = max(component.bits for component in frame.format.components)
        return Track(
            index, codec, frame.width, frame.height, name, depth, time_base, rate, frames,
            pts * time_base, primaries, transfer, space, full, colour_range, aspect,
            display_matrix(frame), bool(frame.interlaced_frame),
        )  # fmt: skip
    raise VideoError(f"{path}: no frame of stream {index} could be decoded")


def display_matrix(frame: Any) -> tuple[int, ...] | None:
    """The 9 numbers by which players turn and mirror the picture; None where there are none."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return tuple(int(v) for v in np.frombuffer(bytes(data), "<i4"))
    return None


def _notes(tracks: tuple[Track, ...]) -> Iterator[str]:
    for track in tracks:
        if track.transfer in HDR:
            yield (
                f"HDR ({HDR[track.transfer]}): colour tags are kept; the network was trained on "
                "standard range and sees it as such; mastering metadata are not kept"
            )
        if track.interlaced:
            yield "interlaced: frames are restored whole, both fields at once"
        if track.pixel_format.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya")):
            yield "transparency is not kept"


def fingerprint(path: Path) -> str:
    """Tells whether a file is still the one that was begun: its size, first and last megabyte."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, size - (1 << 20)))
        digest.update(file.read(1 << 20))
    return digest.hexdigest()
