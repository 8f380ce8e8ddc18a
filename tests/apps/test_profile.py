"""pellucid profile: reports, exit codes, the gate. Figures are given or counted, never timed."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import fakes
import numpy as np
import pytest
from typer.testing import CliRunner

from pellucid import PellucidError, Photo, Restorer, read_photo
from pellucid.profiling import Conditions, Layered, LayerTime, Profile, Row, State, Target
from pellucid.profiling import measure as measure_module
from pellucid_apps.cli import app
from pellucid_apps.profile import command as profile
from pellucid_apps.profile import gate as profile_gate
from pellucid_apps.profile import page as profile_page
from pellucid_apps.profile import report as profile_report
from pellucid_apps.profile.extras import estimates_of

run = CliRunner().invoke
CPU = Target("onnxruntime", "CPUExecutionProvider", "cpu")
ROW = Row(
    "a.onnx", "onnxruntime", CPU.device, 8, 16, State.MEASURED, "", 10.0, 3.0, 2.0, 2.5, 2.6, 2.7,
    500.0, 7, 40.0, 0.9, None, 0.05, 25.0, 0.5, 1.5, 0.03, 0.02, 31.5,
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_module, "matrix_peak", lambda threads: 50.0)
    absent = Target("any", "NPU", "npu", "no NPU here")
    found = {"auto": [CPU], "cpu": [CPU], "npu": [absent], "all": [CPU, absent]}
    monkeypatch.setattr(profile, "find_targets", lambda wanted: found[wanted])


def test_table_json_trace_page_and_gate(model_file: Path, tmp_path: Path) -> None:
    saved, html = tmp_path / "p.json", tmp_path / "p.html"
    common = ["profile", str(model_file), "--size", "24x16", "--seconds", "0", "--threads", "1"]
    done = run(app, [*common, "--layers", "--save", str(saved), "--html", str(html)])
    assert done.exit_code == 0, done.output
    told = json.loads(saved.read_text())
    [row] = told["rows"]
    assert (row["state"], row["height"], row["width"]) == ("measured", 16, 24)
    assert told["layers"][0]["layers"]
    assert json.loads((tmp_path / "p.trace.json").read_text())["traceEvents"]
    assert html.read_text().startswith("<!doctype html>")
    assert not list(tmp_path.glob("*.partial"))

    told["rows"][0]["ratio"] = 1e-9  # as if it had been far faster then
    saved.write_text(json.dumps(told))
    assert run(app, [*common, "--against", str(saved)]).exit_code == 3
    told["rows"][0]["ratio"] = 1e9
    saved.write_text(json.dumps(told))
    done = run(app, [*common, "--against", str(saved), "--fail-over", "10%"])
    assert done.exit_code == 0, done.output


def test_a_folder_with_a_broken_file_gives_exit_code_1(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "good.onnx").write_bytes(model_file.read_bytes())
    (tmp_path / "bad.onnx").write_bytes(b"?")
    common = [str(tmp_path), "--size", "16x16", "--seconds", "0", "--threads", "1"]
    done = run(app, ["profile", *common, "-d", "cpu"])
    assert done.exit_code == 1, done.output
    assert "bad.onnx onnxruntime CPU 16x16" in done.output
    assert "failed: not loaded" in done.output
    assert "good.onnx onnxruntime CPU 16x16" in done.output


def test_exit_codes() -> None:
    fallen = replace(ROW, state=State.FALLBACK)
    absent = replace(ROW, state=State.ABSENT)
    assert profile.exit_code([ROW], False, False) == 0
    assert profile.exit_code([ROW, fallen], False, False) == 0
    assert profile.exit_code([ROW, fallen, absent], True, False) == 3
    assert profile.exit_code([ROW, absent], True, False) == 3
    assert profile.exit_code([ROW, absent], False, False) == 1
    assert profile.exit_code([ROW, replace(ROW, state=State.SKIPPED)], False, False) == 1
    assert profile.exit_code([ROW], False, True) == 3
    assert profile.exit_code([], False, False) == 1


def test_sizes_and_mistakes(tmp_path: Path) -> None:
    assert profile.parse_sizes("16x8, 64x32,16x8") == ((8, 16), (32, 64))
    with pytest.raises(PellucidError, match="a size is"):
        profile.parse_sizes("16x8,")
    with pytest.raises(profile.ProfileError, match="no \\*.onnx"):
        profile.collect([str(tmp_path)])
    assert run(app, ["profile", "tiny", "--save", str(tmp_path / "x.csv")]).exit_code != 0
    assert profile_gate.parse_share("12.5%") == 0.125
    with pytest.raises(profile_gate.GateError, match="percentage"):
        profile_gate.parse_share("ten")
    with pytest.raises(profile_gate.GateError, match="not a saved profile"):
        profile_gate.read(tmp_path / "gone.json", "")


def test_a_folder_that_export_wrote_is_profiled_whole(tmp_path: Path) -> None:
    for name in ("onnx/model.onnx", "openvino/openvino_model.xml", "coreml/x.mlpackage/Data/y"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    files, names = profile.collect([str(tmp_path)])
    assert names == ["x.mlpackage", "model.onnx", "openvino_model.xml"]
    assert [file.name for file in files] == names


def document(ratio: float | None) -> dict[str, Any]:
    rows = [replace(ROW, ratio=ratio)]
    return profile_report.document(Profile(Conditions(((8, 16),), 1), rows=rows), [])


@pytest.mark.parametrize(
    ("now", "failed"), [(1.6, False), (1.66, True), (0.5, False), (None, True)]
)
def test_the_gate_allows_its_tolerance(now: float | None, failed: bool) -> None:
    [entry] = profile_gate.compare(document(now), {**document(1.5), "tolerance": 0.10})
    assert entry.failed == failed
    assert ("FAIL" in entry.line) == failed


def test_the_gate_tells_how_sure_it_is() -> None:
    old = {**document(1.5), "tolerance": 0.10}
    uncertain = document(1.66)  # +10.7 %, give or take 3 %
    [entry] = profile_gate.compare(uncertain, old)
    assert "(+10.7% +-3%, allowed +10%); uncertain, repeat" in entry.line
    [entry] = profile_gate.compare(document(1.9), old)
    assert entry.failed and "uncertain" not in entry.line
    [entry] = profile_gate.compare(document(1.5), old)
    assert entry.line.startswith("ok") and "uncertain" not in entry.line
    gone = {**document(1.5), "rows": []}
    [entry] = profile_gate.compare(gone, old)
    assert entry.failed and "not measured now" in entry.line


def test_ratios_to_another_reference_are_not_compared() -> None:
    old = {**document(1.5), "tolerance": 0.1, "reference": "something else"}
    with pytest.raises(profile_gate.GateError, match="save a new one"):
        profile_gate.compare(document(1.5), old)


def test_estimates_stay_apart_from_measured_rows(tmp_path: Path) -> None:
    from onnx_graphs import kernel, node, save_graph

    nodes = [node("Conv", "input w", "a", pads=[1] * 4), node("Relu", "a")]
    path = save_graph(tmp_path / "m.onnx", nodes, {"w": kernel(4, 3, 3, 3)}, (8, 16))
    estimates, _ = estimates_of([path], ["m.onnx"], [(8, 16)])
    assert {estimate.label for estimate in estimates} == {"ESTIMATE"}
    told = Profile(Conditions(((8, 16),), 1), rows=[ROW])
    saved = profile_report.document(told, estimates)
    assert len(saved["rows"]) == 1
    assert len(saved["estimates"]) == len(estimates) > 0
    text = profile_report.markdown(told, estimates)
    assert text.index("ESTIMATE") > text.index("## Estimates, not measurements")
    assert "ESTIMATE" not in profile_report.line(ROW)


LAYER = LayerTime("<conv>", "Conv", "ref_f32", "f32", "CPU", 3.0, 0.75, "reference kernel", "why")


def test_the_page_escapes_and_shows_bars_and_points() -> None:
    layered = [Layered(ROW.key, 4.0, 0.02, 7, [LAYER])]
    told = Profile(Conditions(((8, 16),), 1), rows=[ROW], layered=layered)
    text = profile_page.page(told, [])
    assert "<conv>" not in text and "&lt;conv&gt;" in text
    assert '<div class="flag" style="width:100.0%">' in text
    assert '<div class="rest" style="width:33.3%">' in text  # 1 ms between layers, of 3 the longest
    assert "layers 3.0 + between layers 1.0 = 4.0 ms a call" in text
    assert text.count('<circle class="dot"') == 1
    assert "http" not in text
    assert profile_page.page(replace(told, layered=[]), []).count("<h2>") == 1


def test_the_page_is_well_formed_and_every_line_fills_its_table() -> None:
    html5lib = pytest.importorskip("html5lib", reason="pip install 'pellucid[dev]'")
    failed = replace(ROW, state=State.FAILED, p50_ms=None, reason="a < b")
    told = Profile(Conditions(((8, 16),), 1), rows=[ROW, failed], layered=[
        Layered(ROW.key, 4.0, 0.0, 7, [replace(LAYER, name=f"r{i}", ms=0.1) for i in range(25)])
    ])  # fmt: skip
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    tree = parser.parse(profile_page.page(told, []))
    widths = {
        sum(int(cell.get("colspan", 1)) for cell in line if cell.tag in ("td", "th"))
        for line in tree.iter("tr")
    }
    assert widths == {1 + len(profile_report.COLUMNS)}
    names = [item.find(".//span").text for item in tree.findall(".//ul/li")]
    assert len(names) == 20 + 2 and names[-2:] == ["5 other layers", "between layers"]


def test_points_lie_where_their_figures_say() -> None:
    """Faster is further left, better is higher, and all of them inside the frame."""
    rows = [replace(ROW, file="slow", p50_ms=8.0, quality_db=20.0), ROW]
    text = profile_page.page(Profile(Conditions(((8, 16),), 1), rows=rows), [])
    found = re.findall(r'cx="([0-9.]+)" cy="([0-9.]+)"', text)
    (slow_x, slow_y), (x, y) = [(float(cx), float(cy)) for cx, cy in found]
    assert 46 < x < slow_x < 380 and 14 < y < slow_y < 232
    assert "1</text>" in text and "slow onnxruntime CPU 16x8: 8.0 ms, 20.00 dB" in text


def test_rows_that_were_cut_short_are_told() -> None:
    told = Profile(Conditions(((8, 16),), 1, budget=60.0), rows=[ROW], hurried=3)
    assert profile_report.hurry(told) in profile_report.footer(told, [], "")
    assert "3 rows had less than 1 s to keep within 60 s" in profile_page.page(told, [])
    assert profile_report.hurry(replace(told, hurried=0)) == ""


def test_noise_is_told() -> None:
    told = Profile(Conditions(((8, 16),), 1), rows=[replace(ROW, spread=0.3)])
    assert "noisy" in profile_report.noise(told)
    assert profile_report.noise(replace(told, rows=[ROW])) == ""


def test_layers_of_one_flag_are_told_once() -> None:
    layer = LayerTime("r", "Reorder", "jit", "f32", "CPU", 1.0, 0.1, "layout conversion", "why")
    layers = [replace(layer, name=f"r{i}") for i in range(4)]
    layered = [Layered(ROW.key, 4.0, 0.0, 7, layers)]
    told = Profile(Conditions(((8, 16),), 1), rows=[ROW], layered=layered)
    lines = [x for x in profile_report.footer(told, [], "") if "layout conversion" in x]
    assert lines == ["  4x layout conversion, 40%: r0, r1, r2, .... why"]


def test_layers_go_into_markdown() -> None:
    layered = [Layered(ROW.key, 4.0, 0.02, 7, [LAYER])]
    told = Profile(Conditions(((8, 16),), 1), rows=[ROW], layered=layered)
    text = profile_report.markdown(told, [])
    assert f"## Layers of {ROW.key}" in text and "counting adds +2%" in text
    assert "| <conv> | Conv | ref_f32 | f32 | CPU | 3.000 | 75.0% | reference kernel |" in text


def pairs(folder: Path, count: int) -> Path:
    """A set of tiny pictures: a smooth target, and the same with noise."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, 48 * 64).reshape(48, 64, 1).repeat(3, 2)
    for name, noise in (("input", 12.0), ("target", 0.0)):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            picture = ramp + noise * rng.standard_normal(ramp.shape)
            cv2.imwrite(str(folder / name / f"{index}.png"), picture.clip(0, 255).astype(np.uint8))
    return folder


