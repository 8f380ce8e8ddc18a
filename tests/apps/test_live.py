"""`pellucid live` from end to end, with a tiny model, raw frames and folders."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from pellucid import ModelError, Restorer
from pellucid.frames import FrameError, Rung, SystemClock
from pellucid.frames.frame import Picture, Pixels
from pellucid.frames.network import NetworkRestorer, open_pass, rank_models
from pellucid.scene import measure_scene
from pellucid.steps import Scene
from pellucid_apps import cli
from pellucid_apps.live import ports as live_ports
from pellucid_apps.live.ports import check_unlike, open_sink, open_source

ROOT = Path(__file__).parents[2]


def run(arguments: list[str], data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    folders = os.pathsep.join(str(ROOT / name) for name in ("runtime", "apps", "export"))
    paths = os.pathsep.join([folders, str(ROOT / "student"), str(ROOT / "teacher")])
    return subprocess.run(
        [sys.executable, "-m", "pellucid_apps", "live", *arguments],
        input=data,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": paths},
        timeout=120,
    )


def write_pictures(folder: Path, count: int = 3) -> list[Pixels]:
    folder.mkdir()
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (60, 80, 3), dtype=np.uint8) for _ in range(count)]
    for index, picture in enumerate(pictures):
        (folder / f"{index}.png").write_bytes(
            np.asarray(cv2.imencode(".png", picture)[1]).tobytes()
        )
    return [picture[..., ::-1] for picture in pictures]


def test_every_picture_of_a_folder_arrives(model_file: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in")
    done = run(
        [str(tmp_path / "in"), "--sink", str(tmp_path / "out"), "--every-frame", "--budget-ms"]
        + ["10000", "-m", str(model_file), "--threads", "1"]
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"3 frames shown, 0 left out, 0.0 % over budget" in done.stderr
    assert done.stdout == b""
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["000000.png", "000001.png", "000002.png"]
    first = cv2.imdecode(
        np.frombuffer((tmp_path / "out" / names[0]).read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB
    )
    expected = open_pass(str(model_file), 1, 1).run_frame(
        np.ascontiguousarray(pictures[0]), measure_scene(pictures[0])
    )
    np.testing.assert_array_equal(np.asarray(first), expected)


def test_raw_frames_through_a_pipe_untouched_at_strength_0(model_file: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, 5 * 32 * 24 * 3, dtype=np.uint8).tobytes()
    arguments = ["-", "--size", "32x24", "--sink", "-", "--every-frame", "--strength", "0"]
    done = run([*arguments, "-m", str(model_file)], data)
    assert done.returncode == 0 and done.stdout == data
    cut = run([*arguments, "-m", str(model_file)], data[:-1])
    assert cut.returncode == 1 and len(cut.stdout) == 4 * 32 * 24 * 3
    assert b"error: the last frame is cut off" in cut.stderr and b"Traceback" not in cut.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-"], "add --size WIDTHxHEIGHT"),
        (["none.mp4", "--sink", "-"], "none.mp4: no such file or folder"),
        (["0", "-m", "tinny", "--sink", "-"], "did you mean 'tiny'?"),
        (["-", "--size", "3x3", "--sink", "out.gif"], "expected window, page, camera, -"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["pellucid", "live", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    line = capsys.readouterr().err
    assert end.value.code == 2 and line.startswith("error: ") and line.count("\n") == 1
    assert told in line


def test_list_says_what_there_is() -> None:
    listed = run(["--list"])
    assert listed.returncode == 0 and (listed.stdout or b"no camera is there" in listed.stderr)


def test_sources_and_sinks_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    monkeypatch.setattr(live_ports, "CameraSource", lambda index, *_: opened.append(index))
    open_source("3", SystemClock(), None, 30.0, False)
    assert opened == [3]
    write_pictures(tmp_path / "in")
    clock = SystemClock()
    assert open_source(str(tmp_path / "in"), clock, None, 30.0, False).live
    assert not open_source(str(tmp_path / "in"), clock, None, 30.0, True).live
    assert open_sink("-", 30.0, False, Picture()).name == "standard output"
    assert not (tmp_path / "new").exists()
    assert open_sink(str(tmp_path / "new"), 30.0, False, Picture()).name == str(tmp_path / "new")


def test_source_and_sinks_must_differ(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(FrameError, match="both source and sink"):
        check_unlike(str(tmp_path / "a.mp4"), [str(tmp_path / "a.mp4")])
    with pytest.raises(FrameError, match="named twice"):
        check_unlike("0", ["page", "page"])
    check_unlike("-", ["-", "page"])


class Unchanged:
    """A pass that changes nothing and remembers what it was asked."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self.expected: list[tuple[int, int] | None] = []

    def run_frame(self, frame: Pixels, scene: Scene | None, state: Pixels | None = None) -> Pixels:
        self.sizes.append(frame.shape)
        return frame

    def expect_frames(self, size: tuple[int, int] | None = None) -> None:
        self.expected.append(size)


