"""Sources and sinks: what goes in comes out, and what breaks says so."""

import contextlib
import errno
import io
import itertools
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from frames_fakes import FakeClock, FakeSource, grey

from pellucid import Photo
from pellucid.frames import Frame, FrameError, cameras, screens
from pellucid.frames.cameras import CameraSource, find_camera
from pellucid.frames.files import FolderSource, Looped, Paced, VideoSource
from pellucid.frames.mjpeg import PageSink
from pellucid.frames.raw import RawSink, RawSource
from pellucid.frames.writers import FolderSink, VideoSink


def ramp(index: int) -> Any:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[..., 0], picture[:, :32, 2] = 20 * index, 200  # R tells the index, B the side
    return picture


def test_raw_frames_there_and_back() -> None:
    stream = io.BytesIO()
    sink = RawSink(stream)
    for index in range(3):
        sink.write(Frame(ramp(index), 0.0, index))
    sink.write(Frame(grey(9, 20, 20), 0.0, 3))  # another size: fitted, the reader cannot know
    stream.seek(0)
    source = RawSource(stream, 64, 48, FakeClock())
    for index in range(3):
        frame = source.read()
        assert frame is not None and frame.index == index
        np.testing.assert_array_equal(frame.pixels, ramp(index))
    last = source.read()
    assert last is not None and last.pixels.shape == (48, 64, 3) and source.read() is None


