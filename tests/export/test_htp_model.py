"""The files for Qualcomm's HTP: one fixed and all integers, one for the host, true together."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import pellucid
from pellucid.degradations import DEGRADATIONS
from pellucid.estimator import UNMEASURED
from pellucid.scene import SCENE_SIZE
from pellucid_export.htp import emulator as htp
from pellucid_export.htp.cut import HTPModelError, cut_at_vectors
from pellucid_export.htp.model import LEAST_RANGE, MARGIN, HTPFiles, htp_model
from pellucid_export.onnx.rewrites import drop_unused
from pellucid_export.onnx.scene_branch import measure_always
from pellucid_export.readiness.check import readiness, target_names
from pellucid_export.readiness.readers import read_graph

BUNDLED = Path(pellucid.__file__).parent / "models" / "allinone-tiny.onnx"
HEIGHT, WIDTH = 32, 48


def released() -> onnx.ModelProto:
    """The bundled model as it is exported for devices."""
    model = onnx.load(str(BUNDLED))
    measure_always(model)
    drop_unused(model)
    return model


def pictures() -> list[NDArray[np.float32]]:
    """Smooth pictures of different brightness, as photographs are; noise would hide mistakes."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / 48.0
    waves = [np.stack([np.sin(k * x), np.cos(k * y), x * y], 2) for k in (2.0, 5.0, 9.0)]
    return [
        np.ascontiguousarray(((wave + 1.0) * level).transpose(2, 0, 1)[None], np.float32)
        for wave, level in zip(waves, (0.15, 0.3, 0.5), strict=True)
    ]


def save(files: HTPFiles, path: Path) -> Path:
    onnx.save(files.network, path)
    onnx.save(files.code, path.with_name("code.onnx"))
    return path


@pytest.fixture(scope="module", params=[8, 16])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = released()
    before = model.SerializeToString(deterministic=True)
    files = htp_model(model, HEIGHT, WIDTH, pictures(), request.param)
    path = save(files, tmp_path_factory.mktemp("htp") / f"a{request.param}.onnx")
    assert model.SerializeToString(deterministic=True) == before  # the original is left alone
    return path


def session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds(made: Path, picture: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What the host feeds: the picture, and the vectors that its own file makes of it."""
    code = session(made.with_name("code.onnx"))
    names = [port.name for port in code.get_outputs()]
    return {"input": picture, **dict(zip(names, code.run(names, {"input": picture}), strict=True))}


def test_it_restores_like_the_original(made: Path) -> None:
    exact, quantised = session(BUNDLED), session(made)
    errors = []
    for picture in pictures():
        (expected,) = exact.run(None, {"input": picture})
        (got,) = quantised.run(None, feeds(made, picture))
        errors.append(np.mean((got - expected) ** 2))
    floor_db = 50 if made.stem == "a16" else 38
    assert -10 * np.log10(np.mean(errors)) > floor_db


def test_halves_in_float_are_the_whole(tmp_path: Path) -> None:
    """At any size, and with a scene given to the host's half as to the whole."""
    whole, halves = session(BUNDLED), cut_at_vectors(released())
    paths = [tmp_path / name for name in ("code.onnx", "network.onnx")]
    for path, half in zip(paths, (halves.code, halves.network), strict=True):
        onnx.save(half, path)
    code, network = map(session, paths)
    picture = np.random.default_rng(0).random((1, 3, 45, 70), np.float32)
    given = np.random.default_rng(1).random((1, SCENE_SIZE + len(DEGRADATIONS)), np.float32)
    names = [port.name for port in code.get_outputs()]
    for scene in ({}, {"scene": given}):
        (expected,) = whole.run(None, {"input": picture, **scene})
        vectors = dict(zip(names, code.run(names, {"input": picture, **scene}), strict=True))
        (got,) = network.run(None, {"input": picture, **vectors})
        np.testing.assert_allclose(got, expected, atol=1e-5)
        assert all(vector.size <= 128 for vector in vectors.values())


def test_every_input_is_required_and_fixed(made: Path) -> None:
    ports = {port.name: port.shape for port in session(made).get_inputs()}
    assert ports.pop("input") == [1, 3, HEIGHT, WIDTH]
    vectors = feeds(made, pictures()[0])
    assert ports == {name: list(v.shape) for name, v in vectors.items() if name != "input"}
    assert ports and all(shape[2:] == [1, 1] for shape in ports.values())
    assert session(made).get_overridable_initializers() == []


def test_nothing_computes_in_floats(made: Path) -> None:
    graph = read_graph(made)
    assert graph.quantised
    assert all(layer.quantised for layer in graph.layers)
    # What the host computes is missing: a few operations a pixel less.
    assert graph.macs == pytest.approx(read_graph(BUNDLED, HEIGHT, WIDTH).macs, rel=0.005)


def test_no_target_refuses_it(made: Path) -> None:
    for target in target_names():
        report = readiness(made, target)
        assert report.ready, "\n".join(report.lines)


def test_the_card_comes_along(made: Path) -> None:
    card = {entry.key: entry.value for entry in released().metadata_props}
    assert {entry.key: entry.value for entry in onnx.load(str(made)).metadata_props} == card


@pytest.mark.skipif(htp.missing() is not None, reason=str(htp.missing()))
def test_the_emulator_takes_it_whole(made: Path) -> None:
    report = htp.check(made, feeds(made, pictures()[0]))
    assert report.whole, report.reason
    assert report.share == 1.0
    assert report.agreement_db is not None
    assert report.agreement_db > (55 if made.stem == "a16" else 38)


def test_what_is_brighter_than_white_is_clipped(made: Path) -> None:
    """A picture of white with the vectors of a dark one, which ask for a gain."""
    fed = feeds(made, pictures()[0] * np.float32(0.3)) | {"input": np.ones_like(pictures()[0])}
    (got,) = session(made).run(None, fed)
    assert got.max() <= 1.01


def test_maps_that_are_zero_everywhere_get_a_range(made: Path) -> None:
    """Else their scale, and that of the biases behind them, is too small for the HTP's 32 bits."""
    model = onnx.load(made)
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    steps = 2 ** int(made.stem[1:]) - 1
    ranges = [
        float(held[node.input[1]]) * steps
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] not in held
    ]
    assert len(ranges) > 20
    assert min(ranges) >= LEAST_RANGE * 0.99


