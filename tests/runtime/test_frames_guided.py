"""Guided upsampling: closed forms."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pellucid.frames.guided import Carrier, fit_affine, reduce
from pellucid.metrics import psnr

U8 = NDArray[np.uint8]


def picture(seed: int, height: int, width: int) -> U8:
    """Smooth shapes with edges and some texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(x / a + c) + np.cos(y / b) for a, b, c in rng.uniform(9, 40, (3, 3))]
    base = 90.0 + 35.0 * np.stack(waves, axis=2)
    base[height // 3 :, width // 2 :] *= 0.5
    return np.clip(base + rng.normal(0.0, 2.0, base.shape), 0, 255).astype(np.uint8)


@given(st.integers(0, 99), st.integers(30, 130), st.integers(30, 130), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_an_unchanged_picture_comes_back_unchanged(seed: int, h: int, w: int, k: int) -> None:
    pixels = picture(seed, h, w)
    small = reduce(pixels, k)
    np.testing.assert_array_equal(Carrier()(pixels, small, small, k), pixels)


@pytest.mark.parametrize("shrink", [2, 3, 4, 8])
def test_gain_and_offset_come_back_exactly(shrink: int) -> None:
    """On a picture without flat windows the affine map is found as it is."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(30, 90, (30, 40, 3))
    pixels = np.kron(blocks, np.ones((shrink, shrink, 1))).astype(np.uint8)
    changed = (2 * pixels + 20).astype(np.uint8)
    out = Carrier()(pixels, reduce(pixels, shrink), reduce(changed, shrink), shrink)
    assert np.abs(out.astype(int) - changed).max() <= 1


@pytest.mark.parametrize("gamma", [0.5, 0.8, 1.5])
@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_a_tone_curve_comes_back_nearly_exactly(gamma: float, shrink: int) -> None:
    pixels = picture(1, 160, 240)
    curve = np.rint(255.0 * (np.arange(256) / 255.0) ** gamma).astype(np.uint8)
    small = reduce(pixels, shrink)
    out = Carrier()(pixels, small, curve[small], shrink)
    target = curve[pixels] / 255.0
    assert psnr(out / 255.0, target) > 36.0
    plain = np.kron(curve[small], np.ones((shrink, shrink, 1), np.uint8))
    assert psnr(out / 255.0, target) > psnr(plain / 255.0, target) + 3.0


def test_edges_stay_where_they_are() -> None:
    """A dark half made bright must not glow into the bright half."""
    pixels = np.full((64, 128, 3), 200, np.uint8)
    pixels[:, :60] = 20  # not on a block's border
    pixels += np.random.default_rng(0).integers(0, 8, pixels.shape, dtype=np.uint8)
    small = reduce(pixels, 8)
    restored = np.where(small < 110, np.minimum(5 * small.astype(int), 255), small)
    out = Carrier()(pixels, small, restored.astype(np.uint8), 8)
    assert abs(float(out[:, :56].mean()) - 117.0) < 3.0
    assert np.diff(out[:, 56:64].mean((0, 2))).max() > 60.0


def test_fit_is_least_squares_where_there_is_contrast() -> None:
    rng = np.random.default_rng(0)
    guide = rng.uniform(0, 255, (20, 20, 3)).astype(np.float32)
    a, b = fit_affine(guide, 0.5 * guide + 30.0)
    np.testing.assert_allclose(a, 0.5, atol=0.01)
    np.testing.assert_allclose(b, 30.0, atol=1.0)


@pytest.mark.parametrize(("shrink", "roundings"), [(2, 1), (3, 1), (4, 2), (6, 2), (8, 3)])
def test_reduce_is_the_mean_of_blocks_and_cuts_the_rest(shrink: int, roundings: int) -> None:
    pixels = picture(0, 6 * shrink + 1, 7 * shrink + shrink - 1)
    blocks = pixels[: 6 * shrink, : 7 * shrink].reshape(6, shrink, 7, shrink, 3)
    small = reduce(pixels, shrink)
    assert small.shape == (6, 7, 3)
    assert np.abs(small - blocks.astype(float).mean((1, 3))).max() <= 0.5 * roundings
    assert reduce(pixels, 1) is pixels


@pytest.mark.parametrize(("height", "width", "shrink"), [(131, 150, 4), (70, 64, 3), (37, 41, 16)])
def test_bands_and_threads_leave_no_seam(height: int, width: int, shrink: int) -> None:
    """Against the same arithmetic on the whole frame at once."""
    pixels = picture(2, height, width)
    small = reduce(pixels, shrink)
    restored = np.clip(1.4 * small[::-1].astype(float) + 9.0, 0, 255).astype(np.uint8)
    whole = np.empty((2, height, width, 3), np.float32)
    high, wide = small.shape[0] * shrink, small.shape[1] * shrink
    for part, into in zip(fit_affine(small, restored), whole, strict=True):
        into[:high, :wide] = cv2.resize(part, (wide, high), interpolation=cv2.INTER_LINEAR)
        into[:, wide:] = into[:, wide - 1 : wide]
        into[high:] = into[high - 1]
    expected = np.clip(whole[0] * pixels + whole[1], 0.0, 255.0)
    out = Carrier()(pixels, small, restored, shrink)
    assert np.abs(out - expected).max() <= 0.501