def test_a_reduced_pass_runs_the_network_small() -> None:
    network = Unchanged()
    restorer = NetworkRestorer(lambda model, steps: network)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 128, 3), dtype=np.uint8)
    for shrink in (1, 2, 4):
        out = restorer(pixels, measure_scene(pixels), Rung("any", 1, shrink, 1.0), anew=True).pixels
        np.testing.assert_array_equal(out, pixels)
    assert network.sizes == [(90, 128, 3), (45, 64, 3), (22, 32, 3)]


def test_what_a_rung_will_need_is_told_ahead_and_once() -> None:
    photos, frames = Unchanged(), Unchanged()
    restorer = NetworkRestorer(lambda model, steps: photos, lambda model: frames)
    half, twice = Rung("any", 1, 2, 1.0), Rung("any", 2, 1, 1.0)
    restorer.expect((90, 128), half)  # nothing is open yet: the first frame will ask for itself
    assert not photos.expected and not frames.expected
    restorer.prepare("any", 1)
    restorer.prepare("any", 2)
    for _ in range(3):
        restorer.expect((90, 128), half)
        restorer.expect((90, 128), twice)  # no chain: several steps start from the frame alone
    assert frames.expected == [None, (45, 64)] and photos.expected == [None, None, (90, 128)]


def test_frames_and_photos_are_restored_alike() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    for engine in ("auto", *(["openvino"] if find_spec("openvino") else [])):
        frame = open_pass("tiny", 1, 1, engine).run_frame(pixels, measure_scene(pixels))
        assert np.abs(frame.astype(int) - Restorer(threads=1)(pixels)).max() <= 1
    names, costs = zip(*rank_models("tiny"), strict=True)
    assert names == ("tiny", "nano", "pico") and 3 * costs[2] < costs[1] < costs[0]
    assert [name for name, _ in rank_models("pico")] == ["pico"]
    with pytest.raises(ModelError, match="no such model file"):
        open_pass("gone.onnx", 1)


def started(arguments: list[str]) -> "subprocess.Popen[bytes]":
    folders = os.pathsep.join(str(ROOT / n) for n in ("runtime", "apps", "export", "student"))
    return subprocess.Popen(
        [sys.executable, "-m", "pellucid_apps", "live", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{folders}{os.pathsep}{ROOT / 'teacher'}"},
    )


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has other signals")
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SIGTERM", 143),
        pytest.param("SIGINT", 130, marks=pytest.mark.slow),
        pytest.param("SIGHUP", 143, marks=pytest.mark.slow),
    ],
)
def test_a_signal_while_the_source_stalls_leaves_a_file_that_plays(
    name: str, code: int, model_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("av", reason="videos need the extra `video`")
    import clips

    target = tmp_path / "o.mp4"
    program = started(
        ["-", "--size", "32x24", "--sink", str(target), "--sink", "-", "--every-frame"]
        + ["--strength", "0", "-m", str(model_file)]
    )
    assert program.stdin is not None and program.stdout is not None
    program.stdin.write(bytes(4 * 32 * 24 * 3) + b"and a bit")
    program.stdin.flush()
    assert len(program.stdout.read(4 * 32 * 24 * 3)) == 4 * 32 * 24 * 3  # all arrived; it waits
    program.send_signal(getattr(signal, name))
    with program:  # its standard input stays open until it has ended
        assert program.wait(60) == code
        assert program.stderr is not None
        told = program.stderr.read()
    assert b"frames shown" in told and b"Fatal" not in told and b"Traceback" not in told
    assert b"no partial file" not in told
    assert len(clips.frames(target)) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("colour", "turned"),
    [((1, 1, 1, 1), False), ((6, 6, 6, 1), True), ((1, 1, 1, 2), True), ((9, 14, 9, 1), False)],
)
def test_live_writes_what_restore_writes(
    model_file: Path, tmp_path: Path, colour: tuple[int, int, int, int], turned: bool
) -> None:
    """Colours, range and the way up of a video are those of `restore`, and both are FFmpeg's."""
    pytest.importorskip("av", reason="videos need the extra `video`")
    import clips

    matrix = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30) if turned else None
    source = clips.write_clip(
        tmp_path / "a.mp4", range(0, 512 * 5, 512), colour=colour, matrix=matrix
    )
    options = ["--strength", "0", "-m", str(model_file), "--threads", "1"]
    live, restored = tmp_path / "live.mp4", tmp_path / "restored.mp4"
    done = run([str(source), "--sink", str(live), "--every-frame", *options])
    assert done.returncode == 0, done.stderr.decode()
    ended = CliRunner().invoke(cli.app, ["restore", str(source), "-o", str(restored), *options])
    assert ended.exit_code == 0, ended.output
    quarter = 1 if turned else 0  # live turns the pixels, restore leaves that to the player
    for theirs, ours in zip(
        clips.shown_by_ffmpeg(restored), clips.shown_by_ffmpeg(live), strict=True
    ):
        upright = min(
            (np.rot90(theirs, k) for k in (quarter, -quarter)),
            key=lambda t: np.abs(t.astype(int) - ours).mean(),
        )
        # The codec's own loss at live's quality is 3; a wrong matrix adds over 4, a wrong turn 40.
        assert np.abs(upright.astype(int) - ours).mean() < 4.0
