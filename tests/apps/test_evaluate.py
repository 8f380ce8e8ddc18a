"""`pellucid eval` on sets whose figures are known in closed form; the demo; the sheets."""

import csv
import importlib.util
import json
from importlib.machinery import ModuleSpec
from pathlib import Path

import cv2
import html5lib
import numpy as np
import onnx
import pytest
from fakes import doubling_model
from typer.testing import CliRunner

from pellucid import PellucidError, Photo, Restorer, read_photo
from pellucid_apps import demo
from pellucid_apps.cli import app
from pellucid_apps.evaluate.command import Protocol, equalise_channels, measure
from pellucid_apps.evaluate.models import Subject, open_model, parse_steps
from pellucid_apps.evaluate.perceptual import open_st_lpips
from pellucid_apps.evaluate.report import check_writable, write_reports
from pellucid_apps.restore.compare import before_after, displayable
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.weights import Provenance, save_student


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
    report = measure(sets)
    grey, noisy = report.sets
    assert grey.name == "grey-dev" and noisy.name == "noisy-dev s25"
    expected = -20 * np.log10((128 - 102) / 255)
    assert grey.means["psnr_in"] == pytest.approx(expected, abs=1e-6)
    assert grey.means["psnr_out"] == grey.means["psnr_in"]
    assert noisy.means["psnr_in"] == pytest.approx(20 * np.log10(255 / 25), abs=0.1)
    assert "grey-dev" in capsys.readouterr().out


def test_enlargers_are_measured_beside_bicubic(sets: Path, tmp_path: Path) -> None:
    """On what changes size and on nothing else, without the protocol's border."""
    home = tmp_path / "more" / "set-x2"
    small = np.random.default_rng(0).integers(60, 200, (24, 20, 3)).astype(np.uint8)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    large[:2], large[-2:] = 0, 255  # in the border
    for part, pixels in (("input", small), ("target", large)):
        (home / part).mkdir(parents=True)
        Photo(pixels, {}).save(home / part / "x.png")
    told = {"task": "sr-x2", "protocol": "BT.601 luma, 2-pixel border cropped"}
    (home / "set.json").write_text(json.dumps(told))
    onnx.save(doubling_model(), tmp_path / "double.onnx")
    subject = open_model(str(tmp_path / "double.onnx"), (1,), 1)
    figures = measure(home, subject).sets[0]
    assert figures.headline == "y" and figures.means["psnr_out"] == 100.0
    assert figures.means["psnr_y_in"] < 40.0
    assert measure(home).sets[0].means["psnr_in"] == figures.means["psnr_in"]
    assert "makes x2" in measure(sets / "grey", subject).skipped[0]
    with pytest.raises(PellucidError, match="keep the size"):
        measure(home, subject, Protocol(clean=True))
    with pytest.raises(PellucidError, match="enlarges in one step"):
        open_model(str(tmp_path / "double.onnx"), (1, 2), 1)


def test_clean_in_measures_harm(sets: Path) -> None:
    report = measure(sets, protocol=Protocol(clean=True))
    assert [s.means["psnr_out"] for s in report.sets] == [100.0, 100.0]
    assert all(s.name.endswith("(clean in)") for s in report.sets)


def test_reports_agree_with_each_other(sets: Path, model_file: Path, tmp_path: Path) -> None:
    subject = Subject("fake <model>", ((1, None), (2, Restorer(model_file))))
    report = measure(sets, subject, keep_pictures=True)
    paths = tmp_path / "r.json", tmp_path / "r.csv", tmp_path / "r.html"
    write_reports(report, *paths)
    told = json.loads(paths[0].read_text())
    rows = list(csv.DictReader(paths[1].read_text().splitlines()))
    assert [(r["name"], r["steps"]) for r in rows] == [(n, s) for n in "xy" for s in "12"]
    for entry, row in zip(told["sets"], rows, strict=True):
        assert float(row["psnr_out"]) == pytest.approx(entry["means"]["psnr_out"])
    page = paths[2].read_text()
    assert page.count('class="pair"') == 2, "one slider a picture, of the last number of steps"
    assert f"output {report.scores[1].psnr_out:.2f} dB" in page
    assert "http" not in page, "nothing is fetched"


def test_the_page_is_valid_html_that_a_keyboard_can_use(sets: Path, tmp_path: Path) -> None:
    report = measure(sets, Subject('a "model" & <more>', ((1, None),)), keep_pictures=True)
    write_reports(report, None, None, tmp_path / "r.html")
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(
        (tmp_path / "r.html").read_text()
    )
    sliders = tree.findall(".//figure/div/input")
    assert [(s.get("type"), s.get("aria-label")) for s in sliders] == [
        ("range", "grey-dev / x: share of the input"),
        ("range", "noisy-dev s25 / y: share of the input"),
    ]
    assert tree.findtext(".//h1") == 'a "model" & <more>'
    columns = len(tree.findall(".//thead/tr/th"))
    assert [len(line) for line in tree.findall(".//tbody/tr")] == [columns, columns]


def low_light(folder: Path, input_scale: float) -> Path:
    """A low-light set whose input is its target, darkened."""
    clean = np.repeat(np.linspace(0, 1, 32 * 48).reshape(32, 48, 1), 3, axis=2)
    for part, scale in (("input", input_scale), ("target", 1.0)):
        (folder / part).mkdir(parents=True)
        codes = np.rint(clean * scale * 65535).astype(np.uint16)
        Photo(codes, {}).save(folder / part / "x.png")
    (folder / "set.json").write_text('{"task": "lowlight", "protocol": "PSNR on RGB"}')
    return folder


