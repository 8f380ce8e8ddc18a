"""`pellucid restore` as people run it: exit codes, every bad input, nothing half done."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pellucid import Photo, Restorer, read_photo
from pellucid_apps.__main__ import main
from pellucid_apps.cli import app
from pellucid_apps.restore import find
from pellucid_apps.restore.command import Options, plan_jobs, run_jobs
from pellucid_apps.restore.compare import as_large_as_shown
from pellucid_apps.restore.plan import Job


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


def test_what_is_passed_over_is_named(
    photos: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1.HEIC", "2.heic", "3.heic", "4.heic"):
        (photos / name).write_bytes(bytes(4) + b"ftypheic" + bytes(40))
    for name in ("x.gif", "trip/r.gif"):
        (photos / name).write_bytes(b"GIF89a" + bytes(40))
    (photos / "notes.txt").write_bytes(b"?")
    monkeypatch.setattr(find, "find_spec", lambda name: None)  # pi-heif is absent
    options = ["-o", str(tmp_path / "out"), "-m", str(model_file), "--overwrite"]
    done = CliRunner().invoke(app, ["restore", str(photos), *options])
    assert done.exit_code == 0, done.output
    expected = (
        "passed over: 1 GIF (x.gif), 4 HEIC (1.HEIC, 2.heic, 3.heic, ...), 1 other (notes.txt)"
    )
    assert expected in done.output and "pip install 'pellucid[heic]'" in done.output
    told = json.loads(
        CliRunner().invoke(app, ["restore", str(photos), *options, "-r", "--json"]).stdout
    )
    assert len(told["passed_over"]) == 7 and str(photos / "trip" / "r.gif") in told["passed_over"]
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "p.gif").write_bytes(b"GIF89a")
    with pytest.raises(typer.BadParameter, match=r"1 GIF \(p.gif\)"):
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
    for told in (
        "cut.jpg",
        "empty.png: the file is empty",
        "text.jpg: not a picture",
        "missing.jpg",
    ):
        assert done.stderr.count(told) == 1, "each failure is told once"
    assert len(done.stderr.splitlines()) == 4, "in one line"
    assert "Traceback" not in done.stderr
    assert files(out) == ["a.png", "b.jpg"]


def test_running_again_goes_on_and_replaces_only_if_asked(
    photos: Path, model_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.png"
    out.write_bytes(b"precious")
    arguments = ("restore", photos / "a.png", "-o", out, "-m", model_file)
    again = pellucid(*arguments, cwd=tmp_path)
    assert again.returncode == 0 and "0 restored, 1 already done, 0 failed" in again.stdout
    assert "--overwrite" in again.stdout and out.read_bytes() == b"precious"
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
    photos: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pellucid", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "Traceback" not in (errors := capsys.readouterr().err) and errors.strip()
    assert files(tmp_path) == ["photos/a.png", "photos/b.jpg", "photos/trip/c.png"]


def names(inputs: Sequence[Path], out: Path, recursive: bool = False) -> list[str]:
    jobs = plan_jobs([str(path) for path in inputs], out, recursive)
    return [job.target.relative_to(out).as_posix() for job in jobs]


def test_two_inputs_never_share_a_result(photos: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "other", tmp_path / "out"
    other.mkdir()
    for name in ("a.png", "c.jpg"):
        picture(9).save(other / name)
    assert names([photos / "a.png", other / "a.png"], out) == ["photos/a.png", "other/a.png"]
    assert names([photos, other], out) == ["photos/a.png", "b.jpg", "other/a.png", "c.jpg"]
    assert names([photos / "a.png", photos / "a.png"], out) == ["a.png"], "one photo, named twice"
    (photos / "c.png").write_bytes((other / "c.jpg").read_bytes())
    assert names([photos / "c.png", other / "c.jpg"], out) == ["c.jpg", "other/c.jpg"]


def test_content_decides_the_format_and_the_name(
    photos: Path, model_file: Path, tmp_path: Path
) -> None:
    (photos / "a.png").rename(photos / "really_png.jpg")
    jpeg = (photos / "b.jpg").read_bytes()
    for name in ("b.HEIC", "download.jfif", "scan.jpe", "without", "page.html"):
        (photos / name).write_bytes(jpeg)
    (photos / "b.jpg").unlink()
    out = tmp_path / "out"
    expected = [
        "b.jpg",
        "download.jfif",
        "page.html.jpg",
        "really_png.png",
        "scan.jpe",
        "without.jpg",
    ]
    assert names([photos], out) == expected
    done = pellucid("restore", photos, "-o", out, "-m", model_file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files(out) == expected
    assert (out / "really_png.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("suffix", [".jxl", ".heic", ".gif", ".NEF"])
def test_a_result_is_not_written_into_a_folder_named_like_a_picture(
    photos: Path, suffix: str
) -> None:
    with pytest.raises(typer.BadParameter, match=f"cannot write {suffix.lower()}; use .jpg"):
        plan_jobs([str(photos)], photos.parent / f"x{suffix}", False)


def test_hidden_and_foreign_folders_are_left_out(photos: Path, tmp_path: Path) -> None:
    for folder in (".hidden", ".thumbnails", ".dtrash", "@eaDir", "trip/.deep"):
        (photos / folder).mkdir()
        picture().save(photos / folder / "x.png")
    assert names([photos], tmp_path / "out", True) == ["a.png", "b.jpg", "trip/c.png"]
    assert names([photos / ".hidden"], tmp_path / "out") == ["x.png"], "named itself, it is input"


def test_folders_without_pictures_hint_at_subfolders(photos: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg"):
        (photos / name).unlink()
    with pytest.raises(typer.BadParameter, match="in its subfolders: add -r"):
        plan_jobs([str(photos)], tmp_path / "out", False)


def test_a_pattern_that_matches_nothing_gets_no_hint(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        plan_jobs([str(photos / "x*.jpg")], tmp_path / "out", False)
    assert "subfolders" not in str(refused.value)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such files")
def test_pipes_are_refused_and_links_to_nowhere_fail(photos: Path, tmp_path: Path) -> None:
    os.mkfifo(photos / "pipe.jpg")
    os.symlink("nowhere", photos / "lost.jpg")
    assert names([photos], tmp_path / "out") == ["a.png", "b.jpg", "lost.jpg"]
    with pytest.raises(typer.BadParameter, match="is a pipe"):
        plan_jobs([str(photos / "pipe.jpg")], tmp_path / "out", False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
@pytest.mark.parametrize("out", ["-", "out"])
def test_a_full_disk_behind_standard_output_is_one_line(
    photos: Path, model_file: Path, tmp_path: Path, out: str
) -> None:
    command = [sys.executable, "-m", "pellucid", "restore", "photos/a.png", "-m", str(model_file)]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*command, "-o", out], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1
    assert b"cannot write to standard output" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf8_is_restored(
    photos: Path, model_file: Path, tmp_path: Path
) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (photos / "a.png").rename(photos / name)
    out = tmp_path / "out"
    done = pellucid("restore", photos, "-o", out, "-m", model_file, cwd=tmp_path)
    assert done.returncode == 0 and "2 restored, 0 failed" in done.stdout, done.stderr
    assert (out / name).is_file()
    arguments = (
        "restore",
        photos / name,
        "missing\udce9.jpg",
        "-o",
        out,
        "-m",
        model_file,
        "--json",
    )
    told = json.loads(pellucid(*arguments, cwd=tmp_path).stdout)
    assert (told["already_done"], told["failed"]) == (1, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_closed_streams_cost_nothing(photos: Path, model_file: Path, tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m pellucid restore photos -o out -m {model_file} >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False)
    assert done.returncode == 0 and files(tmp_path / "out") == ["a.png", "b.jpg"]
    expected = Restorer(model_file)(photos / "a.png").pixels
    assert np.array_equal(read_photo(tmp_path / "out" / "a.png").pixels, expected)


def test_standard_input_and_output(photos: Path, model_file: Path, tmp_path: Path) -> None:
    expected = Restorer(model_file)(photos / "a.png").pixels
    command = [sys.executable, "-m", "pellucid", "restore", "-", "-m", str(model_file), "-o"]
    given = (photos / "a.png").read_bytes()
    through = subprocess.run([*command, "-"], input=given, capture_output=True, check=True)
    assert np.array_equal(read_photo(through.stdout).pixels, expected) and through.stderr == b""
    out = tmp_path / "x.png"
    subprocess.run([*command, str(out)], input=given, capture_output=True, check=True)
    assert np.array_equal(read_photo(out).pixels, expected)
    wrong = subprocess.run([*command, "-"], input=b"text", capture_output=True, check=False)
    assert wrong.returncode == 1 and wrong.stdout == b"" and wrong.stderr.count(b"\n") == 1


def test_help_starts_with_restore() -> None:
    told = CliRunner().invoke(app, ["--help"]).stdout
    commands = told[told.index("Commands") :]
    assert commands.split("\n")[1].split()[0] == "restore" or "restore" in commands.split("\n")[1]


@pytest.mark.parametrize("command", ["inspect", "ready"])
def test_bundled_names_are_taken(command: str) -> None:
    told = CliRunner().invoke(app, [command, "pcio"])
    assert told.exception is not None and "did you mean 'pico'" in str(told.exception)
    assert CliRunner().invoke(app, [command, "pico"]).exit_code in (0, 3)


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
    assert told["a.png"] == told["a.jpg"] == "None"
    assert {"a_jpg_compare.jpg", "a_png_compare.jpg"} <= set(files(out))
    assert "use --overwrite" in told["b.jpg"]
    assert (out / "b_compare.jpg").read_bytes() == b"my own"
    (out / "a_jpg_compare.jpg").unlink()
    results = run_jobs(jobs, Restorer(model_file), Options(compare=True), quiet=True)
    assert [r.done for r in results] == [False, True, False], "the missing sheet is made"


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
