"""The scene code is one definition in two languages, and its texture part says what it should."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pellucid.scene import (
    SCENE_SIZE,
    TEXTURE_KNOTS,
    TEXTURE_SIGNALS,
    haar,
    measure_light,
    measure_texture,
)
from pellucid_student import scene
from pellucid_student.scene import measure_scene

LIGHT = SCENE_SIZE - TEXTURE_SIGNALS * len(TEXTURE_KNOTS)


Pixels = NDArray[np.uint8]


def picture(height: int, width: int, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    ramp = np.linspace(20, 220, width)[None, :, None] + np.zeros((height, 1, 3))
    return np.clip(ramp + rng.normal(0, 9, ramp.shape), 0, 255).astype(np.uint8)


def tensor(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]


@pytest.mark.parametrize("size", [(64, 96), (128, 72)])
def test_torch_and_numpy_measure_the_same_texture(size: tuple[int, int]) -> None:
    pixels = picture(*size)
    expected = measure_scene(tensor(pixels))[0, LIGHT:].numpy()
    assert np.allclose(measure_texture(pixels), expected, atol=2e-5)


def test_light_agrees_on_smooth_pictures() -> None:
    ramp = np.repeat(np.linspace(0, 1, 96, dtype=np.float32)[None, :, None], 64, axis=0)
    pixels = np.repeat(ramp, 3, axis=2)
    small = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    assert np.allclose(measure_light(pixels), measure_scene(small)[0, :LIGHT].numpy(), atol=0.02)


def test_every_signal_is_a_distribution() -> None:
    code = measure_texture(picture(40, 48)).reshape(TEXTURE_SIGNALS, -1)
    assert np.allclose(code.sum(axis=1), 1.0, atol=1e-5) and (code >= 0).all()


def test_flat_pictures_have_no_texture() -> None:
    code = measure_texture(np.full((24, 32, 3), 77, np.uint8)).reshape(TEXTURE_SIGNALS, -1)
    assert np.allclose(code[:, 0], 1.0)


def test_stripes_show_in_their_own_direction() -> None:
    """Vertical stripes of one pixel, 0 and 0.1: across = 0.1 at the first scale, all else 0."""
    stripes = np.zeros((16, 16, 3), np.float32)
    stripes[:, 1::2] = 0.1
    code = measure_texture(stripes).reshape(TEXTURE_SIGNALS, -1)
    across, down, diagonal = code[2], code[3], code[4]
    halfway = (0.1 - 0.08) / 0.08
    assert across[5:7] == pytest.approx([1 - halfway, halfway], abs=2e-3)
    assert down[0] == pytest.approx(1.0) and diagonal[0] == pytest.approx(1.0)
    assert code[0, 4:6] == pytest.approx([0.75, 0.25], abs=5e-3)  # 0.05 over the mean of a cell


def test_haar_of_white_noise_keeps_its_spread() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (256, 256)).astype(np.float32)
    mean, details = haar(noise)
    assert mean.std() == pytest.approx(0.05, rel=0.05)
    assert [d.std() for d in details] == pytest.approx([0.1] * 3, rel=0.05)


def test_large_pictures_are_sampled_evenly() -> None:
    """Upper half flat, lower half rough: half of the sampled cells are flat."""
    pixels = np.full((2048, 1024, 3), 90, np.uint8)
    pixels[1024:] = picture(1024, 1024)
    code = measure_texture(pixels).reshape(TEXTURE_SIGNALS, -1)
    rough = measure_texture(pixels[1024:]).reshape(TEXTURE_SIGNALS, -1)
    assert code[4, 0] == pytest.approx(0.5 + 0.5 * rough[4, 0], abs=0.01)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (9, 7)])
def test_tiny_pictures_have_a_code(size: tuple[int, int]) -> None:
    assert measure_texture(picture(*size)).shape == (SCENE_SIZE - LIGHT,)


def test_16_bit_and_float_agree_with_8_bit() -> None:
    pixels = picture(32, 40)
    expected = measure_texture(pixels)
    assert np.allclose(measure_texture(pixels.astype(np.uint16) * 257), expected, atol=1e-4)
    assert np.allclose(measure_texture(pixels.astype(np.float32) / 255), expected, atol=1e-4)


def test_colour_noise_is_told_from_grey_noise() -> None:
    rng = np.random.default_rng(0)
    grey = np.clip(128 + rng.normal(0, 12, (64, 64, 1)), 0, 255).repeat(3, axis=2).astype(np.uint8)
    code = scene.measure_texture(tensor(grey)).reshape(TEXTURE_SIGNALS, -1)
    assert torch.allclose(code[5:8, 0], torch.ones(3), atol=1e-5)  # R - G and B - G are 0
    assert code[2:5, 0].max() < 0.5
