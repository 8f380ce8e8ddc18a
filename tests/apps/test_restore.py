"""`pellucid restore` as people run it: exit codes, every bad input, nothing half done."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pellucid import Photo, Restorer, read_photo
from pellucid_apps.cli import app
from pellucid_apps.restore.command import Job, Options, plan_jobs, run_jobs
from pellucid_apps.restore.compare import as_large_as_shown


def picture(seed: int = 0, height: int = 20, width: int = 30) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return Photo(pixels, {})


def pellucid(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pellucid_apps", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"},
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.jpg", "trip/c.png")):
        picture(index).save(folder / name)
    return folder


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_folder_in_folder_out(photos: Path, model_file: Path, tmp_path: Path) -> None:
    done = pellucid("restore", photos, "-o", tmp_path / "out", "-m", model_file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 restored, 0 failed" in done.stdout
    assert files(tmp_path / "out") == ["a.png", "b.jpg"]
    expected = Restorer(model_file)(photos / "a.png").pixels
    assert np.array_equal(read_photo(tmp_path / "out" / "a.png").pixels, expected)


def test_earlier_results_inside_the_input_are_no_input(photos: Path) -> None:
    out = photos / "out"
    for job in plan_jobs([str(photos)], out, True):
        job.target.parent.mkdir(parents=True, exist_ok=True)
        job.target.write_bytes(job.source.read_bytes())
    again = plan_jobs([str(photos)], out, True)
    places = [job.source.relative_to(photos).as_posix() for job in again]
    assert places == ["a.png", "b.jpg", "trip/c.png"]
    assert len(plan_jobs([str(out)], out, True)) == 3, "named itself, it is input"


def test_photos_of_other_kinds_are_named(photos: Path, model_file: Path, tmp_path: Path) -> None:
    for name in ("1.HEIC", "2.heic", "3.heic", "4.heic", "x.gif", "trip/r.NEF", "notes.txt"):
        (photos / name).write_bytes(b"?")
    options = ["-o", str(tmp_path / "out"), "-m", str(model_file), "--overwrite"]
    done = CliRunner().invoke(app, ["restore", str(photos), *options])
    assert done.exit_code == 0, done.output
    expected = "not read: 1 GIF (x.gif), 4 HEIC (1.HEIC, 2.heic, 3.heic, ...); export them"
    assert expected in done.output and "NEF" not in done.output
    told = json.loads(
        CliRunner().invoke(app, ["restore", str(photos), *options, "-r", "--json"]).stdout
    )
    assert len(told["unread"]) == 6 and str(photos / "trip" / "r.NEF") in told["unread"]
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "p.heic").write_bytes(b"?")
    with pytest.raises(typer.BadParameter, match=r"1 HEIC \(p.heic\)"):
        plan_jobs([str(tmp_path / "phone")], tmp_path / "out", False)


def test_recursive_mirrors_the_tree_and_compare_adds_sheets(
    photos: Path, model_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("-o", out, "-m", model_file, "-r", "--compare")
    assert pellucid("restore", photos, *options, cwd=tmp_path).returncode == 0
    assert files(out) == [
        "a.png",
        "a_compare.jpg",
        "b.jpg",
        "b_compare.jpg",
        "trip/c.png",
        "trip/c_compare.jpg",
    ]
    sheet = read_photo(out / "a_compare.jpg").pixels
    assert sheet.shape[1] > 2 * 30


def test_bad_inputs_get_a_line_each_and_the_rest_goes_on(
    photos: Path, model_file: Path, tmp_path: Path
) -> None:
    whole = (photos / "b.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.png").write_bytes(b"")
    (photos / "text.jpg").write_text("not a picture")
    out = tmp_path / "out"
    arguments = ("restore", photos, "missing.jpg", "-o", out, "-m", model_file)
    done = pellucid(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "2 restored, 4 failed" in done.stdout
    for told in ("cut.jpg", "empty.png: the file is empty", "text.jpg: not a picture", "missing"):
        assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert files(out) == ["a.png", "b.jpg"]


def test_existing_results_are_kept_unless_asked(
    photos: Path, model_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.png"
    out.write_bytes(b"precious")
    arguments = ("restore", photos / "a.png", "-o", out, "-m", model_file)
    refused = pellucid(*arguments, cwd=tmp_path)
    assert refused.returncode == 1 and "use --overwrite" in refused.stderr
    assert out.read_bytes() == b"precious"
    assert pellucid(*arguments, "--overwrite", cwd=tmp_path).returncode == 0
    assert read_photo(out).pixels.shape == (20, 30, 3)


def test_the_input_itself_needs_overwrite(photos: Path, model_file: Path, tmp_path: Path) -> None:
    before = (photos / "a.png").read_bytes()
    done = pellucid("restore", photos / "a.png", "-o", photos, "-m", model_file, cwd=tmp_path)
    assert done.returncode == 1
    assert (photos / "a.png").read_bytes() == before


def test_json_report(photos: Path, model_file: Path, tmp_path: Path) -> None:
    arguments = ("restore", "photos/*.png", "no.png", "-o", "out", "-m", model_file, "--json")
    done = pellucid(*arguments, cwd=tmp_path)
    told = json.loads(done.stdout)
    assert (told["restored"], told["failed"]) == (1, 1)
    assert told["files"][0]["size"] == "30x20"
    assert "no such file" in told["files"][1]["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore", "photos"),  # no -o
        ("restore", "photos", "-o", "out", "--strength", "2"),
        ("restore", "photos", "-o", "out", "--steps", "9"),
        ("restore", "photos", "-o", "out", "-m", "tinny"),
        ("restore", "photos", "-o", "one.png"),  # two pictures into one file
        ("restore", "photos/trip/none*", "-o", "out"),
        ("nonsense",),
    ],
)
def test_wrong_usage_is_2_and_writes_nothing(
    photos: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = pellucid(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and done.stderr.strip()
    assert files(tmp_path) == ["photos/a.png", "photos/b.jpg", "photos/trip/c.png"]


def test_two_inputs_never_share_a_result(photos: Path, model_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    picture(9).save(other / "a.png")
    jobs = plan_jobs([str(photos / "a.png"), str(other / "a.png")], tmp_path / "out", False)
    results = run_jobs(jobs, Restorer(model_file), Options(overwrite=True), quiet=True)
    assert [r.error is None for r in results] == [True, False]
    assert "would replace" in str(results[1].error)


def test_unwritable_output_is_one_line(photos: Path, model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "block").write_text("a file, where a folder is wanted")
    job = Job(photos / "a.png", tmp_path / "block" / "deep" / "a.png")
    (result,) = run_jobs([job], Restorer(model_file), Options(), quiet=True)
    assert result.error is not None and "cannot make folder" in result.error


def test_strength_zero_keeps_the_pixels(photos: Path, model_file: Path, tmp_path: Path) -> None:
    jobs = plan_jobs([str(photos / "a.png")], tmp_path / "x.png", False)
    run_jobs(jobs, Restorer(model_file), Options(strength=0.0), quiet=True)
    assert np.array_equal(read_photo(tmp_path / "x.png").pixels, picture(0).pixels)


def test_interruption_says_so_and_leaves_nothing(
    photos: Path,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from pellucid_apps import cli

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)  # the temporary file is there by now
    arguments = ["pellucid", "restore", photos / "a.png", "-o", tmp_path / "o", "-m", model_file]
    monkeypatch.setattr(sys, "argv", [str(a) for a in arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 130
    assert "interrupted; no partial file was left" in capsys.readouterr().err
    assert files(tmp_path / "o") == []


def test_sheets_neither_collide_nor_replace(photos: Path, model_file: Path, tmp_path: Path) -> None:
    picture(5).save(photos / "a.jpg")
    out = tmp_path / "out"
    out.mkdir()
    (out / "b_compare.jpg").write_bytes(b"my own")
    jobs = plan_jobs([str(photos)], out, False)
    results = run_jobs(jobs, Restorer(model_file), Options(compare=True), quiet=True)
    told = {Path(r.source).name: str(r.error) for r in results}
    assert "a_compare.jpg would replace" in told["a.png"] and told["a.jpg"] == "None"
    assert "use --overwrite" in told["b.jpg"]
    assert (out / "b_compare.jpg").read_bytes() == b"my own"


def test_a_name_that_is_too_long_fails_alone(
    photos: Path, model_file: Path, tmp_path: Path
) -> None:
    jobs = plan_jobs(["x" * 300 + ".png", str(photos / "a.png")], tmp_path / "out", False)
    results = run_jobs(jobs, Restorer(model_file), Options(), quiet=True)
    assert [r.error is None for r in results] == [False, True]
    assert "too long" in str(results[0].error)


@pytest.mark.slow
def test_a_sheet_that_cannot_be_made_does_not_cost_the_photo(
    model_file: Path, tmp_path: Path
) -> None:
    picture(1, height=900, width=40_000).save(tmp_path / "wide.png")
    jobs = plan_jobs([str(tmp_path / "wide.png")], tmp_path / "out", False)
    options = Options(compare=True, strength=0.0)
    (result,) = run_jobs(jobs, Restorer(model_file), options, quiet=True)
    assert result.error is None and "too large for JPEG" in result.notes[-1]
    assert files(tmp_path / "out") == ["wide.png"]


@pytest.mark.parametrize(
    ("shape", "kept"), [((1800, 3600, 3), (900, 1800, 3)), ((90, 60), (90, 60))]
)
def test_a_sheet_needs_no_second_photo_of_full_size(
    shape: tuple[int, ...], kept: tuple[int, ...]
) -> None:
    photo = np.full(shape, 70, np.uint8)
    before = as_large_as_shown(photo)
    photo[:] = 0
    assert before.shape == kept and (before == 70).all()