def test_quality_on_pairs_of_a_fake_and_of_the_bundled_model(
    write_model: Callable[[str, dict[str, str]], Path], tmp_path: Path
) -> None:
    data, saved, html = pairs(tmp_path / "set", 2), tmp_path / "p.json", tmp_path / "p.html"
    files = [str(write_model("fake.onnx", {"pellucid.config": fakes.card()})), "tiny"]
    done = run(app, ["profile", *files, "--size", "24x16", "--seconds", "0", "--threads", "1",
                     "--data", str(data), "--save", str(saved), "--html", str(html)])  # fmt: skip
    assert done.exit_code == 0, done.output
    fake, tiny = json.loads(saved.read_text())["rows"]
    restorer = Restorer("tiny", threads=1)
    expected = []
    for index in range(2):
        picture, target = (
            read_photo(data / k / f"{index}.png").pixels for k in ("input", "target")
        )
        restored = restorer.restore_photo(Photo(picture, {})).pixels
        error = np.mean((restored.astype(float) - target.astype(float)) ** 2)
        expected.append(10.0 * np.log10(255.0**2 / error))
    assert tiny["quality_db"] == pytest.approx(np.mean(expected), abs=0.3)
    assert tiny["quality_db"] > 27.0 > fake["quality_db"]  # the input has 26.5 dB; a fake harms it
    assert html.read_text().count('<circle class="dot"') == 2


def test_pairs_that_are_none_leave_the_measured_rows(model_file: Path, tmp_path: Path) -> None:
    common = ["profile", str(model_file), "--size", "24x16", "--seconds", "0", "--threads", "1"]
    done = run(app, [*common, "--data", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert f"no quality of {model_file.name}: " in done.output
