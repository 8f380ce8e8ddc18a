"""pellucid profile: reports, exit codes, the gate. Figures are given or counted, never timed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pellucid import PellucidError
from pellucid.profiling import Conditions, Layered, LayerTime, Profile, Row, State, Target
from pellucid.profiling import measure as measure_module
from pellucid_apps import profile, profile_gate, profile_page, profile_report
from pellucid_apps.cli import app
from pellucid_apps.profile_extras import estimates_of

run = CliRunner().invoke
CPU = Target("onnxruntime", "CPUExecutionProvider", "cpu")
ROW = Row(
    "a.onnx", "onnxruntime", CPU.device, 8, 16, State.MEASURED, "", 10.0, 3.0, 2.0, 2.5, 2.6, 2.7,
    500.0, 7, 40.0, 0.9, None, 0.05, 25.0, 0.5, 1.5, 0.02, 31.5,
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_module, "matrix_peak", lambda threads: 50.0)
    absent = Target("any", "NPU", "npu", "no NPU here")
    found = {"auto": [CPU], "cpu": [CPU], "npu": [absent], "all": [CPU, absent]}
    monkeypatch.setattr(profile, "find_targets", lambda wanted: found[wanted])


def test_table_json_trace_page_and_gate(model_file: Path, tmp_path: Path) -> None:
    saved, html = tmp_path / "p.json", tmp_path / "p.html"
    common = ["profile", str(model_file), "--shape", "16x24", "--seconds", "0", "--threads", "1"]
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
    common = [str(tmp_path), "--shape", "16x16", "--seconds", "0", "--threads", "1"]
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
    assert profile.exit_code([ROW, absent], True, False) == 1
    assert profile.exit_code([ROW], False, True) == 3
    assert profile.exit_code([], False, False) == 1


def test_sizes_and_mistakes(tmp_path: Path) -> None:
    assert profile.parse_sizes("8x16, 32x64,8x16") == ((8, 16), (32, 64))
    with pytest.raises(PellucidError, match="--shape is"):
        profile.parse_sizes("8x16,")
    with pytest.raises(profile.ProfileError, match="no \\*.onnx"):
        profile.collect([str(tmp_path)])
    assert run(app, ["profile", "tiny", "--save", str(tmp_path / "x.csv")]).exit_code != 0
    assert profile_gate.parse_share("12.5%") == 0.125
    with pytest.raises(profile_gate.GateError, match="percentage"):
        profile_gate.parse_share("ten")
    with pytest.raises(profile_gate.GateError, match="not a saved profile"):
        profile_gate.read(tmp_path / "gone.json", "")


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


def test_the_page_escapes_and_shows_bars_and_points() -> None:
    layer = LayerTime("<conv>", "Conv", "ref_f32", "f32", "CPU", 1.0, 1.0, "reference kernel", "x")
    told = Profile(Conditions(((8, 16),), 1), rows=[ROW], layered=[Layered(ROW.key, 1.0, [layer])])
    text = profile_page.page(told, [])
    assert "<conv>" not in text
    assert '<rect class="flag"' in text
    assert '<circle class="dot"' in text
    assert "http" not in text


def test_noise_is_told() -> None:
    told = Profile(Conditions(((8, 16),), 1), rows=[replace(ROW, spread=0.3)])
    assert "noisy" in profile_report.noise(told)
    assert profile_report.noise(replace(told, rows=[ROW])) == ""


def test_layers_of_one_flag_are_told_once() -> None:
    layer = LayerTime("r", "Reorder", "jit", "f32", "CPU", 1.0, 0.1, "layout conversion", "why")
    layered = [Layered(ROW.key, 4.0, [replace(layer, name=f"r{i}") for i in range(4)])]
    told = Profile(Conditions(((8, 16),), 1), rows=[ROW], layered=layered)
    lines = [x for x in profile_report.footer(told, [], "") if "layout conversion" in x]
    assert lines == ["  4x layout conversion, 40%: r0, r1, r2, .... why"]