class Dribble(io.RawIOBase):
    """A pipe that gives at most 1000 bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def readinto(self, room: Any) -> int:
        part = self.data.read(min(1000, len(room)))
        room[: len(part)] = part
        return len(part)


def test_a_pipe_that_dribbles_and_one_that_is_cut() -> None:
    data = ramp(5).tobytes()
    source = RawSource(Dribble(data + data[:100]), 64, 48, FakeClock())  # type: ignore[arg-type]
    frame = source.read()
    assert frame is not None and (frame.pixels == ramp(5)).all()
    with pytest.raises(FrameError, match="expected 9216 bytes for 64x48, got 100; is --size"):
        source.read()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "reader of standard output is gone"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
    ],
)
def test_a_pipe_that_takes_no_more(error: OSError, told: str) -> None:
    class Gone(io.BytesIO):
        def write(self, _: Any) -> int:
            raise error

    with pytest.raises(FrameError, match=told):
        RawSink(Gone()).write(Frame(grey(1), 0.0, 0))


def test_a_folder_there_and_back(tmp_path: Path) -> None:
    sink = FolderSink(tmp_path / "out")
    for index in range(3):
        sink.write(Frame(ramp(index), 0.0, index))
    (tmp_path / "out" / "._000001.png").write_bytes(b"what macOS puts beside files on cards")
    source = FolderSource(tmp_path / "out", fps=10.0)
    for index in range(3):
        frame = source.read()
        assert frame is not None and frame.time_s == pytest.approx(index / 10)
        np.testing.assert_array_equal(frame.pixels, ramp(index))
    assert source.read() is None
    with pytest.raises(FrameError, match="holds pictures already"):
        FolderSink(tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FrameError, match="holds no pictures"):
        FolderSource(tmp_path / "empty", 30.0)


def test_an_empty_file_among_the_pictures_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(FrameError) as told:
        FolderSource(tmp_path, 30.0).read()
    assert str(told.value) == f"{tmp_path / 'a.png'}: the file is empty"


def test_no_bytes_are_no_frames() -> None:
    assert RawSource(io.BytesIO(), 64, 48, FakeClock()).read() is None


def test_a_full_disk_leaves_no_half_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    sink = FolderSink(tmp_path / "out")
    sink.write(Frame(ramp(0), 0.0, 0))
    monkeypatch.setattr("pellucid.frames.writers.os.replace", full)
    with pytest.raises(FrameError, match="the disk is full"):
        sink.write(Frame(ramp(1), 0.0, 1))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["000000.png"]


def test_paced_frames_come_when_they_are_due() -> None:
    clock = FakeClock()
    clock.time = 100.0
    paced = Paced(FakeSource([grey(k) for k in range(4)]), clock)  # 1/30 s apart
    times = []
    while (frame := paced.read()) is not None:
        assert frame.time_s == pytest.approx(clock.now())
        times.append(clock.now())
        clock.sleep(0.01)  # its taker is quicker than the source
    np.testing.assert_allclose(times, 100.0 + np.arange(4) / 30)


def test_pacing_does_not_chase_a_slow_decoder() -> None:
    clock = FakeClock()
    paced = Paced(FakeSource([grey(k) for k in range(4)]), clock)
    for _ in range(4):
        frame = paced.read()
        assert frame is not None and frame.time_s == pytest.approx(clock.now())
        clock.sleep(1.0)


class FakeCapture:
    """cv2.VideoCapture that gives pictures of a list, None for a failed read, then only None."""

    def __init__(self, pictures: list[Any]) -> None:
        self.pictures, self.released = pictures, False

    def isOpened(self) -> bool:
        return bool(self.pictures)

    def set(self, *_: Any) -> bool:
        return True

    def read(self) -> tuple[bool, Any]:
        picture = self.pictures.pop(0) if self.pictures else None
        return picture is not None, picture

    def release(self) -> None:
        self.released = True


def open_fake(monkeypatch: pytest.MonkeyPatch, pictures: list[Any]) -> CameraSource:
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: FakeCapture(pictures))
    return CameraSource(0, FakeClock(), (640, 480), 30.0)


def test_camera_hiccups_are_waited_out_and_unplugging_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty = np.empty((0, 0, 3), np.uint8)
    camera = open_fake(monkeypatch, [ramp(1)[..., ::-1], None, empty, None, ramp(2)[..., ::-1]])
    for index in (1, 2):
        frame = camera.read()
        assert frame is not None and frame.index == index - 1
        np.testing.assert_array_equal(frame.pixels, ramp(index))
    with pytest.raises(FrameError, match="camera 0 gives no pictures any more; was it unplugged"):
        camera.read()
    camera.close()


def test_a_camera_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FrameError, match=r"camera 0 cannot be opened.*--list"):
        open_fake(monkeypatch, [])


def test_cameras_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [(0, "Integrated Camera"), (2, "USB Camera")]
    monkeypatch.setattr(cameras, "list_cameras", lambda: told)
    assert find_camera("usb") == 2 and find_camera("7") == 7
    with pytest.raises(FrameError, match="several cameras match 'camera'; cameras: 0: Integ"):
        find_camera("camera")
    with pytest.raises(FrameError, match="called 'mars'; cameras: 0: Integrated Camera, 2: USB"):
        find_camera("mars")


def test_listing_on_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, index, name in [(2, 0, "USB Camera"), (3, 1, "USB Camera"), (0, 0, "Built in")]:
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "index").write_text(f"{index}\n")
        (tmp_path / f"video{number}" / "name").write_text(f"{name}\n")
    monkeypatch.setattr(cameras, "_LINUX", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    assert cameras.list_cameras() == [(0, "Built in"), (2, "USB Camera")]


def test_no_window_in_a_headless_build_and_the_message_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                NONE\n")
    with pytest.raises(FrameError, match="pip install opencv-python"):
        screens.WindowSink()


@pytest.fixture
def page() -> Any:
    page = PageSink()
    yield page
    page.close()
    page.close()


def fetch(url: str, headers: dict[str, str] | None = None, data: bytes | None = None) -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=10)


def test_page_shows_frames_and_takes_keys(page: PageSink) -> None:
    page.write(Frame(ramp(1), 0.0, 0))  # nobody watches: nothing is compressed
    with fetch(page.url) as answer:
        assert b"/stream" in answer.read()
    with fetch(page.url + "stream") as stream:
        assert "multipart/x-mixed-replace" in stream.headers["Content-Type"]
        while not page._watchers:
            time.sleep(0.001)
        page.write(Frame(ramp(7), 0.0, 0))
        assert stream.readline() == b"--frame\r\n"
        assert stream.readline() == b"Content-Type: image/jpeg\r\n"
        size = int(stream.readline().split(b":")[1])
        stream.readline()
        shown = cv2.imdecode(np.frombuffer(stream.read(size), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert shown is not None and np.abs(shown[:, 40:, 0].astype(int) - 140).max() < 12
    with fetch(page.url + "key", {"X-Pellucid": "1"}, b"s"):
        pass
    assert page.pressed() == "s" and page.pressed() == ""


def test_a_recording_waits_for_whoever_opens_the_page(page: PageSink) -> None:
    waiting = threading.Thread(target=page.wait_for_watcher, args=(lambda: False,))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    page.watch(1)
    waiting.join(10)
    assert not waiting.is_alive()
    page.watch(-1)
    page.wait_for_watcher(lambda: True)  # told to stop: it does not wait


def test_a_looped_source_goes_on_in_time_and_number() -> None:
    looped = Looped(lambda: FakeSource([ramp(1), ramp(2), ramp(3)]))
    frames = [looped.read() for _ in range(7)]
    assert [frame and frame.index for frame in frames] == list(range(7))
    times = [frame.time_s for frame in frames if frame is not None]
    np.testing.assert_allclose(np.diff(times[1:3]), 1 / 30)
    assert all(later > sooner for sooner, later in zip(times, times[1:], strict=False))
    looped.close()
    assert Looped(lambda: FakeSource([])).read() is None


@pytest.mark.parametrize(
    ("path", "headers", "data"),
    [
        ("", {"Host": "evil.example"}, None),
        ("key", {}, b"q"),
        ("key", {"X-Pellucid": "1", "Host": "evil.example"}, b"q"),
    ],
)
def test_page_answers_only_to_its_own(
    page: PageSink, path: str, headers: dict[str, str], data: bytes | None
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(page.url + path, headers, data)
    refused.value.close()
    assert refused.value.code == 403 and page.pressed() == ""
    assert page._server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("length", ["-1", "many", ""])
def test_a_page_answers_whatever_length_is_sent(page: PageSink, length: str) -> None:
    with socket.create_connection(("127.0.0.1", page.port), timeout=10) as client:
        head = f"POST /key HTTP/1.0\r\nHost: 127.0.0.1:{page.port}\r\nX-Pellucid: 1\r\n"
        client.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.0 200")
    assert page.pressed() == ""


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError()])
def test_nothing_is_printed_of_a_viewer_who_leaves(
    page: PageSink, error: OSError, capsys: pytest.CaptureFixture[str]
) -> None:
    for raised, lines in ((error, False), (ValueError("a fault"), True)):
        try:
            raise raised
        except (OSError, ValueError):
            page._server.handle_error(None, ("127.0.0.1", 1))
        assert bool(capsys.readouterr().err) == lines


def test_a_taken_port_is_told(page: PageSink) -> None:
    with pytest.raises(FrameError, match=f"port {page.port} cannot be used"):
        PageSink(page.port)


def times_of(path: Path) -> list[float]:
    frames, source = [], VideoSource(path)
    while (frame := source.read()) is not None:
        frames.append(frame.time_s)
    source.close()
    return frames


def test_video_keeps_uneven_times_and_one_size(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV: pip install 'pellucid[video]'")
    sink = VideoSink(tmp_path / "out.mp4")
    times = [0.0, 0.033, 0.2, 0.21, 1.5]
    for index, time_s in enumerate(times):
        sink.write(Frame(grey(100) if index < 3 else grey(100, 30, 30), 50.0 + time_s, index))
    assert not (tmp_path / "out.mp4").exists()
    sink.close()
    np.testing.assert_allclose(times_of(tmp_path / "out.mp4"), times, atol=1e-4)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    with pytest.raises(FrameError, match=r"out.mp4 exists; .*--overwrite"):
        VideoSink(tmp_path / "out.mp4")
    with pytest.raises(FrameError, match="cannot read this video"):
        (tmp_path / "bad.mp4").write_bytes(b"x" * 100)
        VideoSource(tmp_path / "bad.mp4")


def test_video_without_frames_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV: pip install 'pellucid[video]'")
    VideoSink(tmp_path / "out.mp4").close()
    assert list(tmp_path.iterdir()) == []


def test_video_on_a_full_disk_plays_up_to_there(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV: pip install 'pellucid[video]'")
    sink = VideoSink(tmp_path / "out.mp4")
    for index in range(70):
        sink.write(Frame(ramp(index % 12), index / 30, index))
    real = sink._file

    class Full:
        """Takes nothing more, and cannot write the end either."""

        def mux(self, _: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            real.close()
            raise OSError(errno.ENOSPC, "No space left on device")

    sink._file = Full()
    with pytest.raises(FrameError, match="the disk is full"):
        sink.write(Frame(ramp(1), 3.0, 71))
    with pytest.raises(FrameError, match="its end is missing .the disk is full.; it plays"):
        sink.close()
    assert len(times_of(tmp_path / "out.mp4")) >= 60


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_video_past_the_largest_file_plays_up_to_there(tmp_path: Path, suffix: str) -> None:
    """FFmpeg's own writes fail, not a fake's; the system's limit stands for a full disk."""
    pytest.importorskip("av", reason="needs PyAV: pip install 'pellucid[video]'")
    resource = pytest.importorskip("resource", reason="file size limits are POSIX")
    sink = VideoSink(tmp_path / f"out{suffix}")
    rng = np.random.default_rng(0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
        with pytest.raises(FrameError, match="^the disk is full$"):
            for index in range(1000):
                noise = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
                sink.write(Frame(noise, index / 30, index))
        with contextlib.suppress(FrameError):  # the end may be missing
            sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in tmp_path.iterdir()] == [f"out{suffix}"]
    assert len(times_of(tmp_path / f"out{suffix}")) > 30


