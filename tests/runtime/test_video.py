"""Videos come back whole: every frame at its time, every other stream as it was."""

import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="videos need the extra `video`")

import clips  # noqa: E402

from pellucid import video  # noqa: E402
from pellucid.video.probe import probe  # noqa: E402

TURNED = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)  # by 90 degrees


class Untouched:
    def observe(self, pixels: Any, time_s: float, ahead_s: float) -> None: ...
    def restore(self, pixels: Any, time_s: float) -> None: ...


class Recording(Untouched):
    def __init__(self) -> None:
        self.observed: list[float] = []
        self.restored: list[float] = []
        self.seen: list[tuple[Any, ...]] = []
        self.stop_at = 10**9

    def observe(self, pixels: Any, time_s: float, ahead_s: float) -> None:
        self.observed.append(time_s)

    def restore(self, pixels: Any, time_s: float) -> None:
        if len(self.restored) == self.stop_at:
            raise KeyboardInterrupt
        self.restored.append(time_s)
        self.seen.append((pixels.shape, pixels.dtype.name))


def run(
    source: Path,
    target: Path,
    make: Callable[[], video.VideoRestorer] = Untouched,
    label: str = "fake",
    **options: Any,
) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    chosen = video.VideoOptions(**options)
    plan = video.plan_video(source, target, chosen)
    return *video.restore_video(plan, make, label, chosen), plan.notes


def test_streams_times_chapters_and_turn_come_back(tmp_path: Path) -> None:
    times = [0, 512, 700, 2048, 2049, 5000, 9000, 9512, 20000, 26000]  # a variable rate
    chapter = {"id": 1, "start": 0, "end": 900, "time_base": Fraction(1, 1000)}
    chapters = [chapter | {"metadata": {"title": "one"}}]
    source = clips.write_clip(
        tmp_path / "a.mp4", times, matrix=TURNED, audio=2, subtitles="mov_text", chapters=chapters
    )
    target = tmp_path / "b.mp4"
    count, damage, notes = run(source, target, segment_frames=4)
    assert (count, damage, notes) == (10, (), ())
    assert clips.frame_times(target) == [t * clips.BASE for t in times]
    with av.open(str(source)) as a, av.open(str(target)) as b:
        for one, other in zip(a.streams, b.streams, strict=True):
            assert one.type == other.type
            if one.type != "data":  # chapters are written as one
                assert one.codec_context.name == other.codec_context.name
            assert one.metadata == other.metadata and one.disposition == other.disposition
            assert one.time_base == other.time_base
        assert b.metadata["title"] == "a clip"
        assert [c["metadata"]["title"] for c in b.chapters()] == ["one"]
        assert abs(a.duration - b.duration) <= 40_000  # us: a frame
        assert b.chapters()[0]["end"] * b.chapters()[0]["time_base"] == Fraction(9, 10)
    for index in (1, 2, 3):
        assert clips.packets(source, index), index
        assert clips.packets(source, index) == clips.packets(target, index)
    assert probe(target).tracks[0].matrix == TURNED
    assert not (tmp_path / "b.mp4.partial").exists()


@pytest.mark.parametrize("colour", [(1, 1, 1, 1), (6, 6, 6, 1), (9, 16, 9, 1), (1, 1, 1, 2)])
def test_colours_and_their_tags_are_kept(tmp_path: Path, colour: tuple[int, ...]) -> None:
    deep = "yuv420p10le" if colour[1] == 16 else "yuv420p"
    codec = "libx265" if colour[1] == 16 else "libx264"
    source = clips.write_clip(
        tmp_path / "a.mp4",
        [0, 512, 1024],
        pixel_format=deep,
        codec=codec,
        colour=colour,  # type: ignore[arg-type]
    )
    seen = Recording()
    _, _, notes = run(source, tmp_path / "b.mp4", lambda: seen, crf=5)
    assert any("HDR (PQ)" in note for note in notes) == (colour[1] == 16)
    assert {kind for _, kind in seen.seen} == {"uint16" if deep.endswith("10le") else "uint8"}
    a, b = (probe(tmp_path / name).tracks[0] for name in ("a.mp4", "b.mp4"))
    assert (b.primaries, b.transfer, b.space, b.colour_range) == colour
    assert (a.pixel_format, a.depth) == (b.pixel_format, b.depth)
    worst = [
        np.abs(x.astype(int) - y).mean()
        for x, y in zip(clips.frames(source), clips.frames(tmp_path / "b.mp4"), strict=True)
    ]
    assert max(worst) < 1.5  # of 255: a wrong matrix or range is off by more than 4


def test_colour_the_network_sees_is_the_pictures(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "a.mp4", [0, 512], colour=(5, 6, 5, 1))
    seen: list[np.ndarray[Any, Any]] = []

    class Keep(Untouched):
        def restore(self, pixels: Any, time_s: float) -> None:
            seen.append(pixels.copy())

    run(source, tmp_path / "b.mp4", Keep)
    assert np.abs(seen[0].astype(int) - clips.picture(0, 64, 48)).mean() < 3


