"""How restored frames are coded: which codec, which sample format, which quality."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .opening import VideoError, pyav
from .source import Track

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}

_DEPTHS = (8, 10, 12, 16)  # bits of a sample


@dataclass(frozen=True)
class Codec:
    """encoder: FFmpeg's name. crf: visually close to the source; None for lossless.

    odd: whether it takes odd sizes with halved chroma. fields: whether its stream says that frames
    are interlaced.
    """

    encoder: str
    crf: int | None
    largest_crf: int
    containers: tuple[str, ...]
    odd: bool = False
    fields: bool = False


CODECS = {
    "h264": Codec("libx264", 17, 51, (".mp4", ".m4v", ".mov", ".mkv"), fields=True),
    "hevc": Codec("libx265", 19, 51, (".mp4", ".m4v", ".mov", ".mkv")),
    "vp9": Codec("libvpx-vp9", 22, 63, (".mp4", ".mkv", ".webm"), odd=True),
    "av1": Codec("libsvtav1", 22, 63, (".mp4", ".mkv", ".webm")),
    "ffv1": Codec("ffv1", None, 0, (".mkv",), odd=True, fields=True),
}


@dataclass(frozen=True)
class Coding:
    """What one track is coded with, decided before the start. space: matrix coefficients of
    H.273; colour_range: 1 limited, 2 full, 0 unknown."""

    codec: str
    crf: int | None
    pixel_format: str
    space: int
    colour_range: int
    notes: tuple[str, ...] = ()


def choose(track: Track, suffix: str, codec: str | None, crf: int | None) -> Coding:
    """Codec, quality, sample format. A codec that is not asked for is the source's own if it can
    be written and holds all of the picture, else the first that does, else a common one.

    Raises VideoError for combinations that do not exist.
    """
    if suffix not in FORMATS:
        raise VideoError(
            f"cannot write {suffix or 'a name without suffix'}; use {', '.join(FORMATS)}"
        )
    layout = _layout(track)
    depth = next((bits for bits in _DEPTHS if bits >= track.depth), _DEPTHS[-1])
    name = _usual(track, suffix, layout, depth) if codec is None else _checked(codec, suffix)
    chosen, notes = CODECS[name], list[str]()
    if codec is None and (own := _own_codec(track)) != name:
        notes.append(f"coded as {name}: {_why_not(own, track, suffix)}")
    if crf is not None and (chosen.crf is None or not 0 <= crf <= chosen.largest_crf):
        limit = "takes no --crf, it is lossless" if chosen.crf is None else "goes from 0 to "
        raise VideoError(f"--crf of {name} {limit}{chosen.largest_crf or ''}, got {crf}")
    formats = _formats(track, name, layout, depth)
    if not formats:
        raise VideoError(
            f"{name} does not take {track.width}x{track.height} {track.pixel_format}; "
            "choose another --codec"
        )
    written, bits = formats[0]
    if track.rgb:
        notes.append("coded as YCbCr 4:4:4 (BT.709); the source is RGB")
    elif written != layout:
        notes.append(
            f"coded with chroma {_ratio(written)}: {name} does not take {_ratio(layout)} in "
            f"{track.width}x{track.height}"
        )
    if bits < depth:
        notes.append(f"{name} holds {bits} bits; the source has {track.depth}")
    if track.interlaced and not chosen.fields:
        notes.append(f"{name} does not say that frames are interlaced; h264 does")
    return Coding(
        name, chosen.crf if crf is None else crf, _pixel_format(written, bits),
        1 if track.rgb else track.space, 1 if track.rgb else track.colour_range,
        tuple(notes),
    )  # fmt: skip


def _checked(name: str, suffix: str) -> str:
    if name not in CODECS:
        raise VideoError(f"no codec named {name!r}; use {', '.join(CODECS)}")
    chosen = CODECS[name]
    if suffix not in chosen.containers:
        raise VideoError(f"{suffix} does not hold {name}; use {', '.join(chosen.containers)}")
    if chosen.encoder not in pyav().codecs_available:
        raise VideoError(f"this PyAV has no {chosen.encoder}; choose another --codec")
    return name


def _usual(track: Track, suffix: str, layout: str, depth: int) -> str:
    wished = _wished(track, suffix)
    formats = {name: _formats(track, name, layout, depth) for name in wished}
    whole = [name for name in wished if formats[name][:1] == [(layout, depth)]]
    usable = whole or [name for name in wished if formats[name]]
    if not usable:
        raise VideoError(
            f"this PyAV writes no codec for {suffix} that takes {track.width}x{track.height} "
            f"{track.pixel_format}; use .mkv"
        )
    return usable[0]


def _why_not(own: str, track: Track, suffix: str) -> str:
    if own not in CODECS:
        return f"the source's {own} is not written"
    if suffix not in CODECS[own].containers:
        return f"{suffix} does not hold {own}"
    return f"{own} is not written in {track.width}x{track.height} {track.pixel_format}"


def _own_codec(track: Track) -> str:
    return track.codec.removeprefix("lib").removeprefix("dav1d") or "av1"


def _wished(track: Track, suffix: str) -> list[str]:
    """Codecs that the container holds and this PyAV writes, the dearest wish first."""
    common = ["hevc", "h264"] if track.depth > 8 else ["h264", "hevc"]
    order = dict.fromkeys([_own_codec(track), *common, "vp9", "ffv1"])
    if _own_codec(track) in ("vp9", "av1"):  # whoever plays the one plays the other
        order = dict.fromkeys([_own_codec(track), "vp9", *common, "ffv1"])
    written = pyav().codecs_available
    return [
        name
        for name in order
        if name in CODECS and suffix in CODECS[name].containers and CODECS[name].encoder in written
    ]


def _ratio(layout: str) -> str:
    return ":".join(layout)


def _layout(track: Track) -> str:
    """Chroma of the source as a format that encoders know holds it: 420, 422 or 444."""
    kind = pyav().VideoFormat(track.pixel_format)
    narrow, low = kind.chroma_width(64) < 64, kind.chroma_height(64) < 64
    if track.rgb or (low and not narrow):
        return "444"
    return "420" if low or len(kind.components) < 3 else "422" if narrow else "444"


def _formats(track: Track, name: str, layout: str, depth: int) -> list[tuple[str, int]]:
    """(chroma, bits) that the encoder takes for this size, the nearest to the source first."""
    encoder = pyav().codec.Codec(CODECS[name].encoder, "w")
    known = {kind.name for kind in encoder.video_formats or ()}
    halved_ok = CODECS[name].odd or (track.width % 2 == 0 and track.height % 2 == 0)
    chroma = [c for c in ("420", "422", "444") if c >= layout]
    bits = [b for b in _DEPTHS if b >= depth] + [b for b in reversed(_DEPTHS) if b < depth]
    taken = [(c, b) for c in chroma for b in bits if _pixel_format(c, b) in known]
    return [(c, b) for c, b in taken if c == "444" or halved_ok]


def _pixel_format(layout: str, bits: int) -> str:
    return f"yuv{layout}p" + (f"{bits}le" if bits > 8 else "")


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
    stream = container.add_stream(
        CODECS[coding.codec].encoder, rate=written_rate(track), options=options
    )
    context = stream.codec_context
    stream.width, stream.height, stream.pix_fmt = track.width, track.height, coding.pixel_format
    context.time_base = track.time_base
    context.thread_count = threads
    context.sample_aspect_ratio = track.aspect
    context.color_primaries, context.color_trc = track.primaries, track.transfer
    context.colorspace, context.color_range = coding.space, coding.colour_range
    if track.interlaced:
        context.field_order = track.field_order
    return stream


def written_rate(track: Track) -> Fraction:
    """The average rate as it goes into headers."""
    return track.rate.limit_denominator(1001)


def result_suffix(path: Path) -> str:
    """Container of a result that keeps its name: the source's, Matroska if that is not written."""
    suffix = path.suffix.lower()
    return path.suffix if suffix in FORMATS else ".mkv"
