"""A video file and its streams; PyAV opens it.

Terms are FFmpeg's: a stream is one video, sound, subtitle or data track of the container; pts is a
frame's presentation time in units of its stream's time base.
"""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..image.formats import HEAD_BYTES, format_of
from .opening import VideoError, pyav
from .packets import Clock

# The last rows are streams without a container, as cameras and encoders write them.
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts",
            ".m2ts", ".wmv", ".flv", ".3gp", ".ogv", ".mxf", ".y4m", ".vob", ".dv", ".ivf",
            ".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".m2v", ".mjpeg", ".mjpg", ".obu",
            )  # fmt: skip
_MOTION_JPEG = (".mjpeg", ".mjpg")  # JPEGs one after another: the name tells it from one photo
_MAGIC = (b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"ID3", b"fLaC",
          b"YUV4MPEG2", b"\x06\x0e\x2b\x34", b"\x30\x26\xb2\x75", b"DKIF",
          b"\0\0\0\1")  # fmt: skip


@dataclass(frozen=True)
class Track:
    """One video stream that is restored. Colour numbers are those of ITU-T H.273."""

    index: int
    codec: str
    width: int
    height: int
    pixel_format: str
    depth: int  # bits of a sample
    rgb: bool  # stored as red, green and blue
    alpha: bool
    time_base: Fraction
    rate: Fraction
    frames: int  # as declared or estimated; 0 if unknown
    first_pts: int  # presentation time of the first frame, in time_base
    end_s: float | None  # where the stream says that it ends; None if it does not say
    primaries: int
    transfer: int
    space: int
    full_range: bool
    colour_range: int  # 1 limited, 2 full, 0 unknown
    aspect: Fraction  # of a sample
    matrix: tuple[int, ...] | None  # display matrix: rotation and mirroring, 9 numbers
    interlaced: bool
    field_order: int  # FFmpeg's number: 2 top, 3 bottom field first; 0 or 1 without fields

    @property
    def first_s(self) -> Fraction:
        """Presentation time of the first frame, s."""
        return self.first_pts * self.time_base


@dataclass(frozen=True)
class SourceVideo:
    """A video file as it was found. notes: what the user should know before it starts."""

    path: Path
    tracks: tuple[Track, ...]
    duration_s: float
    clock: Clock
    notes: tuple[str, ...]


def is_video(path: Path) -> bool:
    """Whether the content is a film's or sound; the name decides when it tells nothing."""
    suffix = path.suffix.lower()
    try:
        with open(path, "rb") as file:
            head = file.read(377)
    except OSError:
        return suffix in SUFFIXES
    if kind := format_of(head[:HEAD_BYTES], path.name):
        return kind == "jpeg" and suffix in _MOTION_JPEG
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return True
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WAVE"):
        return True
    stream = len(head) == 377 and any(
        head[k] == head[k + 188] == 0x47
        for k in (0, 4)  # MPEG transport stream, M2TS
    )
    return stream or head.startswith(_MAGIC) or suffix in SUFFIXES


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


def fingerprint(path: Path) -> str:
    """Tells whether a file is still the one that was begun: its size, first and last megabyte."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, size - (1 << 20)))
        digest.update(file.read(1 << 20))
    return digest.hexdigest()
