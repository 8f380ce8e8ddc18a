"""The estimator's own graph says what torch says, for pictures of any size and type."""

import base64

import numpy as np
import onnx
import pytest
import torch

from pellucid.card import ModelCard
from pellucid.degradations import DEGRADATIONS
from pellucid.errors import ModelError
from pellucid.estimator import KEY, WHOLE_PIXELS, open_estimator, scene_for, with_amounts
from pellucid.scene import SCENE_SIZE, measure_scene
from pellucid_export.onnx.estimator import encoded, estimator_graph
from pellucid_student.estimator import Estimator


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    torch.manual_seed(0)
    made = Estimator().eval().requires_grad_(False)
    torch.nn.init.normal_(made.out.weight, std=0.5)
    made.out.bias.zero_()
    for parameter in made.parameters():  # as shipped weights are: nothing is lost in 16 bits
        parameter.copy_(parameter.half().float())
    return made


@pytest.fixture(scope="module")
def metadata(estimator: Estimator) -> dict[str, str]:
    return {KEY: encoded(estimator)}


def pixels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(64, 96), (61, 97), (3, 5), (16, 200)])
def test_amounts_are_those_of_torch(
    estimator: Estimator, metadata: dict[str, str], size: tuple[int, int]
) -> None:
    picture = pixels(*size)
    found = open_estimator(metadata, DEGRADATIONS, None)
    assert found is not None and found.names == DEGRADATIONS
    rows, cols = -size[0] % 16, -size[1] % 16
    padded = np.pad(picture, ((0, rows), (0, cols), (0, 0)), mode="edge")
    given = torch.from_numpy(padded).permute(2, 0, 1)[None] / 255.0
    expected = estimator(given)[0].numpy()
    assert np.abs(found.amounts(picture) - expected).max() < 2e-4
    deep = picture.astype(np.uint16) * 257
    assert np.abs(found.amounts(deep) - expected).max() < 2e-4
    unit = picture.astype(np.float32) / 255.0
    assert np.abs(found.amounts(unit) - expected).max() < 2e-4


def test_grey_pictures_are_judged_as_colour_pictures_of_grey(metadata: dict[str, str]) -> None:
    found = open_estimator(metadata, DEGRADATIONS, None)
    assert found is not None
    grey = pixels(40, 56)[..., :1]
    assert np.array_equal(found.amounts(grey), found.amounts(np.repeat(grey, 3, axis=2)))


def test_large_pictures_are_judged_reduced_but_for_grain_and_blocks(
    metadata: dict[str, str],
) -> None:
    found = open_estimator(metadata, DEGRADATIONS, None)
    assert found is not None
    flat = np.full((1200, 1400, 3), 128, np.uint8)
    assert flat.shape[0] * flat.shape[1] > WHOLE_PIXELS
    small = found.amounts(flat[:256, :256])
    assert np.abs(found.amounts(flat) - small).max() < 0.02  # flat at any size
    grainy = np.where(pixels(1200, 1400) > 127, 160, 96).astype(np.uint8)
    amounts = dict(zip(DEGRADATIONS, found.amounts(grainy), strict=True))
    window = dict(zip(DEGRADATIONS, found.amounts(grainy[:256, :256]), strict=True))
    assert amounts["noise"] == pytest.approx(window["noise"], abs=0.03)
    assert amounts["jpeg"] == pytest.approx(window["jpeg"], abs=0.03)


def test_a_scene_lacks_nothing_but_the_amounts(metadata: dict[str, str]) -> None:
    picture = pixels(48, 48)
    card = ModelCard("x", scene_size=SCENE_SIZE + 7, degradations=DEGRADATIONS)
    scene = scene_for(metadata, card, picture)
    found = open_estimator(metadata, DEGRADATIONS, None)
    assert found is not None
    assert np.array_equal(scene[:SCENE_SIZE], measure_scene(picture))
    assert np.array_equal(scene[SCENE_SIZE:], found.amounts(picture))
    assert np.array_equal(with_amounts(scene, SCENE_SIZE + 7, picture, found), scene)
    unmeasured = scene_for({}, card, picture)  # a file without an estimator measures by itself
    assert (unmeasured[SCENE_SIZE:] == -1.0).all()


def test_the_file_is_small_and_plain(estimator: Estimator) -> None:
    model = estimator_graph(estimator)
    assert model.ByteSize() < 100_000
    operators = {node.op_type for node in model.graph.node}
    assert operators <= {
        "Clip", "Sub", "Cast", "Conv", "Relu", "GlobalAveragePool", "GlobalMaxPool", "Concat",
        "Flatten", "Gemm", "Sigmoid",
    }  # fmt: skip
    onnx.checker.check_model(model, full_check=True)


def test_damage_is_told(metadata: dict[str, str]) -> None:
    assert open_estimator({}, DEGRADATIONS, None) is None
    assert open_estimator(metadata, (), None) is None
    with pytest.raises(ModelError, match="damaged.*export the model again"):
        open_estimator({KEY: "no base64!"}, DEGRADATIONS, None)
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_estimator({KEY: base64.b64encode(b"no graph").decode()}, DEGRADATIONS, None)
