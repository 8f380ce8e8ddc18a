"""The result file: restored segments and every other stream, packet by packet, in one container.

Nothing is encoded here. Streams keep their order, their bytes and, unless a part was asked for,
their times.
"""

import contextlib
import heapq
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .encoder import FORMATS, Coding
from .segments import Segment, writing
from .source import Source, Track, VideoError, opened, pyav

_OWN_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder")  # of the old container

_GAP = b"\0\0"  # no text: MP4's muxer fills pauses between subtitles by itself


@dataclass(frozen=True)
class Part:
    """One restored track: its segments in order."""

    track: Track
    coding: Coding
    segments: tuple[Segment, ...]


def unstorable(source: Source, suffix: str) -> dict[int, str]:
    """Streams, besides the restored ones, that a container cannot hold: index -> what it is.

    Found by trying: the header of such a file is written into memory. What has no name is nothing
    to tell: the text track that MP4 keeps its chapters in is written anew with them.
    """
    restored = {track.index for track in source.tracks}
    with opened(source.path) as container:
        others = [s for s in container.streams if s.index not in restored]
        in_track = container.format.name.startswith("mov") and bool(container.chapters())
        return {
            s.index: "" if in_track and _is_chapter_track(s) else _name(s)
            for s in others
            if (in_track and _is_chapter_track(s)) or not _fits(s, suffix)
        }


def _is_chapter_track(stream: Any) -> bool:
    return stream.type == "data" and stream.codec_context is None


def _name(stream: Any) -> str:
    codec = stream.codec_context
    return f"{stream.type}, {'unknown codec' if codec is None else codec.name}"


def _fits(stream: Any, suffix: str) -> bool:
    av = pyav()
    trial = av.open(io.BytesIO(), "w", format=FORMATS[suffix])
    try:
        _copy_stream(trial, stream)
        trial.start_encoding()
    except (ValueError, av.error.FFmpegError, OSError):
        return False
    finally:
        with contextlib.suppress(Exception):
            trial.close()
    return True


def assemble(
    source: Source,
    parts: Sequence[Part],
    target: Path,
    suffix: str,
    left_out: frozenset[int] = frozenset(),
    span_s: tuple[float, float] | None = None,
) -> None:
    """Write `target`, whose container is that of `suffix`.

    span_s: keep this part only, from the first restored frame on, which gets time 0. Raises
    VideoError when the disk is full or a stream is refused.
    """
    by_index = {part.track.index: part for part in parts}
    options = {"movflags": "+faststart"} if FORMATS[suffix] in ("mp4", "mov") else {}
    shift = None
    if span_s is not None:
        shift = min(min(p.segments[0].pts) * p.track.time_base for p in parts)
    with opened(source.path) as given, contextlib.ExitStack() as held:
        with writing(target):
            out = pyav().open(str(target), "w", format=FORMATS[suffix], options=options)
        try:
            streams: dict[int, Any] = {}
            for stream in given.streams:
                if stream.index in left_out:
                    continue
                part = by_index.get(stream.index)
                if part is None:
                    streams[stream.index] = _copy_stream(out, stream)
                else:
                    streams[stream.index] = _restored_stream(out, part, stream, suffix, held)
            out.metadata.update({k: v for k, v in given.metadata.items() if k not in _OWN_TAGS})
            end = None if span_s is None else Fraction(span_s[1])
            out.set_chapters(_chapters(given.chapters(), shift, end))
            with writing(target):
                out.start_encoding()
                feeds = [_restored_packets(part) for part in parts]
                skip_gaps = FORMATS[suffix] in ("mp4", "mov")
                copied = [given.streams[i] for i in streams if i not in by_index]
                if copied:
                    feeds.append(_copied_packets(given, copied, shift, end, skip_gaps))
                for _, index, packet in heapq.merge(*feeds, key=lambda item: item[0]):
                    if shift:
                        moved = round(shift / packet.time_base)
                        packet.pts -= moved
                        packet.dts -= moved
                    packet.stream = streams[index]
                    out.mux(packet)
                out.close()
        except ValueError as error:
            raise VideoError(f"{target}: {error}") from error
        finally:
            with contextlib.suppress(Exception):
                out.close()


def _copy_stream(out: Any, stream: Any) -> Any:
    copy = out.add_stream_from_template(stream, opaque=True)
    _describe(copy, stream)
    return copy


