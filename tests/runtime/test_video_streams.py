"""What a video holds beside its pictures, and pictures that come in unusual ways, of each kind."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="videos need the extra `video`")

import clips  # noqa: E402

from pellucid import video  # noqa: E402
from pellucid.video.probe import probe  # noqa: E402


class Keep:
    def observe(self, pixels: Any, time_s: float, ahead_s: float) -> None: ...

    def restore(self, pixels: Any, time_s: float) -> None: ...


def restored(source: Path, target: Path) -> tuple[str, ...]:
    """All notes: those before the work, then those of damage."""
    options = video.VideoOptions(crf=10)
    plan = video.plan_video(source, target, options)
    _, damage = video.restore_video(plan, Keep, "fake", options)
    return (*plan.notes, *damage)


def metadata(path: Path, index: int = 0) -> dict[str, str]:
    with av.open(str(path)) as container:
        found = container.streams[index].metadata
        return {name.lower(): value for name, value in found.items()}


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
def test_a_timecode_track_comes_along(tmp_path: Path, suffix: str) -> None:
    source = clips.write_clip(tmp_path / "a.mov", audio=1, metadata={"timecode": "10:11:12:13"})
    with av.open(str(source)) as container:
        assert [s.type for s in container.streams] == ["video", "audio", "data"]
    restored(source, tmp_path / f"b{suffix}")
    assert len(clips.frame_times(tmp_path / f"b{suffix}")) == 20
    assert metadata(tmp_path / f"b{suffix}")["timecode"] == "10:11:12:13"
    with av.open(str(tmp_path / f"b{suffix}")) as container:
        assert len([s for s in container.streams if s.type == "data"]) == (suffix != ".mkv")


def write_data_track(path: Path) -> Path:
    """A clip with a track of KLV metadata, as drones write it."""
    clip = clips.write_clip(path.with_name("clip.mp4"), options={"bf": "0"})
    with av.open(str(clip)) as given, av.open(str(path), "w") as out:
        pictures = out.add_stream_from_template(given.streams.video[0])
        data: Any = out.add_mux_stream("klv")
        data.time_base = Fraction(1, 90000)
        for number, packet in enumerate(given.demux(video=0)):
            if packet.dts is None:
                continue
            packet.stream = pictures
            out.mux(packet)
            note: Any = av.Packet(b"\x06\x0e\x2b\x34" + bytes([number]) * 12)
            note.stream, note.time_base = data, Fraction(1, 90000)
            note.pts = note.dts = 3600 * number
            out.mux(note)
    return path


def test_a_data_track_that_has_no_place_is_named_before_the_work(tmp_path: Path) -> None:
    source = write_data_track(tmp_path / "a.ts")
    options = video.VideoOptions()
    plan = video.plan_video(source, tmp_path / "b.mp4", options)
    (note,) = plan.notes
    assert note.startswith("stream 1 (data, ")
    assert note.endswith("cannot be stored in .mp4 and is left out")
    restored(source, tmp_path / "b.mp4")
    assert len(clips.frame_times(tmp_path / "b.mp4")) == 20
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert [s.type for s in container.streams] == ["video"]


def test_a_file_that_was_cut_off_is_named(tmp_path: Path) -> None:
    times = range(0, 512 * 100, 512)
    source = clips.write_clip(tmp_path / "a.mkv", times, options={"bf": "0", "g": "10"}, audio=1)
    assert not any("cut off" in note for note in restored(source, tmp_path / "whole.mkv"))
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    notes = restored(source, tmp_path / "b.mkv")
    assert any("the file says 4.0 s: it was cut off" in note for note in notes), notes


def test_transparency_of_vp9_is_named_and_its_tag_goes(tmp_path: Path) -> None:
    source = clips.write_clip(
        tmp_path / "a.webm",
        [0, 512, 1024],
        pixel_format="yuva420p",
        codec="libvpx-vp9",
        metadata={"alpha_mode": "1"},
    )
    assert metadata(source)["alpha_mode"] == "1"
    assert "transparency is not kept" in restored(source, tmp_path / "b.webm")
    assert "alpha_mode" not in metadata(tmp_path / "b.webm")


@pytest.mark.parametrize(("first", "order"), [("tff", 2), ("bff", 3)])
def test_the_field_that_comes_first_stays_first(tmp_path: Path, first: str, order: int) -> None:
    fields = {"flags": "+ildct+ilme", "x264-params": f"{first}=1"}
    source = clips.write_clip(tmp_path / "a.mp4", options=fields)
    assert probe(source).tracks[0].field_order == order
    restored(source, tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as container:
        frame = next(container.decode(video=0))
        assert frame.interlaced_frame
    assert probe(tmp_path / "b.mkv").tracks[0].field_order == order


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("early", [1, 12])
def test_pictures_before_zero_stay_in_step_with_the_sound(
    tmp_path: Path, suffix: str, early: int
) -> None:
    """A file whose first frames have negative times, as cutting without a key frame leaves it."""
    times = range(0, 512 * 30, 512)
    clip = clips.write_clip(tmp_path / "clip.mkv", times, options={"bf": "0"}, audio=1)
    source = tmp_path / f"a{suffix}"
    with av.open(str(clip)) as given:
        options = {"avoid_negative_ts": "disabled"}
        with av.open(str(source), "w", options=options) as out:
            streams = {s.index: out.add_stream_from_template(s) for s in given.streams}
            for packet in given.demux():
                if packet.dts is None:
                    continue
                shift = round(early * Fraction(1, 25) / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    target = tmp_path / f"b{'.mkv' if suffix == '.ts' else suffix}"
    restored(source, target)
    assert abs(lag(target) - lag(source)) < Fraction(1, 50)
    assert len(clips.frame_times(target)) >= 30 - early


def lag(path: Path) -> Fraction:
    """From the last sound to the last picture, s: beginnings may be cut, ends are not."""
    ends = []
    for index in (0, 1):
        with av.open(str(path)) as container:
            stream: Any = container.streams[index]
            times = [p.pts for p in container.demux(stream) if p.size and p.pts is not None]
            ends.append(max(times) * stream.time_base)
    return Fraction(ends[0] - ends[1])


def test_a_cover_stays_a_cover(tmp_path: Path) -> None:
    clip = clips.write_clip(tmp_path / "clip.mp4")
    source = tmp_path / "a.mp4"
    with av.open(str(clip)) as given, av.open(str(source), "w") as out:
        pictures = out.add_stream_from_template(given.streams.video[0])
        cover: Any = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        out.start_encoding()
        picture: Any = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), "rgb24")
        out.mux(cover.encode(picture))
        out.mux(cover.encode(None))
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                out.mux(packet)
    restored(source, tmp_path / "b.mp4")
    kept = []
    for name in ("a.mp4", "b.mp4"):
        with av.open(str(tmp_path / name)) as container:
            (one,) = [s for s in container.streams.video if s.disposition & 1024]
            kept.append([data for _, _, data in clips.packets(tmp_path / name, one.index)])
    assert kept[0] == kept[1] and len(kept[0]) == 1
    assert len(clips.frame_times(tmp_path / "b.mp4")) == 20