def test_what_the_network_changes_arrives(tmp_path: Path) -> None:
    class Black(Untouched):
        def restore(self, pixels: Any, time_s: float) -> None:
            pixels[:] = 0

    source = clips.write_clip(tmp_path / "a.mp4", [0, 512])
    run(source, tmp_path / "b.mp4", Black)
    assert all(frame.max() <= 2 for frame in clips.frames(tmp_path / "b.mp4"))


def test_interrupted_run_goes_on_at_its_last_segment(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "a.mp4", options={"g": "5"})
    whole = tmp_path / "whole.mp4"
    run(source, whole, segment_frames=6)
    target, first, second = tmp_path / "b.mp4", Recording(), Recording()
    first.stop_at = 15
    with pytest.raises(KeyboardInterrupt):
        run(source, target, lambda: first, segment_frames=6)
    assert not target.exists()
    kept = sorted(p.name for p in (tmp_path / "b.mp4.partial").iterdir())
    assert kept == sorted(
        [f"track0-0000{k}{s}" for k in (0, 1) for s in (".mkv", ".json")] + ["settings.json"]
    )
    with pytest.raises(video.VideoError, match="other settings .label."):
        run(source, target, label="other model", segment_frames=6)
    run(source, target, lambda: second, segment_frames=6)
    assert len(second.restored) == 8  # frames 12 to 19
    assert len(second.observed) == 12  # the smoothing has seen what came before
    assert clips.frame_times(target) == clips.frame_times(whole)
    assert clips.packets(target, 0) == clips.packets(whole, 0)


def test_segment_cut_off_by_a_kill_is_made_again(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "a.mp4")
    stopped = Recording()
    stopped.stop_at = 15
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "b.mp4", lambda: stopped, segment_frames=6)
    part = tmp_path / "b.mp4.partial" / "track0-00001.mkv"
    part.write_bytes(part.read_bytes()[:-100])
    again = Recording()
    run(source, tmp_path / "b.mp4", lambda: again, segment_frames=6)
    assert len(again.restored) == 14
    assert len(clips.frame_times(tmp_path / "b.mp4")) == 20


def test_part_begins_at_zero_with_its_sound(tmp_path: Path) -> None:
    times = range(0, 512 * 75, 512)  # 3 s
    source = clips.write_clip(tmp_path / "a.mp4", list(times), audio=1, subtitles="mov_text")
    target, seen = tmp_path / "b.mp4", Recording()
    run(source, target, lambda: seen, start_s=1.0, end_s=2.0)
    assert seen.restored == [pytest.approx(1 + k / 25) for k in range(25)]
    assert clips.frame_times(target) == [Fraction(k, 25) for k in range(25)]
    sound = clips.packets(target, 1)
    assert {p[2] for p in sound} <= {p[2] for p in clips.packets(source, 1)}
    assert 0 <= sound[0][0] < 1024 and len(sound) in (7, 8)  # 1 s of 1024 samples at 8 kHz
    with pytest.raises(video.VideoError, match="no frame between"):
        run(source, tmp_path / "c.mp4", start_s=50.0)
    with pytest.raises(video.VideoError, match="--start < --end"):
        video.VideoOptions(start_s=2.0, end_s=1.0)


def test_odd_size_keeps_its_size(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "a.mp4", size=(63, 47), pixel_format="yuv444p")
    _, _, notes = run(source, tmp_path / "b.mp4")
    assert notes == () and clips.frames(tmp_path / "b.mp4")[0].shape == (47, 63, 3)
    odd = clips.write_clip(tmp_path / "c.mkv", size=(63, 47), codec="ffv1")
    _, _, notes = run(odd, tmp_path / "d.mp4")
    assert notes == ("coded as vp9: .mp4 does not hold ffv1",)
    assert clips.frames(tmp_path / "d.mp4")[0].shape == (47, 63, 3)
    assert probe(tmp_path / "d.mp4").tracks[0].pixel_format == "yuv420p"
    _, _, notes = run(odd, tmp_path / "e.mov", codec="hevc")
    assert notes == ("coded with chroma 4:4:4: hevc does not take 4:2:0 in 63x47",)


def test_interlaced_stays_tagged(tmp_path: Path) -> None:
    fields = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    source = clips.write_clip(tmp_path / "a.mp4", options=fields)
    _, _, notes = run(source, tmp_path / "b.mp4")
    assert any("interlaced" in note for note in notes)
    assert probe(tmp_path / "b.mp4").tracks[0].interlaced


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_other_containers(tmp_path: Path, suffix: str) -> None:
    source = clips.write_clip(tmp_path / "a.mkv", [0, 512, 1024], audio=1, subtitles="subrip")
    target = tmp_path / f"b{suffix}"
    _, _, notes = run(source, target)
    assert clips.frame_times(target) == clips.frame_times(source)
    kept = [stream.type for stream in av.open(str(target)).streams]
    assert ("subtitle" in kept) == (suffix == ".mkv")
    assert any("(subtitle, " in note and "left out" in note for note in notes) == (suffix == ".mov")