def _describe(copy: Any, stream: Any) -> None:
    copy.time_base = stream.time_base
    copy.metadata.update({k: v for k, v in stream.metadata.items() if not k.startswith("ENCODER")})
    copy.disposition = stream.disposition


def _restored_stream(
    out: Any, part: Part, stream: Any, suffix: str, held: contextlib.ExitStack
) -> Any:
    """A stream with the parameters of the first segment and the descriptions of the source."""
    first = held.enter_context(opened(part.segments[0].file))
    copy = out.add_stream_from_template(first.streams.video[0], opaque=True)
    _describe(copy, stream)
    copy.time_base = part.track.time_base
    if part.track.matrix is not None:
        copy.set_display_matrix(part.track.matrix)
    if part.coding.codec == "hevc" and FORMATS[suffix] in ("mp4", "mov"):
        copy.codec_context.codec_tag = "hvc1"  # the only one that Apple's players take
    return copy


def decode_times(pts: Sequence[int]) -> list[int]:
    """dts of packets in decoding order: strictly increasing, none after its pts.

    The sorted pts, delayed by the depth of reordering; before the first, its interval goes on.
    """
    shown = sorted(pts)
    place = {value: i for i, value in enumerate(shown)}
    delay = max((k - place[value] for k, value in enumerate(pts)), default=0)
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    early = [shown[0] - (delay - k) * step for k in range(min(delay, len(shown)))]
    return early + shown[: len(shown) - len(early)]


def _restored_packets(part: Part) -> Iterator[tuple[float, int, Any]]:
    pts = [value for segment in part.segments for value in segment.pts]
    shown = sorted(pts)
    following = dict(itertools.pairwise(shown))
    base = part.track.time_base
    times = zip(pts, decode_times(pts), strict=True)
    for segment in part.segments:
        with opened(segment.file) as container:
            packets = (p for p in container.demux(video=0) if p.size)
            for packet, own in itertools.zip_longest(packets, segment.pts):
                if packet is None or own is None:
                    raise VideoError(
                        f"{segment.file}: was changed; delete its folder and run again"
                    )
                value, dts = next(times)
                packet.time_base = base
                packet.pts, packet.dts = value, dts
                packet.duration = following.get(value, value + segment.last_duration) - value
                yield float(dts * base), part.track.index, packet


def _copied_packets(
    given: Any, streams: list[Any], start: Fraction | None, end: Fraction | None, skip_gaps: bool
) -> Iterator[tuple[float, int, Any]]:
    """Packets of the other streams, in the file's order; those inside [start, end) seconds."""
    av = pyav()
    packets, begun = given.demux(streams), set[int]()
    while True:
        try:
            packet = next(packets, None)
        except (av.error.InvalidDataError, av.error.EOFError):
            return  # cut off: what came until here is all there is
        if packet is None:
            return
        if packet.size == 0 and packet.dts is None:  # PyAV's end mark
            continue
        later = packet.stream_index in begun
        begun.add(packet.stream_index)
        if skip_gaps and later and packet.stream.type == "subtitle" and bytes(packet) == _GAP:
            continue
        if packet.dts is None:
            packet.dts = packet.pts
        if packet.pts is None:
            packet.pts = packet.dts
        if packet.pts is None:
            packet.pts = packet.dts = 0
        picture = packet.stream.type == "video"  # a cover, which has no time
        time = packet.pts * packet.time_base
        if start is not None and picture:
            packet.pts = packet.dts = round(start / packet.time_base)
        elif start is not None and time < start:
            over = time + (packet.duration or 0) * packet.time_base - start
            if packet.stream.type != "subtitle" or over <= 0:
                continue
            packet.pts = packet.dts = round(start / packet.time_base)  # still showing: from here
            packet.duration = round(over / packet.time_base)
        elif end is not None and time >= end:
            continue
        yield float(packet.dts * packet.time_base), packet.stream_index, packet


def _chapters(
    chapters: list[dict[str, Any]], start: Fraction | None, end: Fraction | None
) -> list[dict[str, Any]]:
    """Those that meet the part that is kept, cut to it."""
    if start is None:
        return list(chapters)
    kept = []
    for chapter in chapters:
        base = chapter["time_base"]
        first, last = round(start / base), None if end is None else round(end / base)
        begin = max(chapter["start"], first)
        stop = chapter["end"] if last is None else min(chapter["end"], last)
        if begin < stop:
            kept.append(chapter | {"start": begin - first, "end": stop - first})
    return kept
