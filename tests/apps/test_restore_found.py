"""`pellucid restore` and `eval` tell what was found, do what was chosen and leave what is good."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from pellucid import Photo, Restorer, read_photo
from pellucid.image.header import EXIF
from pellucid.video import SteadyRestorer
from pellucid_apps.cli import app
from pellucid_apps.evaluate.command import measure
from pellucid_apps.evaluate.models import open_model
from pellucid_apps.evaluate.report import write_reports


def frame(red: int, green: int) -> NDArray[np.uint8]:
    """(32, 48, 3): the told model finds red / 255 of rain and green / 255 of darkness."""
    pixels = np.broadcast_to(np.array((red, green, 120), np.uint8), (32, 48, 3)).copy()
    pixels[::2] += 2
    pixels[1::2] -= 2
    return pixels


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, red in (("good.jpg", 50), ("good.png", 50), ("rainy.png", 128)):
        Photo(frame(red, 26), {}).save(folder / name, quality=70)
    return folder


def restore(photos: Path, model: Path, *options: str) -> Result:
    out = photos.parent / "out"
    return CliRunner().invoke(
        app, ["restore", str(photos), "-o", str(out), "-m", str(model), "--overwrite", *options]
    )


def test_each_photo_is_told_and_the_good_are_copied(photos: Path, estimator_file: Path) -> None:
    done = restore(photos, estimator_file)
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if "->" in line]
    assert [line.split("  ")[0] for line in lines] == ["as is", "as is", "ok"]
    assert all("nothing found, left as it is" in line for line in lines[:2])
    assert "rain 0.5" in lines[2]
    assert "1 restored, 2 left as they are, 0 failed" in done.output
    out = photos.parent / "out"
    for name in ("good.jpg", "good.png"):
        assert (out / name).read_bytes() == (photos / name).read_bytes()
    assert np.array_equal(
        read_photo(out / "rainy.png").pixels, Restorer(estimator_file)(frame(128, 26))
    )


def with_credentials(jpeg: Path) -> bytes:
    """A JPEG's bytes with content credentials, of which a note says that a result has none."""
    data, body = jpeg.read_bytes(), b"JP\0\1\0\0\0\1\0\0\0\x20jumb"
    return data[:2] + b"\xff\xeb" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


@pytest.mark.parametrize(("name", "kept"), [("good.jpg", True), ("rainy.png", False)])
def test_only_what_is_restored_loses_its_thumbnail(
    photos: Path, estimator_file: Path, name: str, kept: bool
) -> None:
    exif = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 1, 0, 4711)
    photo = read_photo(photos / name)
    photo.metadata[EXIF] = exif
    photo.save(photos / name)
    assert restore(photos, estimator_file).exit_code == 0
    found = read_photo(photos.parent / "out" / name).metadata[EXIF]
    assert found == (exif if kept else exif[:-4] + bytes(4))


@pytest.mark.parametrize("way", ["file", "from pipe", "to pipe"])
def test_what_is_left_is_copied_by_every_way_and_nothing_is_called_lost(
    photos: Path, estimator_file: Path, way: str
) -> None:
    source, out = photos / "good.jpg", photos / "out.jpg"
    data = with_credentials(source)
    source.write_bytes(data)
    command = ["restore", "-" if way == "from pipe" else str(source), "-m", str(estimator_file)]
    given = data if way == "from pipe" else None
    done = CliRunner().invoke(app, [*command, "-o", "-" if way == "to pipe" else str(out)], given)
    assert done.exit_code == 0 and "left as it is" in done.output and "not kept" not in done.output
    assert (done.stdout_bytes if way == "to pipe" else out.read_bytes()) == data


def test_what_is_left_is_coded_anew_in_another_format(photos: Path, estimator_file: Path) -> None:
    out = photos.parent / "good.webp"
    source = photos / "good.png"
    done = CliRunner().invoke(
        app, ["restore", str(source), "-o", str(out), "-m", str(estimator_file)]
    )
    assert done.exit_code == 0 and out.read_bytes()[8:12] == b"WEBP"
    wrong, right = photos / "wrong.png", photos.parent / "right.png"
    wrong.write_bytes((photos / "good.jpg").read_bytes())
    CliRunner().invoke(app, ["restore", str(wrong), "-o", str(right), "-m", str(estimator_file)])
    assert right.read_bytes()[1:4] == b"PNG"