def test_a_song_with_a_cover_is_no_stream_of_frames(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV: pip install 'pellucid[video]'")
    import clips

    with pytest.raises(FrameError, match="only sound and a cover picture; expected a video"):
        VideoSource(clips.write_song(tmp_path / "a.mp3"))


def test_a_video_that_changes_its_size_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV: pip install 'pellucid[video]'")
    import clips

    source = VideoSource(clips.write_two_sizes(tmp_path / "a.ts"))
    shapes = []
    while (frame := source.read()) is not None:
        shapes.append(frame.pixels.shape)
    source.close()
    assert shapes == [(48, 64, 3)] * 20 + [(64, 96, 3)] * 20


def test_deep_pictures_are_rounded_to_8_bits(tmp_path: Path) -> None:
    """257 codes of 16 bits are one of 8: 257 k + 128 is nearer to k, 257 k + 129 to k + 1."""
    deep = np.full((8, 8, 3), 257 * 100 + 128, np.uint16)
    deep[:, 4:] += 1
    Photo(deep, {}).save(tmp_path / "a.png")
    frame = FolderSource(tmp_path, 30.0).read()
    assert frame is not None
    assert (frame.pixels[:, :4] == 100).all() and (frame.pixels[:, 4:] == 101).all()


@pytest.mark.parametrize("matrix", list(itertools.product((1, -1), (1, -1), (False, True))))
def test_videos_are_upright_and_in_their_colours(
    tmp_path: Path, matrix: tuple[int, int, bool]
) -> None:
    """All quarter turns and mirrors, against the formula of MP4's matrix."""
    pytest.importorskip("av", reason="videos need the extra `video`")
    import clips

    one, other, turned = matrix[0] << 16, matrix[1] << 16, matrix[2]
    numbers = (0, one, 0, other, 0, 0, 0, 0, 1 << 30) if turned else (one, 0, 0, 0, other)
    source = clips.write_clip(
        tmp_path / "a.mp4", [0], colour=(6, 6, 6, 1), matrix=(*numbers, 0, 0, 0, 1 << 30)[:9]
    )
    frame = VideoSource(source).read()
    assert frame is not None
    y, x = np.mgrid[:48, :64]
    shown_x = numbers[0] * x + numbers[3] * y
    shown_y = numbers[1] * x + numbers[4] * y
    shown_x, shown_y = ((v - v.min()) >> 16 for v in (shown_x, shown_y))
    expected = np.zeros((shown_y.max() + 1, shown_x.max() + 1, 3))
    expected[shown_y, shown_x] = clips.picture(0, 64, 48)
    assert frame.pixels.shape == expected.shape
    assert np.abs(frame.pixels - expected).mean() < 2.5


@pytest.mark.parametrize("colour", [(1, 1, 1, 1), (6, 6, 6, 1), (9, 14, 9, 1), (1, 1, 1, 2)])
def test_a_video_that_is_only_passed_on_keeps_colours_and_tags(
    tmp_path: Path, colour: tuple[int, int, int, int]
) -> None:
    pytest.importorskip("av", reason="videos need the extra `video`")
    import clips

    from pellucid.video.probe import probe

    source = VideoSource(clips.write_clip(tmp_path / "a.mp4", [0, 512], colour=colour))
    sink = VideoSink(tmp_path / "o:1.mp4", quality=5, picture=source.picture)
    while (frame := source.read()) is not None:
        sink.write(frame)
    sink.close()
    track = probe(tmp_path / "o:1.mp4").tracks[0]
    assert (track.primaries, track.transfer, track.space, track.colour_range) == (*colour[:3], 1)
    a, b = (clips.shown_by_ffmpeg(tmp_path / name)[1] for name in ("a.mp4", "o:1.mp4"))
    assert np.abs(a.astype(int) - b).mean() < 2.0
