"""The result file: restored segments and every other stream, packet by packet, in one container.

Nothing is encoded here. Streams keep their order, their bytes and, unless a part was asked for,
their times.
"""

import contextlib
import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .encoder import FORMATS, Coding, written_rate
from .opening import VideoError, opened, pyav, text_options, url
from .packets import Damage, read_packets
from .segments import Segment, writing
from .source import SourceVideo, Track

_OWN_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder")  # of the old container
_STREAM_TAGS = ("encoder", "duration")  # of its streams
_SLACK_S = 1  # by which packets of different streams may lie apart in a file

_GAP = b"\0\0"  # no text: MP4's muxer fills pauses between subtitles by itself


@dataclass(frozen=True)
class Part:
    """One restored track: its segments in order."""

    track: Track
    coding: Coding
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Window:
    """The part of the source's time that is kept, s; all of it without a start."""

    start: Fraction | None = None
    end: Fraction | None = None


def assemble(
    source: SourceVideo,
    parts: Sequence[Part],
    target: Path,
    suffix: str,
    left_out: frozenset[int] = frozenset(),
    span_s: tuple[float, float] | None = None,
    copied_s: float | None = None,
) -> float:
    """Write `target`, whose container is that of `suffix`; returns where its last stream ends, s.

    span_s: keep this part only, from the first restored frame on, which gets time 0. copied_s: stop
    copying after that much, for a trial. Raises VideoError when the disk is full or a stream is
    refused.
    """
    by_index = {part.track.index: part for part in parts}
    mp4 = FORMATS[suffix] in ("mp4", "mov")
    options = {"movflags": "+faststart"} if mp4 else {}
    window = Window()
    if span_s is not None:
        start = min(min(p.segments[0].pts) * p.track.time_base for p in parts)
        window = Window(start, Fraction(span_s[1]))
    end_s = 0.0
    with opened(source.path) as given, contextlib.ExitStack() as held:
        with writing(target):
            out = pyav().open(
                url(target), "w", format=FORMATS[suffix], options=options, **text_options()
            )
        try:
            streams: dict[int, Any] = {}
            for stream in given.streams:
                if stream.index in left_out:
                    continue
                part = by_index.get(stream.index)
                if suffix == ".mkv" and stream.disposition & pyav().stream.Disposition.attached_pic:
                    _attach_cover(out, source.path, stream)
                elif part is None:
                    streams[stream.index] = _copy_stream(out, stream)
                else:
                    streams[stream.index] = _restored_stream(out, part, stream, suffix, held)
            out.metadata.update({k: v for k, v in given.metadata.items() if k not in _OWN_TAGS})
            out.set_chapters(_chapters(given.chapters(), window))
            with writing(target):
                out.start_encoding()
                feeds = [_restored_packets(part) for part in parts]
                copied = [given.streams[i] for i in streams if i not in by_index]
                if copied:
                    feeds.append(_copied_packets(given, copied, source, window, mp4, copied_s))
                last: dict[int, int] = {}
                for _, index, packet in heapq.merge(*feeds, key=lambda item: item[0]):
                    base = Fraction(packet.time_base)
                    end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * base))
                    if window.start:
                        moved = round(window.start / base)
                        packet.pts -= moved
                        packet.dts -= moved
                    packet.stream = streams[index]
                    _keep_rising(packet, last)
                    out.mux(packet)
                out.close()
        except (ValueError, OverflowError) as error:
            raise VideoError(f"{target}: {error}") from error
        finally:
            with contextlib.suppress(Exception):
                out.close()
    return end_s


def _keep_rising(packet: Any, last: dict[int, int]) -> None:
    """Muxers take no step back in decoding time: such a packet gets the next tick. Times are those
    of the written stream. last: its dts before, by stream."""
    written = Fraction(packet.stream.time_base)
    ratio = Fraction(packet.time_base) / written
    packet.pts, packet.dts = round(packet.pts * ratio), round(packet.dts * ratio)
    packet.duration = round((packet.duration or 0) * ratio)
    packet.time_base = written
    if packet.pts < packet.dts:
        packet.pts = packet.dts
    index, still = packet.stream_index, packet.stream.type in ("subtitle", "data")
    before = last.get(index)
    if before is not None and packet.dts < before + (not still):
        late = before + (not still) - packet.dts
        packet.dts += late
        packet.pts = max(packet.pts, packet.dts)
    last[index] = packet.dts


