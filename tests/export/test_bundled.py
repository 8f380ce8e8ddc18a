"""The bundled ONNX files come from the weights in `student/weights` and restore as well as ever."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from pellucid import Enlarger, Restorer, read_photo
from pellucid.card import KEY
from pellucid.metrics import luma, psnr
from pellucid.restorer import MODELS
from pellucid_apps.demo import SAMPLES
from pellucid_export.card import weights_digest
from pellucid_student.weights import load_any_student
from pellucid_teacher.data.bicubic import imresize
from pellucid_teacher.data.light import quantise

WEIGHTS = Path(__file__).parents[2] / "student/weights"
# dB of one step on the bundled samples: blur, haze, lowlight, noise, rain, snow.
REACHED = {
    "tiny": (25.470, 21.562, 19.698, 35.889, 26.218, 26.431),
    "nano": (25.287, 21.775, 19.642, 35.703, 26.025, 26.629),
    "pico": (24.932, 22.348, 19.459, 35.165, 25.721, 25.003),
}
# dB over bicubic on the bundled samples, luma, in their order.
ENLARGER_GAINS = (1.727, 1.1, 0.927, 2.881, 1.33, 0.994)
FILES = [f"allinone-{name}{end}" for name in REACHED for end in ("", "-frames")]
FILES.append("enlarge-sr4")


def constants(graph: onnx.GraphProto) -> Iterator[NDArray[np.float32]]:
    """All float constants of a graph and of the branches in it."""
    tensors = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                tensors.append(attribute.t)
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from constants(attribute.g)
    arrays = (numpy_helper.to_array(tensor) for tensor in tensors)
    yield from (array for array in arrays if array.dtype == np.float32)


def sorted_values(array: NDArray[np.float32]) -> bytes:
    """The same for a kernel whose axes were moved, which exporting does to some."""
    return np.sort(array, axis=None).tobytes()


@pytest.mark.parametrize("name", FILES)
def test_a_bundled_file_holds_its_weights(name: str) -> None:
    weights = name.removesuffix("-frames").partition("-")[2]
    student, _ = load_any_student(WEIGHTS / f"{weights}.safetensors")
    model = onnx.load(MODELS / f"{name}.onnx")
    [card] = [json.loads(entry.value) for entry in model.metadata_props if entry.key == KEY]
    assert card["sha256_weights"] == weights_digest(student), "run: make models"
    found = {sorted_values(array) for array in constants(model.graph)}
    missing = [
        key for key, value in student.state_dict().items()
        if sorted_values(value.numpy()) not in found
    ]  # fmt: skip
    assert not missing, "run: make models"


def test_no_bundled_file_is_without_weights() -> None:
    assert sorted(MODELS.glob("*.onnx")) == sorted(MODELS / f"{n}.onnx" for n in FILES)


@pytest.mark.parametrize("name", REACHED)
def test_a_bundled_file_reaches_its_db(name: str) -> None:
    restore = Restorer(name, threads=1)
    reached = []
    for degraded in sorted((SAMPLES / "degraded").iterdir()):
        clean = read_photo(SAMPLES / "clean" / f"{degraded.stem}.jpg").pixels
        reached.append(psnr(restore(degraded).pixels / 255.0, clean / 255.0))
    np.testing.assert_allclose(reached, REACHED[name], atol=0.02)


def test_the_bundled_enlarger_beats_bicubic_on_every_sample() -> None:
    enlarge, gains = Enlarger("sr4", threads=1), []
    for path in sorted((SAMPLES / "clean").iterdir()):
        clean = read_photo(path).pixels[:256, :256] / 255.0
        small = quantise(imresize(clean.astype(np.float32), 0.25))
        made, plain = (luma(p)[4:-4, 4:-4] for p in (enlarge(small), imresize(small, 4)))
        expected = luma(clean)[4:-4, 4:-4]
        gains.append(psnr(made, expected) - psnr(plain, expected))
    assert min(gains) > 0.2
    np.testing.assert_allclose(gains, ENLARGER_GAINS, atol=0.02)
