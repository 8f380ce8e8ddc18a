"""A look at a video file before any work is done."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .opening import VideoError, opened, pyav
from .packets import Clock, Damage, find_restarts
from .reader import frame_ticks, read_frames
from .source import SourceVideo, Track, moving_streams

_UNTIMED = 1000  # first frames without a time after which none is expected to have one
_NO_TIMES = 0x0080  # AVFMT_NOTIMESTAMPS of libavformat
HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273


def probe(path: Path) -> SourceVideo:
    """Look at every stream and the first frame of each video stream.

    Raises VideoError if there is no picture that moves, or nothing can be decoded.
    """
    with opened(path) as container:
        try:
            moving = [stream.index for stream in moving_streams(container)]
        except VideoError as error:
            raise VideoError(f"{path}: {error}") from error
        duration = float(container.duration or 0) / 1e6
        timeless = bool(container.format.flags & _NO_TIMES)
    clock = find_restarts(path)
    tracks = tuple(_probe_track(path, index, duration, clock) for index in moving)
    notes = list(_notes(tracks))
    if clock.shifts_s:
        notes.append("its times start again on the way: the parts follow one another")
    if timeless:
        notes.append(f"a stream without times: {float(tracks[0].rate):g} frames a second are taken")
    return SourceVideo(path, tracks, duration, clock, tuple(notes))


def _probe_track(path: Path, index: int, duration_s: float, clock: Clock) -> Track:
    with opened(path) as container:
        stream = container.streams[index]
        context = stream.codec_context
        if context is None:
            raise VideoError(f"{path}: stream {index} has a codec this FFmpeg does not know")
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        time_base, start = Fraction(stream.time_base), stream.start_time or 0
        seconds = float(stream.duration * time_base) if stream.duration else duration_s
        frames = stream.frames or round(seconds * rate)
        end_s = float((start + stream.duration) * time_base) if stream.duration else None
        end_s = _clock_time(stream.metadata.get("DURATION")) or end_s
        codec, aspect = context.name, Fraction(stream.sample_aspect_ratio or 1)
        primaries, transfer = int(context.color_primaries), int(context.color_trc)
        space, colour_range = int(context.colorspace), int(context.color_range)
        order = int(context.field_order)
        tags = {name.lower(): value for name, value in stream.metadata.items()}
        hidden_alpha = tags.get("alpha_mode") == "1"
        step = frame_ticks(stream)
    first: Any = None
    lasted = 0  # what the frames before the first with a time last, in time_base
    for untimed, (_, frame) in enumerate(read_frames(path, index, Damage(), clock=clock)):
        first = frame if first is None else first
        given = frame.pts if frame.pts is not None else frame.dts
        if given is None and untimed < _UNTIMED:
            lasted += max(1, frame.duration or step)  # as `read_frames` counts on
            continue
        first_pts = 0 if given is None else given - lasted
        break
    else:
        if first is None:
            raise VideoError(f"{path}: no frame of stream {index} could be decoded")
        first_pts = 0
    kind = first.format
    rgb = kind.is_rgb or kind.name == "pal8" or kind.name.startswith("xyz")
    full = rgb or colour_range == 2 or kind.name.startswith("yuvj")
    interlaced = bool(first.interlaced_frame) or order > 1
    return Track(
        index, codec, first.width, first.height, kind.name,
        depth=max(component.bits for component in kind.components),
        rgb=rgb,
        alpha=hidden_alpha or any(component.is_alpha for component in kind.components),
        time_base=time_base, rate=rate, frames=frames, first_pts=first_pts, end_s=end_s,
        primaries=primaries, transfer=transfer,
        space=2 if space == 0 and not rgb else space,  # "is RGB", which it is not
        full_range=full, colour_range=2 if full else colour_range,
        aspect=aspect, matrix=display_matrix(first), interlaced=interlaced,
        field_order=order if order > 1 else 2 if interlaced else 1,
    )  # fmt: skip


def _clock_time(text: str | None) -> float | None:
    """Matroska's h:mm:ss.n as seconds; None for anything else."""
    try:
        hours, minutes, seconds = (text or "").split(":")
        return 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)
    except ValueError:
        return None


def display_matrix(frame: Any) -> tuple[int, ...] | None:
    """The 9 numbers by which players turn and mirror the picture; None where there are none."""
    data = frame.side_data.get(pyav().sidedata.sidedata.Type.DISPLAYMATRIX)
    return None if data is None else tuple(int(v) for v in np.frombuffer(bytes(data), "<i4"))


def _notes(tracks: tuple[Track, ...]) -> Iterator[str]:
    for track in tracks:
        if track.transfer in HDR:
            yield (
                f"HDR ({HDR[track.transfer]}): colour tags are kept; the network was trained on "
                "standard range and sees it as such; mastering metadata are not kept"
            )
        if track.interlaced:
            yield "interlaced: frames are restored whole, both fields at once"
        if track.alpha:
            yield "transparency is not kept"
