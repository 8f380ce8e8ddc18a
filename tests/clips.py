"""Small video files for tests, written with PyAV."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BASE = Fraction(1, 12800)


def picture(k: int, width: int, height: int, peak: int = 255) -> np.ndarray[Any, Any]:
    """Frame k: a smooth field that moves; uint8, or uint16 for peak 65535. (H, W, 3)"""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((x + 2 * k) / 9.0 + c) * np.cos(y / 7.0 + c) for c in range(3)]
    kind = np.uint8 if peak == 255 else np.uint16
    return np.asarray(np.rint((0.5 + 0.4 * np.stack(waves, 2)) * peak), kind)


def write_clip(
    path: Path,
    times: Sequence[int] = tuple(range(0, 512 * 20, 512)),
    size: tuple[int, int] = (64, 48),
    pixel_format: str = "yuv420p",
    codec: str = "libx264",
    colour: tuple[int, int, int, int] = (1, 1, 1, 1),
    matrix: tuple[int, ...] | None = None,
    audio: int = 0,
    subtitles: str | None = None,
    chapters: Sequence[Any] = (),
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A clip whose frames have `times` as pts (in BASE). colour: primaries, transfer, space, range.

    audio: that many tones. subtitles: a codec's name; one line a second. metadata: of the pictures.
    """
    with av.open(str(path), "w") as out:
        more = {"crf": "10", "x265-params": "log-level=error"} if "x26" in codec else {}
        video: Any = out.add_stream(codec, rate=25, options=more | (options or {}))
        video.width, video.height, video.pix_fmt = *size, pixel_format
        video.metadata.update(metadata or {})
        context = video.codec_context
        context.time_base, context.thread_count = BASE, 1
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = colour
        if matrix is not None:
            video.set_display_matrix(matrix)
        tones: list[Any] = []
        for number in range(audio):
            tone: Any = out.add_stream("aac", rate=8000, layout="mono")
            tone.metadata["language"] = ("eng", "deu", "fra")[number]
            tones.append(tone)
        lines: Any = None
        if subtitles is not None:
            lines = out.add_mux_stream(subtitles)
            lines.time_base = Fraction(1, 1000)
        out.metadata["title"] = "a clip"
        out.set_chapters(list(chapters))
        out.start_encoding()
        deep = "10" in pixel_format
        for k, pts in enumerate(times):
            pixels = picture(k, *size, 65535 if deep else 255)
            frame: Any = av.VideoFrame.from_ndarray(pixels, format="rgb48le" if deep else "rgb24")
            frame.pts, frame.time_base = pts, BASE
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        seconds = float(times[-1] * BASE) if len(times) else 1.0
        for number, tone in enumerate(tones):
            wave = np.sin(np.arange(int(8000 * seconds)) * (0.2 + number / 10)).astype(np.float32)
            for start in range(0, len(wave) - 1023, 1024):
                piece = np.ascontiguousarray(wave[None, start : start + 1024])
                sound: Any = av.AudioFrame.from_ndarray(piece, "fltp", "mono")
                sound.sample_rate, sound.pts, sound.time_base = 8000, start, Fraction(1, 8000)
                out.mux(tone.encode(sound))
            out.mux(tone.encode(None))
        for second in range(int(seconds) if lines is not None else 0):
            text = f"line {second}".encode()
            body = len(text).to_bytes(2, "big") + text if subtitles == "mov_text" else text
            packet: Any = av.Packet(body)
            packet.stream, packet.time_base = lines, Fraction(1, 1000)
            packet.pts = packet.dts = 1000 * second
            packet.duration = 900
            out.mux(packet)
    return path


def write_song(path: Path) -> Path:
    """An MP3 with a cover: sound, and one picture that FFmpeg calls a video stream."""
    with av.open(str(path), "w") as out:
        tone: Any = out.add_stream("libmp3lame", rate=44100)
        cover: Any = out.add_stream("png", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt, cover.disposition = "rgb24", av.stream.Disposition.attached_pic
        picture: Any = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
        out.mux(cover.encode(picture))
        for start in range(0, 11520, 1152):
            sound: Any = av.AudioFrame.from_ndarray(
                np.zeros((2, 1152), np.float32), "fltp", "stereo"
            )
            sound.sample_rate, sound.pts = 44100, start
            out.mux(tone.encode(sound))
        out.mux(tone.encode(None))
    return path


def write_two_sizes(path: Path) -> Path:
    """20 frames of 64x48, then 20 of 96x64, as a transport stream may hold them."""
    first = write_clip(path.with_name("first.ts"))
    then = write_clip(path.with_name("then.ts"), range(20 * 512, 40 * 512, 512), (96, 64))
    path.write_bytes(first.read_bytes() + then.read_bytes())
    return path


def frame_times(path: Path, index: int = 0) -> list[Fraction]:
    """Presentation times of all frames of a stream, s."""
    with av.open(str(path)) as container:
        stream: Any = container.streams[index]
        return [f.pts * stream.time_base for f in container.decode(stream)]


def packets(path: Path, index: int) -> list[tuple[Any, ...]]:
    """(pts, duration, bytes) of all packets of a stream."""
    with av.open(str(path)) as container:
        found = container.demux(container.streams[index])
        return [(p.pts, p.duration, bytes(p)) for p in found if p.size]


def frames(path: Path) -> list[np.ndarray[Any, Any]]:
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


def shown_by_ffmpeg(path: Path) -> list[np.ndarray[Any, Any]]:
    """The frames as FFmpeg's own filter `scale` converts them, by their tags. (H, W, 3) uint8"""
    shown = []
    with av.open(f"file:{path}") as container:
        graph: Any = None
        for frame in container.decode(video=0):
            if graph is None:
                graph = av.filter.Graph()
                quality = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
                nodes: list[Any] = [
                    graph.add_buffer(template=container.streams.video[0]),
                    graph.add("scale", f"flags={quality}"),
                    graph.add("format", "pix_fmts=rgb24"),
                    graph.add("buffersink"),
                ]
                graph.link_nodes(*nodes).configure()
            nodes[0].push(frame)
            shown.append(nodes[-1].pull().to_ndarray())
    return shown
