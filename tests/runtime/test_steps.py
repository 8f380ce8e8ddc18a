"""Several steps with one file: what later calls see, and what becomes of their predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fakes import card, frames_model
from numpy.typing import NDArray

from pellucid import Restorer
from pellucid.errors import ModelError
from pellucid.frames.network import SteppedPass
from pellucid.scene import measure_scene
from pellucid.steps import INPUT_WEIGHT, STATE_STEP, mirrored, mix, refine

Pixels = NDArray[Any]


def picture(*shape: int, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random(shape, np.float32)


def test_later_calls_see_less_of_what_was_wrong_and_the_mean_of_opinions_counts() -> None:
    """Every prediction is known: 0.2, 0.5 and 0.8."""
    given, seen = np.full((2, 3, 3), 1.0), list[float]()

    def restore(shown: Pixels, scene: NDArray[np.float32], call: int) -> Pixels:
        assert np.array_equal(scene, measure_scene(shown))
        seen.append(float(shown[0, 0, 0]))
        return np.full_like(shown, (0.2, 0.5, 0.8)[call])

    first = np.full_like(given, 0.2)
    assert np.array_equal(refine(given, first, 1, restore), first) and seen == []
    assert np.allclose(refine(given, first, 2, restore), 0.35)
    assert seen == [pytest.approx(0.2 + 0.75 * 0.8)]
    carried = 0.2 + STATE_STEP[2] * 0.15
    assert np.allclose(refine(given, first, 3, restore), carried + (0.8 - carried) / 3)
    assert seen[-1] == pytest.approx(carried + INPUT_WEIGHT[2] * (1.0 - carried))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_mixing_rounds_integers_and_keeps_the_type(dtype: type, channels: int) -> None:
    peak = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1.0
    one: Pixels = (picture(5, 7, channels) * peak).astype(dtype)
    other: Pixels = (picture(5, 7, channels, seed=2) * peak).astype(dtype)
    mixed = mix(one, other, 0.25)
    exact = 0.75 * one.astype(np.float64) + 0.25 * other
    assert (mixed.shape, mixed.dtype) == (one.shape, one.dtype)
    assert np.abs(mixed - exact).max() <= (0.5 if peak > 1 else 1e-6)
    assert np.array_equal(mirrored(mirrored(one)), one)


@pytest.mark.parametrize("shape", [(21, 31), (20, 31, 3), (20, 31, 4), (1, 1, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_two_steps_are_the_same_file_called_twice(
    model_file: Path, shape: tuple[int, ...], dtype: type
) -> None:
    peak = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1.0
    image: Pixels = ((0.01 + 0.99 * picture(*shape)) * peak).astype(dtype)  # no alpha is 0
    once, twice = (Restorer(model_file, steps=steps, threads=1) for steps in (1, 2))
    if image.ndim == 2 or image.shape[2] == 1:
        colour = np.atleast_3d(image)
    else:
        colour = np.ascontiguousarray(image[..., :3])
    seen = mix(once(colour), colour, INPUT_WEIGHT[1])
    prediction = mirrored(seen)
    scene = measure_scene(np.broadcast_to(seen, (*seen.shape[:2], 3)))
    once.restore_pixels(prediction, scene=scene)
    expected = mix(once(colour), mirrored(prediction), 0.5)
    assert np.array_equal(np.atleast_3d(twice(image))[..., : colour.shape[2]], expected)
    if image.ndim == 3 and image.shape[2] == 4:
        assert np.array_equal(twice(image)[..., 3], image[..., 3])


def test_strength_blends_from_the_given_picture(model_file: Path) -> None:
    restorer, image = Restorer(model_file, steps=3, threads=1), picture(20, 20, 3)
    half = restorer(image, strength=0.5)
    assert np.allclose(half, (image + restorer(image)) / 2, atol=1e-6)


def test_tiles_stay_exact_in_every_call(model_file: Path) -> None:
    image = picture(700, 900, 3)
    whole, told = image.copy(), list[tuple[int, int]]()
    Restorer(model_file, steps=3, threads=1).restore_pixels(whole)
    tiled = image.copy()
    small = Restorer(model_file, steps=3, threads=1, memory_mb=50)
    small.restore_pixels(tiled, progress=lambda done, total: told.append((done, total)))
    assert np.abs(tiled - whole).max() < 1e-5
    total = told[-1][1]
    assert total > 3 and told == [(n, total) for n in range(1, total + 1)]


@pytest.mark.parametrize("steps", [0, 4])
def test_no_more_than_three(model_file: Path, steps: int) -> None:
    with pytest.raises(ModelError, match=f"1 to 3, got {steps}"):
        Restorer(model_file, steps=steps)


def test_files_for_frames_make_one(tmp_path: Path) -> None:
    onnx.save(frames_model({"pellucid.config": card()}), tmp_path / "frames.onnx")
    with pytest.raises(ModelError, match="one step a frame"):
        Restorer(tmp_path / "frames.onnx", steps=2)


def test_frames_take_several_calls_too() -> None:
    """A pass that halves what it sees; later scenes are those of what is seen, unmirrored."""
    scenes: list[NDArray[np.float32] | None] = []

    class Halves:
        def run_frame(
            self, frame: Pixels, scene: NDArray[np.float32] | None, state: Pixels | None = None
        ) -> Pixels:
            scenes.append(scene)
            return (frame // 2).astype(np.uint8)

        def expect_frames(self, size: tuple[int, int] | None = None) -> None:
            sizes.append(size)

    sizes: list[tuple[int, int] | None] = []
    frame = (picture(32, 48, 3) * 255).astype(np.uint8)
    first = measure_scene(frame)
    passes = SteppedPass(Halves(), 2)
    restored = passes.run_frame(frame, first)
    seen = mix(frame // 2, frame, INPUT_WEIGHT[1])
    assert np.array_equal(restored, mix(frame // 2, seen // 2, 0.5))
    assert scenes[0] is first and scenes[1] is not None
    assert np.array_equal(scenes[1], measure_scene(seen))
    passes.expect_frames((32, 48))
    assert sizes == [(32, 48)]