def test_json_has_the_amounts(photos: Path, estimator_file: Path) -> None:
    told = json.loads(restore(photos, estimator_file, "--json").stdout)
    assert (told["restored"], told["left"], told["failed"]) == (1, 2, 0)
    good, _, rainy = told["files"]
    assert good["left"] and good["summary"] == "nothing found, left as it is"
    assert rainy["found"] == pytest.approx({"rain": 128 / 255, "lowlight": 26 / 255}, abs=1e-3)
    assert not rainy["left"] and rainy["summary"] == "rain 0.5"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--fix", "rain=0.25"], "nothing found; restoring rain 0.2"),
        (["--fix", "all"], "nothing found; restoring rain 0.2, lowlight 0.1"),
        (["--ignore", "rain"], "rain 0.5, ignored, left as it is"),
    ],
)
def test_options_choose(photos: Path, estimator_file: Path, options: list[str], told: str) -> None:
    done = restore(photos, estimator_file, *options)
    assert done.exit_code == 0 and told in done.output, done.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--fix", "fog"], "no degradation 'fog'; did you mean haze? known: rain, snow, haze"),
        (["--ignore", "rian"], "did you mean rain?"),
        (["--fix", "haze"], "fake does not know haze; it knows rain, lowlight"),
        (["--fix", "rain", "--ignore", "rain"], "rain cannot be both fixed and ignored"),
    ],
)
def test_senseless_choices_end_at_once(
    photos: Path, estimator_file: Path, options: list[str], told: str
) -> None:
    done = restore(photos, estimator_file, *options)
    assert told in str(done.exception) and not (photos.parent / "out").exists()


def test_a_model_without_estimator_says_so(photos: Path, model_file: Path) -> None:
    done = restore(photos, model_file, "--fix", "rain")
    assert "has no degradation estimator" in str(done.exception)
    told = json.loads(restore(photos, model_file, "--json").stdout)
    assert told["left"] == 0 and all(f["found"] is None for f in told["files"])


def clip(path: Path, reds: list[int]) -> Path:
    av = pytest.importorskip("av", reason="pip install 'pellucid[video]'")
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "bgr0"
        for red in reds:
            shown = av.VideoFrame.from_ndarray(frame(red, 26), format="rgb24")
            file.mux(stream.encode(shown.reformat(format="bgr0")))
        file.mux(stream.encode())
    return path


def test_videos_are_told_and_chosen(estimator_file: Path, tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", [128] * 4)

    def run(name: str, *options: str) -> dict[str, Any]:
        out = str(tmp_path / name)
        done = CliRunner().invoke(
            app, ["restore", str(source), "-o", out, "-m", str(estimator_file), "--json", *options]
        )
        assert done.exit_code == 0, done.output
        file: dict[str, Any] = json.loads(done.stdout)["files"][0]
        return file

    blind = run("blind.mkv")
    assert blind["summary"] == "rain 0.5" and not blind["left"]
    ignoring = run("ignoring.mkv", "--ignore", "rain")
    assert ignoring["left"] and ignoring["summary"] == "rain 0.5, left as it is"
    assert run("fixing.mkv", "--fix", "rain=1")["found"]["rain"] == blind["found"]["rain"]


def test_frames_that_were_left_are_counted(estimator_file: Path) -> None:
    steady = SteadyRestorer(Restorer(estimator_file, threads=1))
    for k, red in enumerate((50, 50, 250)):
        steady.restore(frame(red, 26), 10.0 * k)
    assert steady.summary.describe() == "rain 0.5; 2 of 3 frames left as they are"


def test_the_eval_page_has_what_was_found(estimator_file: Path, tmp_path: Path) -> None:
    for part in ("input", "target"):
        (tmp_path / "wet" / part).mkdir(parents=True)
        Photo(frame(128, 26), {}).save(tmp_path / "wet" / part / "a.png")
    (tmp_path / "wet" / "set.json").write_text(json.dumps({"task": "derain", "luma": False}))
    report = measure(tmp_path / "wet", open_model(str(estimator_file), (1,), 1), keep_pictures=True)
    assert [score.found for score in report.scores] == ["rain 0.5"]
    page, table = tmp_path / "page.html", tmp_path / "scores.csv"
    write_reports(report, None, table, page)
    assert "a: rain 0.5" in page.read_text() and "rain 0.5" in table.read_text()
