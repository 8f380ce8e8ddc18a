"""`pellucid restore` with a model that enlarges: alone, after restoring, and every refusal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from clips import write_clip
from typer.testing import CliRunner

from pellucid import Enlarger, Photo, Restorer, read_photo
from pellucid_apps.cli import app

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return Photo(PIXELS.copy(), {}).save(tmp_path / "a.png")


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    return done.exit_code, done.output + ("" if done.exception is None else str(done.exception))


def test_it_enlarges_alone_and_after_restoring(
    double: Path, photo: Path, model_file: Path, tmp_path: Path
) -> None:
    large = PIXELS.repeat(2, axis=0).repeat(2, axis=1)
    code, told = run("restore", photo, "-o", tmp_path / "one", "-m", double, "--scale", 2)
    assert code == 0 and "60x40 (x2)" in told
    assert np.array_equal(read_photo(tmp_path / "one" / "a.png").pixels, large)
    two = tmp_path / "two"
    code, told = run("restore", photo, "-o", two, "-m", model_file, "--enlarge", double, "--json")
    assert code == 0, told
    record = json.loads(told)["files"][0]
    assert (record["size"], record["scale"]) == ("60x40", 2)
    restored = Restorer(model_file)(PIXELS)
    assert np.array_equal(read_photo(two / "a.png").pixels, Enlarger(double)(restored))


def test_it_works_in_a_pipe(double: Path, photo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pellucid_apps", "restore", "-", "-o", "-", "-m", str(double)],
        input=photo.read_bytes(),
        capture_output=True,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert read_photo(done.stdout).pixels.shape == (40, 60, 3)


def test_what_cannot_be_is_refused_before_any_work(
    double: Path, photo: Path, model_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for arguments, reason in (
        (("-m", model_file, "--scale", 4), "keeps the size; take -m sr4"),
        (("-m", double, "--scale", 4), "makes x2"),
        (("-m", model_file, "--enlarge", model_file), "keeps the size of a picture"),
        (("-m", double, "--enlarge", double), "leave --enlarge"),
        (("-m", double, "--steps", 2), "in one step"),
        (("-m", double, "--strength", 0.5), "only enlarges"),
        (("-m", double, "--fix", "rain"), "only enlarges"),
    ):
        code, told = run("restore", photo, "-o", out, *arguments)
        assert code != 0 and reason in told, told
    assert not out.exists()


def test_too_large_results_fail_alone(
    double: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Photo(np.zeros((30, 40, 3), np.uint8), {}).save(tmp_path / "b.png")
    monkeypatch.setenv("PELLUCID_MAX_MEGAPIXELS", "0.003")
    files = photo, tmp_path / "b.png"
    code, told = run("restore", *files, "-o", tmp_path / "out", "-m", double)
    assert code == 1 and "enlarged x2, 80x60 is" in told.replace("\n", "")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]


@pytest.mark.parametrize("command", ["batch", "live", "serve"])
def test_other_commands_refuse_it(command: str, double: Path, photo: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", (0, 512))
    given = {
        "batch": (photo.parent, tmp_path / "out"),
        "live": (clip, "--sink", tmp_path / "x.mkv"),
    }
    code, told = run(command, *given.get(command, ()), "-m", double)
    assert code != 0 and "times as large" in told.replace("\n", " "), told


def test_videos_among_the_photos_fail_alone(double: Path, photo: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", (0, 512))
    code, told = run("restore", photo, clip, "-o", tmp_path / "out", "-m", double)
    assert code == 1 and "not enlarged; leave it out" in told.replace("\n", "")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]


def test_inspect_counts_work_by_the_result(double: Path) -> None:
    model = onnx.load(double)
    card = json.loads(model.metadata_props[0].value) | {"macs_per_pixel": 4000.0}
    model.metadata_props[0].value = json.dumps(card)
    onnx.save(model, double)
    code, told = run("inspect", double)
    assert code == 0 and "2 times as large" in told
    assert "0.9 G at 1280x720" in told and "of the result" in told
