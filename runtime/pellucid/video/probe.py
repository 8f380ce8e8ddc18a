"""What a video file holds, found out before any work is done."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .reader import Damage, read_frames
from .source import Source, Track, VideoError, moving_streams, opened

HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273


def probe(path: Path) -> Source:
    """Look at every stream and the first frame of each video stream.

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