def _copy_stream(out: Any, stream: Any) -> Any:
    copy = out.add_stream_from_template(stream, opaque=True)
    _describe(copy, stream)
    return copy


def _attach_cover(out: Any, path: Path, stream: Any) -> None:
    """Matroska keeps covers as attached files; FFmpeg reads them as video streams."""
    kind = "jpeg" if stream.codec_context.name == "mjpeg" else stream.codec_context.name
    with opened(path) as container:
        packets = container.demux(container.streams[stream.index])
        data = next((bytes(packet) for packet in packets if packet.size), b"")
    name = stream.metadata.get("filename") or f"cover.{kind.replace('jpeg', 'jpg')}"
    out.add_attachment(name, stream.metadata.get("mimetype") or f"image/{kind}", data)


def _describe(copy: Any, stream: Any) -> None:
    copy.time_base = stream.time_base
    copy.metadata.update(
        {k: v for k, v in stream.metadata.items() if k.lower() not in _STREAM_TAGS}
    )
    copy.disposition = stream.disposition


def _restored_stream(
    out: Any, part: Part, stream: Any, suffix: str, held: contextlib.ExitStack
) -> Any:
    """A stream with the parameters of the first segment and the descriptions of the source."""
    first = held.enter_context(opened(part.segments[0].file))
    copy = out.add_stream_from_template(first.streams.video[0], opaque=True)
    _describe(copy, stream)
    for name in [name for name in copy.metadata if name.lower() == "alpha_mode"]:
        copy.metadata.pop(name)  # of VP9 with a second picture for transparency
    copy.time_base = part.track.time_base
    copy.codec_context.framerate = written_rate(part.track)
    if part.track.interlaced:
        copy.codec_context.field_order = part.track.field_order
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
    given: Any,
    streams: list[Any],
    source: SourceVideo,
    window: Window,
    mp4: bool,
    copied_s: float | None,
) -> Iterator[tuple[float, int, Any]]:
    """Packets of the other streams, in the file's order; those inside the window."""
    begun, first = set[int](), None
    for packet in read_packets(given, streams, source.clock, Damage()):
        if packet.size == 0 and packet.dts is None:  # PyAV's end mark
            continue
        later = packet.stream_index in begun
        begun.add(packet.stream_index)
        if mp4 and later and packet.stream.type == "subtitle" and bytes(packet) == _GAP:
            continue
        if packet.dts is None:
            packet.dts = packet.pts
        if packet.pts is None:
            packet.pts = packet.dts
        if packet.pts is None:
            packet.pts = packet.dts = 0
        base = Fraction(packet.time_base)
        if copied_s is not None:
            now = packet.dts * base
            first = now if first is None else first
            if now > first + Fraction(copied_s) + _SLACK_S:
                return
            if now > first + Fraction(copied_s):
                continue
        if window.start is None or _moved_into(packet, base, window):
            yield float(packet.dts * base), packet.stream_index, packet


def _moved_into(packet: Any, base: Fraction, window: Window) -> bool:
    """Whether a packet belongs to the window; covers and running subtitles are moved to it."""
    assert window.start is not None
    time = packet.pts * base
    if packet.stream.type == "video":  # a cover, which has no time
        packet.pts = packet.dts = round(window.start / base)
    elif time < window.start:
        over = time + (packet.duration or 0) * base - window.start
        if packet.stream.type != "subtitle" or over <= 0:
            return False
        packet.pts = packet.dts = round(window.start / base)  # still showing: from here
        packet.duration = round(over / base)
    elif window.end is not None and time >= window.end:
        return False
    return True


def _chapters(chapters: list[dict[str, Any]], window: Window) -> list[dict[str, Any]]:
    """Those that meet the part that is kept, cut to it."""
    if window.start is None:
        return list(chapters)
    kept = []
    for chapter in chapters:
        base = Fraction(chapter["time_base"])
        first = round(window.start / base)
        last = None if window.end is None else round(window.end / base)
        begin = max(chapter["start"], first)
        stop = chapter["end"] if last is None else min(chapter["end"], last)
        if begin < stop:
            kept.append(chapter | {"start": begin - first, "end": stop - first})
    return kept
