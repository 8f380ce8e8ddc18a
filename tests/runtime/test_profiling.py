"""Profiling: yardsticks, turns, targets, layers and rows. No time is asserted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from pellucid import ModelError
from pellucid.card import ModelCard
from pellucid.profiling import (
    Conditions,
    Row,
    State,
    Target,
    chrome_trace,
    discovery,
    opened,
    profile_files,
    resources,
    targets,
)
from pellucid.profiling import layers as layers_module
from pellucid.profiling import measure as measure_module
from pellucid.profiling.layers import read_layers
from pellucid.profiling.small_onnx import conv_stack, matrix_product
from pellucid.profiling.timing import FEWEST, Series, ratio, take_turns

CPU = Target("onnxruntime", "CPUExecutionProvider", "cpu")
SMALL = Conditions(((16, 24),), threads=1, seconds=0.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_module, "matrix_peak", lambda threads: 50.0)


def test_yardsticks_are_valid_networks_of_the_macs_asked_for() -> None:
    macs = 24000 * 64 * 96
    model = onnx.load_from_string(conv_stack(macs, 64, 96))
    onnx.checker.check_model(model, full_check=True)
    sides = {i.name: i.dims for i in model.graph.initializer}
    found = sum(int(np.prod(d)) * 16 * 24 for d in sides.values())
    assert found == pytest.approx(macs, rel=0.01)
    product = onnx.load_from_string(matrix_product(8))
    onnx.checker.check_model(product, full_check=True)


def test_the_matrix_product_is_one() -> None:
    session = onnxruntime.InferenceSession(matrix_product(8), providers=["CPUExecutionProvider"])
    weight = np.random.default_rng(0).standard_normal((8, 8), np.float32)
    given = session.run(None, {"input": np.eye(8, dtype=np.float32)})[0]
    np.testing.assert_allclose(given, weight, rtol=1e-6)


def test_calls_take_turns_and_the_first_place_moves() -> None:
    order: list[str] = []
    told = take_turns([lambda: order.append("a"), lambda: order.append("b")], 0.0)
    assert order[:2] == ["a", "b"]  # the warm-up
    assert order[2:8] == ["a", "b", "b", "a", "a", "b"]
    assert [len(series.wall) for series in told] == [FEWEST, FEWEST]


def test_ratio_and_percentiles() -> None:
    own, reference = Series([2.0, 4.0, 9.0], [1.0, 2.0, 4.5]), Series([1.0, 2.0, 3.0])
    assert ratio(own, reference) == 2.0
    assert own.percentile_ms(50) == 4000.0
    assert own.busy == 0.5
    assert reference.spread == 0.5


def test_the_devices_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_onnxruntime", lambda: [CPU])
    missing = Target("openvino", "CPU", "cpu", targets.NO_OPENVINO)
    monkeypatch.setattr(discovery, "_openvino", lambda: [missing])
    monkeypatch.setattr(discovery, "_coreml", list)
    monkeypatch.setattr(discovery, "plugin_targets", list)
    assert discovery.find_targets("auto") == [CPU]
    assert discovery.find_targets("cpu") == [CPU]
    [npu] = discovery.find_targets("npu")
    assert "no NPU" in npu.absent
    every = discovery.find_targets("all")
    assert [t.kind for t in every] == ["cpu", "gpu", "npu", "cpu"]
    assert every[-1] == missing
    with pytest.raises(ModelError, match="got 'tpu'"):
        discovery.find_targets("tpu")


def test_trouble_gets_its_row_and_the_rest_completes(model_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    absent = Target("any", "NPU", "npu", "no NPU here")
    files = [broken, tmp_path / "gone.onnx", model_file]
    seen: list[Row] = []
    told = profile_files(files, [CPU, absent], SMALL, say=seen.append)
    assert [row.state for row in told.rows] == ["absent", "failed", "failed", "measured"]
    assert "not loaded" in told.rows[1].reason
    assert "no such file" in told.rows[2].reason
    row = told.rows[3]
    assert row.rounds == FEWEST
    assert row.gmac == pytest.approx(16 * 24 / 1e9)  # the fake's card says 1 MAC a pixel
    times = (row.load_ms, row.first_ms, row.p50_ms, row.ratio, row.peak_share)
    assert all(value is not None and value > 0 for value in times)
    assert row.p50_ms and row.p99_ms and row.p50_ms <= row.p99_ms
    assert len(seen) == 4


def test_a_file_of_another_size_says_which(tmp_path: Path) -> None:
    from onnx_graphs import node, save_graph

    path = save_graph(tmp_path / "m.onnx", [node("Relu")], output=[1, 3, 8, 16])
    [row] = profile_files([path], [CPU], Conditions(((20, 20),), 1, 0.0)).rows
    assert row.state == "failed"
    assert "its size is fixed to" in row.reason


def test_xml_is_for_openvino_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, missing = (Target("openvino", "CPU", "cpu", told) for told in ("", targets.NO_OPENVINO))
    [row] = profile_files([tmp_path / "m.xml"], [CPU, here], SMALL).rows
    assert (row.engine, row.state) == ("openvino", State.FAILED)  # there is no such file
    for found, why in ((here, "no device of those asked for"), (missing, "pip install")):
        monkeypatch.setattr(discovery, "_openvino", lambda found=found: [found])
        [row] = profile_files([tmp_path / "m.xml"], [CPU], SMALL).rows
        assert (row.engine, row.state) == ("openvino", State.ABSENT)
        assert why in row.reason


def fallen(call: Callable[[], object]) -> opened.Opened:
    return opened.Opened(call, ModelCard("fake"), placed="CPUExecutionProvider")


@pytest.mark.parametrize("strict", [False, True])
def test_silent_fallback_is_told_and_refused_when_strict(
    strict: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[int] = []
    monkeypatch.setattr(measure_module, "open_call", lambda *_, **__: fallen(lambda: ran.append(1)))
    npu = Target("onnxruntime", "QNNExecutionProvider", "npu")
    conditions = Conditions(((8, 8),), 1, 0.0, strict=strict)
    [row] = profile_files([tmp_path / "m.onnx"], [npu], conditions).rows
    assert row.state == State.FALLBACK
    assert (row.p50_ms is None) == strict
    assert bool(ran) != strict
    assert "CPUExecutionProvider" in row.reason


def test_a_device_that_is_lost_meanwhile_gets_its_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It runs three times, then never again; the other one is measured from the start."""
    ran = {"lost": 0, "kept": 0}

    def open_call(target: Target, *_: object, **__: object) -> opened.Opened:
        def call() -> None:
            ran[target.device] += 1
            if target.device == "lost" and ran["lost"] > 3:
                raise RuntimeError("device lost\nin the driver")

        return opened.Opened(call, ModelCard("fake"))

    monkeypatch.setattr(measure_module, "open_call", open_call)
    both = [Target("openvino", "lost", "npu"), Target("openvino", "kept", "cpu")]
    lost, kept = profile_files([tmp_path / "m.onnx"], both, SMALL).rows
    assert lost.state == State.FAILED and lost.reason == "stopped running: device lost"
    assert lost.p50_ms is None
    assert kept.state == State.MEASURED and kept.rounds == FEWEST


