"""`pellucid eval` on sets whose figures are known in closed form; the demo; the sheets."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pellucid import PellucidError, Photo, Restorer, read_photo
from pellucid_apps import demo
from pellucid_apps.compare import before_after, displayable
from pellucid_apps.evaluate import check_writable, measure, write_reports


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """One pair whose input is 0.1 darker everywhere: 20 dB."""
    for part, value in (("input", 102), ("target", 127.5)):
        (tmp_path / "grey" / part).mkdir(parents=True)
        pixels = np.full((24, 32, 3), round(value), np.uint16) * 257
        Photo(pixels, {}).save(tmp_path / "grey" / part / "x.png")
    (tmp_path / "noisy" / "target").mkdir(parents=True)
    flat = Photo(np.full((64, 64, 3), 128, np.uint8), {})
    flat.save(tmp_path / "noisy" / "target" / "y.png")
    (tmp_path / "noisy" / "set.json").write_text('{"task": "denoise", "protocol": "noise, RGB"}')
    return tmp_path


def test_identity_has_the_closed_form_figures(
    sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = measure(sets, None, 25.0, clean=False, keep_pictures=False)
    grey, noisy = report.sets
    assert grey.name == "grey-dev" and noisy.name == "noisy-dev s25"
    expected = -20 * np.log10((128 - 102) / 255)
    assert grey.means["psnr_in"] == pytest.approx(expected, abs=1e-6)
    assert grey.means["psnr_out"] == grey.means["psnr_in"]
    assert noisy.means["psnr_in"] == pytest.approx(20 * np.log10(255 / 25), abs=0.1)
    assert "grey-dev" in capsys.readouterr().out


def test_clean_in_measures_harm(sets: Path) -> None:
    report = measure(sets, None, 25.0, clean=True, keep_pictures=False)
    assert [s.means["psnr_out"] for s in report.sets] == [100.0, 100.0]
    assert all(s.name.endswith("(clean in)") for s in report.sets)


def test_reports_agree_with_each_other(sets: Path, model_file: Path, tmp_path: Path) -> None:
    report = measure(sets, Restorer(model_file), 25.0, clean=False, keep_pictures=True)
    paths = tmp_path / "r.json", tmp_path / "r.csv", tmp_path / "r.html"
    write_reports(report, *paths)
    told = json.loads(paths[0].read_text())
    rows = list(csv.DictReader(paths[1].read_text().splitlines()))
    assert [r["name"] for r in rows] == ["x", "y"]
    for told_set, row in zip(told["sets"], rows, strict=True):
        assert float(row["psnr_out"]) == pytest.approx(told_set["means"]["psnr_out"])
    page = paths[2].read_text()
    assert page.count('class="pair"') == 2 and "http" not in page.replace("http-equiv", "")


def test_demo_restores_every_bundled_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.run(tmp_path / "out", steps=1)
    told = capsys.readouterr().out
    for task in ("rain", "lowlight", "haze", "snow", "blur", "noise"):
        assert f"{task}.png" in told
        assert read_photo(tmp_path / "out" / f"{task}.png").pixels.shape == (320, 480, 3)
    assert str(tmp_path / "out" / "before-after.jpg") in told
    assert read_photo(tmp_path / "out" / "before-after.jpg").pixels.shape[1] > 1500


@pytest.mark.parametrize(("orientation", "wider"), [(1, True), (6, False)])
def test_sheets_show_photos_upright(orientation: int, wider: bool) -> None:
    photo = np.zeros((60, 100, 3), np.uint8)
    sheet = read_photo(before_after(photo, photo, orientation)).pixels
    assert (sheet.shape[1] > 2 * sheet.shape[0]) == wider


def test_every_kind_of_picture_can_be_shown() -> None:
    assert displayable(np.full((2, 2), 65535, np.uint16)).tolist() == [[[255] * 3] * 2] * 2
    clear = np.zeros((1, 1, 4), np.float32)
    assert displayable(clear).tolist() == [[[255] * 3]], "transparent is paper white"


def test_reports_that_cannot_be_written_are_refused_first(tmp_path: Path) -> None:
    check_writable(None, tmp_path / "r.json")
    for path in (tmp_path, tmp_path / "none" / "r.json"):
        with pytest.raises(PellucidError, match="cannot be written"):
            check_writable(path)