def test_a_model_without_a_scene_is_refused() -> None:
    model = released()
    scene = next(t for t in model.graph.initializer if t.name == "scene")
    scene.name = "other"
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = "other" if name == "scene" else name
    with pytest.raises(HTPModelError, match="expected a model with an input scene"):
        cut_at_vectors(model)


def test_wrong_requests(tmp_path: Path) -> None:
    model = released()
    with pytest.raises(HTPModelError, match="8 or 16 bits, got 4"):
        htp_model(model, HEIGHT, WIDTH, pictures(), 4)
    with pytest.raises(HTPModelError, match=r"pictures of \(1, 3, 32, 48\), got none"):
        htp_model(model, HEIGHT, WIDTH, [])
    with pytest.raises(HTPModelError, match=r"pictures of \(1, 3, 48, 32\), got"):
        htp_model(model, WIDTH, HEIGHT, pictures())
    with pytest.raises(HTPModelError, match="multiples of the model's"):
        htp_model(model, 30, 48, [np.zeros((1, 3, 30, 48), np.float32)])


def test_sixteen_bits_leave_room_for_scenes_that_were_not_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Darkness given by hand: a gain that no picture of the calibration asked for is cut off by
    their ranges, not by wider ones."""
    model, picture = released(), pictures()[0]
    halves, paths = cut_at_vectors(released()), [tmp_path / name for name in ("code", "network")]
    for path, half in zip(paths, (halves.code, halves.network), strict=True):
        onnx.save(half, path)
    code, exact = map(session, paths)
    names = [port.name for port in code.get_outputs()]
    scene = np.full((1, SCENE_SIZE + len(DEGRADATIONS)), UNMEASURED, np.float32)
    scene[0, SCENE_SIZE:] = [0.9 * (name == "lowlight") for name in DEGRADATIONS]
    vectors = code.run(names, {"input": picture, "scene": scene})
    fed = {"input": picture, **dict(zip(names, vectors, strict=True))}
    (expected,) = exact.run(None, fed)
    errors = {}
    for margin in (1.0, 4.0):
        monkeypatch.setitem(MARGIN, 16, margin)
        dark = [picture * np.float32(0.5) for picture in pictures()]
        files = htp_model(model, HEIGHT, WIDTH, dark, 16)
        (got,) = session(save(files, tmp_path / f"{margin}.onnx")).run(None, fed)
        errors[margin] = float(np.mean((got - expected) ** 2))
    assert errors[1.0] > 5 * errors[4.0]
    assert errors[4.0] < 1e-5  # 50 dB