def test_one_frame(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "a.mp4", [0])
    assert run(source, tmp_path / "b.mp4")[0] == 1
    assert clips.frame_times(tmp_path / "b.mp4") == [0]


def test_damaged_packets_are_counted(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "a.mkv", codec="mjpeg", pixel_format="yuvj420p")
    body = clips.packets(source, 0)[7][2]
    data = source.read_bytes()
    assert data.count(body) == 1
    source.write_bytes(data.replace(body, b"\x55" * len(body)))
    count, damage, _ = run(source, tmp_path / "b.mp4")
    assert count == 19 == len(clips.frame_times(tmp_path / "b.mp4"))
    assert len(damage) == 1 and damage[0].startswith("1 damaged packets")


def test_file_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "a.mkv", options={"bf": "0"}, audio=1)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    count, _, _ = run(source, tmp_path / "b.mkv")
    assert 0 < count < 20
    whole = clips.write_clip(tmp_path / "c.mp4")
    whole.write_bytes(whole.read_bytes()[:2000])  # its index was at the end
    with pytest.raises(video.VideoError, match=r"c\.mp4: cannot read this video"):
        run(whole, tmp_path / "d.mp4")
    assert not (tmp_path / "d.mp4").exists()


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    sound = tmp_path / "a.mka"
    with av.open(str(sound), "w", format="matroska") as out:
        tone = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        out.mux(tone.encode(frame))
    with pytest.raises(video.VideoError, match="no video stream"):
        run(sound, tmp_path / "b.mp4")


def test_a_song_with_a_cover_is_no_video(tmp_path: Path) -> None:
    song = clips.write_song(tmp_path / "a.mp3")
    assert video.is_video(song)
    with pytest.raises(video.VideoError, match="only sound and a cover picture; expected a video"):
        run(song, tmp_path / "b.mkv")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp3"]


def test_a_new_size_on_the_way_is_told_and_the_advice_works(tmp_path: Path) -> None:
    source, target = clips.write_two_sizes(tmp_path / "a.ts"), tmp_path / "b.mp4"
    with pytest.raises(video.VideoError, match="change from 64x48 to 96x64 at") as told:
        run(source, target)
    assert not target.exists()
    end = re.search(r"--end (\S+),", str(told.value))
    assert end is not None
    assert run(source, target, end_s=float(end[1]), overwrite=True)[0] == len(clips.frames(target))
    assert {f.shape for f in clips.frames(target)} == {(48, 64, 3)}
    assert len(clips.frames(target)) >= 19  # all of the first size that can be read


def test_full_disk_keeps_what_is_finished(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits are POSIX")
    source = clips.write_clip(tmp_path / "a.mp4")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    first = Recording()

    class Filling(Recording):
        def restore(self, pixels: Any, time_s: float) -> None:
            if len(first.restored) == 8:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
            pixels[:] = np.random.default_rng(0).integers(0, 256, pixels.shape)
            first.restored.append(time_s)

    try:
        with pytest.raises(video.VideoError, match="the disk is full"):
            run(source, tmp_path / "b.mp4", Filling, segment_frames=6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "b.mp4").exists()
    told = json.loads((tmp_path / "b.mp4.partial" / "track0-00000.json").read_text())
    assert len(told["pts"]) == 6
    assert run(source, tmp_path / "b.mp4", segment_frames=6)[0] == 20


def test_wrong_wishes_are_told(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "a.mp4", [0, 512])
    for name, options, told in [
        ("b.webm", {"codec": "h264"}, "does not hold h264"),
        ("b.avi", {}, "cannot write .avi"),
        ("b.mp4", {"codec": "h266"}, "no codec named"),
        ("b.mp4", {"crf": 99}, "goes from 0 to 51"),
        ("a.mp4", {}, "use --overwrite"),
        ("a.mp4", {"overwrite": True}, "own result"),
    ]:
        with pytest.raises(video.VideoError, match=told):
            run(source, tmp_path / name, **options)  # type: ignore[arg-type]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


def test_content_decides_what_is_a_video(tmp_path: Path) -> None:
    clip = clips.write_clip(tmp_path / "a.mp4", [0]).rename(tmp_path / "film")
    assert video.is_video(clip)
    brands = ("avif", "avis", "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "crx ")
    photos = [(f"{brand}.mp4", b"\0\0\0\x1cftyp" + brand.encode()) for brand in brands]
    for name, head in [*photos, ("a.jpg", b"\xff\xd8\xff\xe0"), ("b.mov", b"\xff\xd8\xff\xe0")]:
        (tmp_path / name).write_bytes(head + bytes(500))
        assert not video.is_video(tmp_path / name), name
    (tmp_path / "a.mjpeg").write_bytes(b"\xff\xd8\xff\xe0")
    assert video.is_video(tmp_path / "a.mjpeg"), "JPEGs one after another"
    assert video.is_video(tmp_path / "absent.mkv") and not video.is_video(tmp_path / "absent.png")
