"""MATLAB's bicubic: closed forms, and Pillow's antialiased filter where no border is near."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pellucid_teacher.data.bicubic import contributions, cubic, imresize


def test_kernel_interpolates() -> None:
    assert cubic(np.array([0.0, 1.0, -1.0, 2.0, 3.0])).tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert cubic(np.array([0.5]))[0] == pytest.approx(0.5625)
    assert cubic(np.array([1.5]))[0] == pytest.approx(-0.0625)


@given(st.integers(5, 40), st.sampled_from([0.25, 0.5, 2.0, 3.0, 4.0, 1 / 3]))
def test_weights_sum_to_one_and_stay_inside(length: int, scale: float) -> None:
    weights, at = contributions(length, int(np.ceil(length * scale)), scale)
    assert np.allclose(weights.sum(axis=1), 1.0)
    assert at.min() >= 0 and at.max() < length


def test_a_ramp_stays_a_ramp_away_from_borders() -> None:
    ramp = np.arange(64, dtype=np.float32)[None, :, None] + np.zeros((64, 1, 3), np.float32)
    small = imresize(ramp, 0.25)
    assert small.shape == (16, 16, 3)
    assert np.allclose(small[8, 2:-2, 0], 4.0 * np.arange(2, 14) + 1.5, atol=1e-4)
    large = imresize(ramp, 2.0)
    assert np.allclose(large[60, 8:-8, 1], np.arange(8, 120) / 2.0 - 0.25, atol=1e-4)


def test_borders_are_mirrored() -> None:
    image = np.random.default_rng(0).random((12, 16, 3), dtype=np.float32)
    mirrored = np.pad(image, ((16, 16), (16, 16), (0, 0)), mode="symmetric")
    assert np.allclose(imresize(mirrored, 0.25)[4:-4, 4:-4], imresize(image, 0.25), atol=1e-6)


@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0, 4.0])
def test_pillow_agrees_inside(scale: float) -> None:
    image = np.random.default_rng(1).random((64, 48), dtype=np.float32)
    ours = imresize(image[..., None], scale)[..., 0]
    size = (ours.shape[1], ours.shape[0])
    theirs = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    edge = max(2, int(2 * scale) + 1)
    assert np.allclose(ours[edge:-edge, edge:-edge], theirs[edge:-edge, edge:-edge], atol=2e-4)


def test_sizes_round_up() -> None:
    assert imresize(np.zeros((7, 10, 1), np.float32), 0.25).shape == (2, 3, 1)
    with pytest.raises(ValueError, match="positive"):
        imresize(np.zeros((4, 4, 1), np.float32), 0.0)
