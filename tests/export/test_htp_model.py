"""The file for Qualcomm's HTP: fixed, fed with the scene, all integers, true to the original."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

import pellucid
from pellucid.scene import measure_scene
from pellucid_export.htp_model import MARGIN, HTPModelError, htp_model
from pellucid_export.proof import htp
from pellucid_export.proof.graph import read_graph
from pellucid_export.proof.readiness import readiness, target_names

BUNDLED = Path(pellucid.__file__).parent / "models" / "allinone-tiny-1step.onnx"
HEIGHT, WIDTH = 32, 48


def pictures() -> list[NDArray[np.float32]]:
    """Smooth pictures of different brightness, as photographs are; noise would hide mistakes."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / 48.0
    waves = [np.stack([np.sin(k * x), np.cos(k * y), x * y], 2) for k in (2.0, 5.0, 9.0)]
    return [
        ((wave + 1.0) * level).astype(np.float32)
        for wave, level in zip(waves, (0.15, 0.3, 0.5), strict=True)
    ]


@pytest.fixture(scope="module", params=[8, 16])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("htp") / f"a{request.param}.onnx"
    model = onnx.load(str(BUNDLED))
    before = model.SerializeToString(deterministic=True)
    onnx.save(htp_model(model, HEIGHT, WIDTH, pictures(), request.param), path)
    assert model.SerializeToString(deterministic=True) == before  # the original is left alone
    return path


def session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds(picture: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    planes = np.ascontiguousarray(np.moveaxis(picture, 2, 0)[None])
    return {"input": planes, "scene": measure_scene(picture)[None]}


def test_it_restores_like_the_original(made: Path) -> None:
    exact, quantised = session(BUNDLED), session(made)
    errors = []
    for picture in pictures():
        (expected,), (got,) = (s.run(None, feeds(picture)) for s in (exact, quantised))
        errors.append(np.mean((got - expected) ** 2))
    floor_db = 50 if made.stem == "a16" else 38
    assert -10 * np.log10(np.mean(errors)) > floor_db


def test_both_inputs_are_required_and_fixed(made: Path) -> None:
    ports = {port.name: port.shape for port in session(made).get_inputs()}
    assert ports == {
        "input": [1, 3, HEIGHT, WIDTH],
        "scene": [1, measure_scene(pictures()[0]).size],
    }
    assert session(made).get_overridable_initializers() == []


def test_nothing_computes_in_floats(made: Path) -> None:
    graph = read_graph(made)
    assert graph.quantised
    assert all(layer.quantised for layer in graph.layers)
    # A fed scene is not measured: a few operations a pixel less.
    assert graph.macs == pytest.approx(read_graph(BUNDLED, HEIGHT, WIDTH).macs, rel=0.005)


def test_no_target_refuses_it(made: Path) -> None:
    for target in target_names():
        report = readiness(made, target)
        assert report.ready, "\n".join(report.lines)


def test_the_card_comes_along(made: Path) -> None:
    card = {entry.key: entry.value for entry in onnx.load(str(BUNDLED)).metadata_props}
    assert {entry.key: entry.value for entry in onnx.load(str(made)).metadata_props} == card


@pytest.mark.skipif(htp.missing() is not None, reason=str(htp.missing()))
def test_the_emulator_takes_it_whole(made: Path) -> None:
    report = htp.check(made, feeds(pictures()[0]))
    assert report.whole, report.reason
    assert report.share == 1.0
    assert report.agreement_db is not None
    assert report.agreement_db > 38


def test_wrong_requests(tmp_path: Path) -> None:
    model = onnx.load(str(BUNDLED))
    with pytest.raises(HTPModelError, match="8 or 16 bits, got 4"):
        htp_model(model, HEIGHT, WIDTH, pictures(), 4)
    with pytest.raises(HTPModelError, match=r"pictures of \(32, 48, 3\), got none"):
        htp_model(model, HEIGHT, WIDTH, [])
    with pytest.raises(HTPModelError, match=r"pictures of \(48, 32, 3\), got"):
        htp_model(model, WIDTH, HEIGHT, pictures())
    with pytest.raises(HTPModelError, match="multiples of the model's"):
        htp_model(model, 30, 48, [np.zeros((30, 48, 3), np.float32)])


def test_sixteen_bits_leave_room_for_scenes_that_were_not_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A picture darker than the calibration's is cut off by their ranges, not by wider ones."""
    model, dark = onnx.load(str(BUNDLED)), pictures()[0] * np.float32(0.3)
    (expected,) = session(BUNDLED).run(None, feeds(dark))
    errors = {}
    for margin in (1.0, 4.0):
        monkeypatch.setitem(MARGIN, 16, margin)
        path = tmp_path / f"{margin}.onnx"
        onnx.save(htp_model(model, HEIGHT, WIDTH, pictures(), 16), path)
        (got,) = session(path).run(None, feeds(dark))
        errors[margin] = float(np.mean((got - expected) ** 2))
    assert errors[4.0] < 2e-4  # 37 dB
    assert errors[1.0] > 5 * errors[4.0]
