"""Restorer: kinds of picture, strength, the scene, models by name, path and mistake."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fakes import card
from numpy.typing import NDArray
from onnx import TensorProto, helper

from pellucid import ModelError, Photo, PhotoError, Restorer
from pellucid.scene import KNOTS, SCENE_SIZE, measure_light, measure_scene

Write = Callable[[str, dict[str, str]], Path]


@pytest.fixture(scope="module")
def restorer(model_file: Path) -> Restorer:
    return Restorer(model_file, threads=1)


def picture(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).random(shape, np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 1), (20, 31, 3), (20, 31, 4), (1, 1, 3)])
def test_same_shape_and_type_come_back(
    restorer: Restorer, shape: tuple[int, ...], dtype: type
) -> None:
    peak = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1.0
    image: NDArray[Any] = (picture(*shape) * peak).astype(dtype)
    given = image.copy()
    restored = restorer(image)
    assert (restored.shape, restored.dtype) == (image.shape, image.dtype)
    assert np.array_equal(image, given), "the caller's array was changed"


def test_alpha_passes_untouched(restorer: Restorer) -> None:
    image = (picture(24, 18, 4) * 255).astype(np.uint8) | np.uint8(1)  # no alpha is 0
    assert np.array_equal(restorer(image)[..., 3], image[..., 3])
    assert np.array_equal(restorer(image)[..., :3], restorer(image[..., :3].copy()))


def test_deep_and_shallow_pictures_agree(restorer: Restorer) -> None:
    eight = (picture(16, 16, 3) * 255).astype(np.uint8)
    sixteen = eight.astype(np.uint16) * 257
    difference = restorer(sixteen).astype(np.float64) / 65535 - restorer(eight) / 255.0
    assert np.abs(difference).max() <= 0.51 / 255


def test_strength_blends_and_zero_is_the_input(restorer: Restorer) -> None:
    image = picture(20, 20, 3)
    full, half = restorer(image), restorer(image, strength=0.5)
    assert np.allclose(half, (image + full) / 2, atol=1e-6)
    assert np.array_equal(restorer(image, strength=0.0), image)


def test_scene_reaches_the_graph(restorer: Restorer) -> None:
    """The fake adds scene[0], the share of black red, before a sigmoid: the logit shows it."""
    image = 0.5 + 0.1 * picture(16, 16, 3)
    image[::2, :, 0] = 0.0
    whole = restorer(image)
    engine = restorer._engine
    tensor = image.transpose(2, 0, 1)[None]
    without = engine.run(tensor, np.zeros(SCENE_SIZE, np.float32))[0].transpose(1, 2, 0)
    logit = np.log(whole / (1 - whole)) - np.log(without / (1 - without))
    assert np.allclose(logit, measure_scene(image)[0], atol=1e-3)
    assert measure_scene(image)[0] == pytest.approx(0.5)


def test_light_code_in_closed_form() -> None:
    grey = np.full((300, 200, 3), KNOTS[4], np.float32)
    expected = np.zeros((4, 10), np.float32)
    expected[:, 4] = 1.0
    assert np.allclose(measure_light(grey).reshape(4, 10), expected, atol=1e-3)
    code = measure_light((picture(50, 60, 3) * 255).astype(np.uint8)).reshape(4, 10)
    assert np.allclose(code.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((4, 4, 2), np.uint8), "got shape"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (np.zeros((4, 4, 3), np.int32), "got int32"),
        (np.full((4, 4, 3), np.nan, np.float32), "NaN"),
        (np.linspace(0, 255, 48, dtype=np.float32).reshape(4, 4, 3), r"got 0 to 255; divide"),
        (np.linspace(-1, 1, 48).reshape(4, 4, 3), r"got -1 to 1; divide"),
    ],
)
def test_arrays_that_are_no_picture(
    restorer: Restorer, image: NDArray[np.float32], told: str
) -> None:
    with pytest.raises(PhotoError, match=told):
        restorer(image)


def test_other_objects_are_named(restorer: Restorer) -> None:
    with pytest.raises(PhotoError, match=r"got list; numpy\.asarray"):
        restorer([[0, 1]])  # type: ignore[call-overload]


def test_strength_out_of_range(restorer: Restorer) -> None:
    with pytest.raises(PhotoError, match="between 0 and 1"):
        restorer(picture(4, 4, 3), strength=1.5)


def test_path_and_bytes_give_a_photo(restorer: Restorer, tmp_path: Path) -> None:
    photo = Photo((picture(12, 14, 3) * 255).astype(np.uint8), {})
    photo.save(tmp_path / "in.png")
    from_path = restorer(tmp_path / "in.png")
    from_bytes = restorer((tmp_path / "in.png").read_bytes())
    assert isinstance(from_path, Photo) and isinstance(from_bytes, Photo)
    assert np.array_equal(from_path.pixels, from_bytes.pixels)
    assert np.array_equal(from_path.pixels, restorer(photo.pixels))


def test_foreign_file_runs_and_says_it_is_foreign(write_model: Write) -> None:
    foreign = Restorer(write_model("foreign.onnx", {}), threads=1)
    assert foreign.card.receptive_field is None and not foreign.exact_tiles
    assert foreign(picture(40, 30, 3)).shape == (40, 30, 3)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"schema_version": 2}, "pip install --upgrade"), ({"steps": "many"}, "damaged")],
)
def test_unusable_cards(write_model: Write, change: dict[str, object], told: str) -> None:
    config = json.dumps(json.loads(card()) | change)
    with pytest.raises(ModelError, match=told):
        Restorer(write_model("card.onnx", {"pellucid.config": config}))


def test_broken_and_missing_models(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no protobuf")
    with pytest.raises(ModelError, match="not a model ONNX Runtime can load"):
        Restorer(tmp_path / "broken.onnx")
    with pytest.raises(ModelError, match="no such model file"):
        Restorer(tmp_path / "missing.onnx")


def test_wrong_ports_are_named(tmp_path: Path) -> None:
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 5])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "flat", [port], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "flat.onnx")
    with pytest.raises(ModelError, match=r"expected one picture input"):
        Restorer(tmp_path / "flat.onnx")


def test_unknown_names_and_steps_get_help() -> None:
    with pytest.raises(ModelError, match="did you mean 'tiny'"):
        Restorer("tinny")
    with pytest.raises(ModelError, match="steps must be 1 to 3, got 7"):
        Restorer("tiny", steps=7)


@pytest.mark.parametrize("option", [{"threads": 0}, {"memory_mb": 1}])
def test_senseless_options(model_file: Path, option: dict[str, int]) -> None:
    with pytest.raises(ModelError, match="at least"):
        Restorer(model_file, threads=option.get("threads"), memory_mb=option.get("memory_mb", 360))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_bundled_models_restore_the_bundled_samples(steps: int) -> None:
    """The real weights, on a crop: no harm to a clean photo, and dark becomes bright."""
    from pellucid_apps.demo import SAMPLES

    restorer = Restorer("tiny", steps=steps, threads=1)
    assert restorer.steps == steps and restorer.card.params < 1_000_000
    dark = restorer(SAMPLES / "degraded" / "lowlight.png").pixels
    clean = restorer(SAMPLES / "clean" / "lowlight.jpg").pixels
    assert 0.6 < dark.mean() / clean.mean() < 1.7
