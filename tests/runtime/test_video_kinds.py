"""Kinds of videos that people have: colours against FFmpeg's own filter, names, streams, times."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="videos need the extra `video`")

import clips  # noqa: E402

from pellucid import video  # noqa: E402
from pellucid.video.probe import probe  # noqa: E402


class Keep:
    def __init__(self) -> None:
        self.seen: list[np.ndarray[Any, Any]] = []

    def observe(self, pixels: Any, time_s: float, ahead_s: float) -> None: ...

    def restore(self, pixels: Any, time_s: float) -> None:
        self.seen.append(pixels.copy())


def run(source: Path, target: Path) -> tuple[list[np.ndarray[Any, Any]], tuple[str, ...]]:
    """What the network was shown, and all notes."""
    keep, options = Keep(), video.VideoOptions(crf=5)
    plan = video.plan_video(source, target, options)
    _, damage = video.restore_video(plan, lambda: keep, "fake", options)
    return keep.seen, (*plan.notes, *damage)


@pytest.mark.parametrize("colour", [(1, 1, 1, 1), (1, 1, 1, 2), (6, 6, 6, 1), (6, 6, 6, 2),
                                    (9, 14, 9, 1), (9, 14, 9, 2)])  # fmt: skip
def test_colours_are_those_of_ffmpegs_filter(tmp_path: Path, colour: tuple[int, ...]) -> None:
    source = clips.write_clip(tmp_path / "a.mp4", [0, 512], colour=colour)  # type: ignore[arg-type]
    seen, _ = run(source, tmp_path / "b.mp4")
    expected, result = (clips.shown_by_ffmpeg(tmp_path / n) for n in ("a.mp4", "b.mp4"))
    for shown, told, made in zip(seen, expected, result, strict=True):
        # Where chroma is taken to lie differs by half a pixel; a wrong matrix is off by over 4.
        assert np.abs(shown.astype(int) - told).mean() < 2.5
        assert np.abs(made.astype(int) - told).mean() < 2.5
    track = probe(tmp_path / "b.mp4").tracks[0]
    assert (track.primaries, track.transfer, track.space, track.colour_range) == colour


def test_rgb_keeps_its_colours_and_gets_a_tag_that_fits(tmp_path: Path) -> None:
    source = clips.write_clip(
        tmp_path / "a.mkv", [0, 512], codec="libx264rgb", pixel_format="rgb24", colour=(2, 2, 0, 2)
    )
    _, notes = run(source, tmp_path / "b.mp4")
    assert "coded as YCbCr 4:4:4 (BT.709); the source is RGB" in notes
    track = probe(tmp_path / "b.mp4").tracks[0]
    assert (track.pixel_format, track.space, track.colour_range) == ("yuv444p", 1, 1)
    a, b = (clips.shown_by_ffmpeg(tmp_path / name)[1] for name in ("a.mkv", "b.mp4"))
    assert np.abs(a.astype(int) - b).mean() < 2.0


def test_names_with_colons_are_paths(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "2026-11-25T07:52:07.mp4", [0, 512])
    run(source, tmp_path / "http:out.mp4")
    assert len(clips.shown_by_ffmpeg(tmp_path / "http:out.mp4")) == 2


def test_a_clock_that_starts_again_goes_on(tmp_path: Path) -> None:
    part = clips.write_clip(tmp_path / "part.ts", audio=1).read_bytes()
    (tmp_path / "a.ts").write_bytes(part + part)
    _, notes = run(tmp_path / "a.ts", tmp_path / "b.mp4")
    assert any("start again" in note for note in notes)
    times = clips.frame_times(tmp_path / "b.mp4")
    assert len(times) >= 39 and all(b > a for a, b in zip(times, times[1:], strict=False))


def test_raw_streams_get_times(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "a.h264")
    assert video.is_video(source)
    _, notes = run(source, tmp_path / "b.mp4")
    assert any("without times" in note for note in notes)
    assert len(clips.frame_times(tmp_path / "b.mp4")) == 20