def test_gt_mean_stands_beside_low_light_only(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    means = measure(low_light(tmp_path / "lol", 0.5)).sets[0].means
    assert means["psnr_in"] < 15, "the plain figure stays what it is"
    assert means["psnr_gt_mean_in"] > 48, "only rounding is left of a pure exposure"
    told = capsys.readouterr().out
    assert f"{means['psnr_in']:.2f}->" in told and f"{means['psnr_gt_mean_in']:.2f}->" in told
    assert "GT-mean dB" in told
    assert "psnr_gt_mean_out" not in measure(sets / "grey").sets[0].means
    assert "GT-mean" not in capsys.readouterr().out


def test_published_deviations_are_switches(sets: Path, tmp_path: Path) -> None:
    dark = low_light(tmp_path / "lol", 0.25)
    plain, equalised = (measure(dark, protocol=Protocol(equalise=e)).sets[0] for e in (False, True))
    assert (plain.name, equalised.name) == ("lol-dev", "lol-dev (equalised)")
    assert equalised.means["psnr_in"] > plain.means["psnr_in"] + 3
    assert measure(sets / "grey", protocol=Protocol(equalise=True)).sets[0].name == "grey-dev"
    assert plain.headline == "rgb"
    assert measure(dark, protocol=Protocol(luma=True)).sets[0].headline == "y"


def test_equalised_channels_use_the_whole_range() -> None:
    flat = equalise_channels(np.linspace(0.1, 0.2, 60).reshape(4, 5, 3))
    assert flat.shape == (4, 5, 3)
    assert np.allclose(flat.min(axis=(0, 1)), 0) and np.allclose(flat.max(axis=(0, 1)), 1)


def test_steps_and_their_mistakes(model_file: Path) -> None:
    assert parse_steps("1,2,5") == (1, 2, 5)
    for wrong in ("", "0", "1,1", "two", "1,"):
        with pytest.raises(PellucidError, match="each once"):
            parse_steps(wrong)
    assert [steps for steps, _ in open_model("tiny", [1, 3], 1).runs] == [1, 3]
    assert open_model("identity", [1, 2], 1).runs == ((0, None),)
    assert [steps for steps, _ in open_model(str(model_file), [1, 2], 1).runs] == [1, 2]
    with pytest.raises(PellucidError, match="teacher's folder"):
        open_model("tiny", [1], 1, start_noise=0.1)


def test_a_student_starts_without_noise(tmp_path: Path) -> None:
    path = tmp_path / "new.safetensors"
    save_student(path, PlainUNet(PICO), Provenance("pico", "test", 0, "CC0-1.0"))
    assert open_model(str(path), [2], 1).label == "student pico"
    with pytest.raises(PellucidError, match="no such setting"):
        open_model(str(path), [2], 1, start_noise=0.5)


def test_a_missing_perceptual_package_is_told_and_nothing_else_lost(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "stlpips_pytorch" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    options = ["--data", str(sets / "grey"), "--model", "identity"]
    told = CliRunner().invoke(app, ["eval", *options, "--html", str(tmp_path / "r.html")])
    assert told.exit_code == 0 and "pip install 'pellucid[perceptual]'" in told.output
    assert '<th scope="col">ST-LPIPS' not in (tmp_path / "r.html").read_text()
    told = CliRunner().invoke(app, ["eval", *options, "--no-perceptual"])
    assert "pip install" not in told.output


def test_st_lpips_forgives_a_shift_more_than_noise() -> None:
    distance = open_st_lpips()
    if distance is None:
        pytest.skip("pip install 'pellucid[perceptual]'")
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.random((48, 50, 3)), (0, 0), 2.0)
    picture = (wide - wide.min()) / np.ptp(wide)
    noisy = np.clip(picture + 0.1 * rng.standard_normal(picture.shape), 0, 1)
    assert distance(picture, picture) == 0.0
    shifted, disturbed = distance(picture[:, 1:], picture[:, :-1]), distance(picture, noisy)
    assert shifted is not None and disturbed is not None and shifted < 0.5 * disturbed
    assert distance(picture[:20], picture[:20]) is None


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


def test_a_clip_is_measured_frame_by_frame(
    tmp_path: Path, model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    still = rng.integers(60, 180, (40, 48, 3)).astype(np.uint8)
    for part in ("input", "target"):
        (tmp_path / "clip" / part).mkdir(parents=True)
    for k, light in enumerate((0, 10, 0)):
        Photo(still + np.uint8(light), {}).save(tmp_path / "clip" / "input" / f"{k}.png")
        Photo(still, {}).save(tmp_path / "clip" / "target" / f"{k}.png")
    command = ["eval", "--clip", "--data", str(tmp_path / "clip"), "-m", str(model_file)]
    done = CliRunner().invoke(app, [*command, "--json", str(tmp_path / "told.json")])
    assert done.exit_code == 0, done.output
    clean, given, restored = json.loads((tmp_path / "told.json").read_text())
    assert clean["flicker"] == pytest.approx(0.0, abs=0.5) and clean["trembling"] == 0.0
    assert given["flicker"] == pytest.approx(10.0, abs=0.5)
    assert given["trembling"] == pytest.approx(np.std([0, 10, 0]))
    middle = 20 * np.log10(255 / 10)
    assert given["psnr"] == pytest.approx((100 + middle + 100) / 3, abs=1e-6)
    assert restored["how"] == "1 step" and "luma dB" in done.output
    (tmp_path / "clip" / "input" / "2.png").unlink()
    done = CliRunner().invoke(app, command)
    assert "without partner" in str(done.exception)
