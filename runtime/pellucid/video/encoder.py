"""How restored frames are coded: which codec, which sample format, which quality."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .source import Track, VideoError, pyav

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}


@dataclass(frozen=True)
class Codec:
    """encoder: FFmpeg's name. crf: visually close to the source; None for lossless."""

    encoder: str
    crf: int | None
    largest_crf: int
    deepest: int  # bits of a sample
    containers: tuple[str, ...]


CODECS = {
    "h264": Codec("libx264", 17, 51, 10, (".mp4", ".m4v", ".mov", ".mkv")),
    "hevc": Codec("libx265", 19, 51, 12, (".mp4", ".m4v", ".mov", ".mkv")),
    "vp9": Codec("libvpx-vp9", 22, 63, 12, (".mp4", ".mkv", ".webm")),
    "av1": Codec("libsvtav1", 22, 63, 10, (".mp4", ".mkv", ".webm")),
    "ffv1": Codec("ffv1", None, 0, 16, (".mkv",)),
}


@dataclass(frozen=True)
class Coding:
    """What one track is coded with, decided before the start."""

    codec: str
    crf: int | None
    pixel_format: str
    notes: tuple[str, ...] = ()


def choose(track: Track, suffix: str, codec: str | None, crf: int | None) -> Coding:
    """Codec (the source's own if it can be written, else a common one), quality, sample format.

    Raises VideoError for combinations that do not exist.
    """
    if suffix not in FORMATS:
        raise VideoError(
            f"cannot write {suffix or 'a name without suffix'}; use {', '.join(FORMATS)}"
        )
    name = codec or _usual(track, suffix)
    if name not in CODECS:
        raise VideoError(f"no codec named {name!r}; use {', '.join(CODECS)}")
    chosen = CODECS[name]
    if suffix not in chosen.containers:
        raise VideoError(f"{suffix} does not hold {name}; use {', '.join(chosen.containers)}")
    if chosen.encoder not in pyav().codecs_available:
        raise VideoError(f"this PyAV has no {chosen.encoder}; choose another --codec")
    if crf is not None and (chosen.crf is None or not 0 <= crf <= chosen.largest_crf):
        limit = "takes no --crf, it is lossless" if chosen.crf is None else "goes from 0 to "
        raise VideoError(f"--crf of {name} {limit}{chosen.largest_crf or ''}, got {crf}")
    pixel_format, notes = _sample_format(track, name)
    return Coding(name, chosen.crf if crf is None else crf, pixel_format, tuple(notes))


def _usual(track: Track, suffix: str) -> str:
    own = track.codec.removeprefix("lib").removeprefix("dav1d") or "av1"
    if own in CODECS and suffix in CODECS[own].containers:
        return own
    if suffix == ".webm":
        return "vp9"
    return "hevc" if track.depth > 8 else "h264"


def _sample_format(track: Track, name: str) -> tuple[str, list[str]]:
    """The encoder's format nearest to the source's: same chroma resolution and depth."""
    notes: list[str] = []
    kind = pyav().VideoFormat(track.pixel_format)
    halved = (kind.chroma_width(64) < 64, kind.chroma_height(64) < 64)
    layout = "420" if halved[1] or len(kind.components) < 3 else "422" if halved[0] else "444"
    if kind.is_rgb:
        layout = "444"
    if layout != "444" and (track.width % 2 or track.height % 2) and name != "ffv1":
        layout = "444"
        notes.append(
            f"{track.width}x{track.height} is odd: coded with full colour resolution (4:4:4)"
        )
    depth = min(8 if track.depth <= 8 else 10 if track.depth <= 10 else 12, CODECS[name].deepest)
    if depth < track.depth:
        notes.append(f"{name} holds {depth} bits; the source has {track.depth}")
    if name == "av1" and layout != "420":
        raise VideoError(f"av1 is written in 4:2:0 with even sizes only, not {track.width}x"
                         f"{track.height} {track.pixel_format}; use --codec hevc")  # fmt: skip
    pixel_format = f"yuv{layout}p" + (f"{depth}le" if depth > 8 else "")
    return pixel_format, notes


def add_stream(container: Any, track: Track, coding: Coding, threads: int) -> Any:
    """A stream of `container` that encodes the track's frames with their own pts."""
    options = {} if coding.crf is None else {"crf": str(coding.crf)}
    if coding.codec == "hevc":
        options["x265-params"] = f"log-level=error:pools={threads}"
    if coding.codec == "vp9":
        options |= {"b": "0", "row-mt": "1"}
    if coding.codec == "av1":
        options["svtav1-params"] = f"lp={threads}"
    if track.interlaced and coding.codec == "h264":
        options["flags"] = "+ildct+ilme"
    rate = Fraction(track.rate).limit_denominator(1001)
    stream = container.add_stream(CODECS[coding.codec].encoder, rate=rate, options=options)
    context = stream.codec_context
    stream.width, stream.height, stream.pix_fmt = track.width, track.height, coding.pixel_format
    context.time_base = track.time_base
    context.thread_count = threads
    context.sample_aspect_ratio = track.aspect
    context.color_primaries, context.color_trc = track.primaries, track.transfer
    context.colorspace, context.color_range = track.space, track.colour_range
    return stream


def result_suffix(path: Path) -> str:
    """Container of a result that keeps its name: the source's, Matroska if that is not written."""
    suffix = path.suffix.lower()
    return path.suffix if suffix in FORMATS else ".mkv"