def test_without_counters_the_row_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def open_call(*_: object, layers: bool = False, **__: object) -> opened.Opened:
        def call() -> None:
            if layers:
                raise RuntimeError("PERF_COUNT is not supported")

        return opened.Opened(call, ModelCard("fake"))

    monkeypatch.setattr(measure_module, "open_call", open_call)
    told = profile_files([tmp_path / "m.onnx"], [CPU], Conditions(((8, 8),), 1, 0.0, layers=True))
    assert told.layered == [] and told.rows[0].state == State.MEASURED
    assert told.rows[0].reason == "no times of layers: PERF_COUNT is not supported"


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_layers_of_both_engines_have_one_form(engine: str, model_file: Path) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    target = CPU if engine == "onnxruntime" else Target("openvino", "CPU", "cpu")
    told = profile_files([model_file], [target], Conditions(((16, 24),), 1, 0.0, layers=True))
    [layered] = told.layered
    assert layered.key == told.rows[0].key
    assert any("Conv" in layer.op for layer in layered.layers)
    between = layered.between_ms / layered.whole_ms
    assert sum(layer.share for layer in layered.layers) + between == pytest.approx(1.0)
    assert all(layer.ms >= 0.0 for layer in layered.layers)
    assert {layer.device for layer in layered.layers} == {target.device}
    trace = chrome_trace([layered])["traceEvents"]
    assert len(trace) == 2 + len(layered.layers)
    assert trace[1]["ph"] == "X" and trace[-1]["name"] == "between layers"


def test_slow_layers_are_flagged() -> None:
    target = Target("openvino", "NPU", "npu")
    rows = [
        ("conv", "Convolution", "jit_avx512_f32", 50.0, "NPU"),
        ("turn", "Transpose", "ref_any_f32", 20.0, "NPU"),
        ("order", "Reorder", "jit_uni_f32", 20.0, "NPU"),
        ("tiny", "Reorder", "jit_uni_f32", 0.1, "NPU"),
        ("stray", "Mul", "jit_avx512_f32", 9.9, "CPU"),
    ]
    events = [dict(zip(("name", "op", "kernel", "us", "device"), row, strict=True)) for row in rows]
    told = read_layers(target, [events] * 3, 0.125)
    flags = ["", "reference kernel", "layout conversion", "", "other device"]
    assert [layer.flag for layer in told] == flags
    assert all(bool(layer.hint) == bool(layer.flag) for layer in told)
    assert told[0].precision == "f32"
    assert told[0].ms == pytest.approx(0.05) and told[0].share == pytest.approx(0.4)
    assert told[3].share < layers_module.NOTICEABLE


def test_energy_is_read_or_none(tmp_path: Path) -> None:
    assert resources.energy_joules(tmp_path) is None
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("2500000\n")
    assert resources.energy_joules(tmp_path) == 2.5
