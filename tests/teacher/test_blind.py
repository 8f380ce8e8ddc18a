"""Blind degradations: kernels in closed form, sizes, ranges, repeatability."""

from math import pi

import numpy as np
import pytest
from scipy.special import j1

from pellucid_teacher.data import blind, faces
from pellucid_teacher.data.blind import gaussian_kernel, poisson_noise, random_kernel, sinc_kernel


def photo(side: int = 64) -> np.ndarray:
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    return np.stack([x, y, (x + y) / 2], axis=2)


def test_gaussian_kernel_has_the_asked_spread_and_direction() -> None:
    kernel = gaussian_kernel(41, (4.0, 1.5), 0.0)
    y, x = np.mgrid[-20:21, -20:21]
    assert kernel.sum() == pytest.approx(1.0, abs=1e-6)
    assert (kernel * x**2).sum() == pytest.approx(16.0, rel=0.01)
    assert (kernel * y**2).sum() == pytest.approx(2.25, rel=0.01)
    turned = gaussian_kernel(41, (4.0, 1.5), pi / 2)
    assert np.allclose(turned, kernel.T, atol=1e-7)


def test_plateau_is_flatter_than_a_gaussian() -> None:
    plain, plateau = (gaussian_kernel(21, (3.0, 3.0), 0.0, 2.0, flat) for flat in (False, True))
    assert plateau[10, 10] < plain[10, 10]


def test_sinc_is_the_bessel_low_pass() -> None:
    kernel = sinc_kernel(21, 2.0)
    r = np.hypot(3.0, 4.0)
    ratio = (2.0 * j1(2.0 * r) / (2 * pi * r)) / (4.0 / (4 * pi))
    assert kernel[10 + 3, 10 + 4] / kernel[10, 10] == pytest.approx(ratio, abs=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_every_kernel_keeps_the_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert random_kernel(rng, blind.REAL.first, 0.3).sum() == pytest.approx(1.0, abs=1e-5)


def test_poisson_noise_has_the_variance_of_its_photons() -> None:
    flat = np.full((200, 200, 3), 0.4, np.float32)
    noise = poisson_noise(flat, np.random.default_rng(0), 2.0, gray=False)
    assert noise.std() == pytest.approx(2.0 * np.sqrt(0.4 * 255.0) / 255.0, rel=0.02)
    assert poisson_noise(flat, np.random.default_rng(0), 2.0, gray=True).shape == (200, 200, 1)


def test_real_degradation_is_small_8_bit_and_repeatable() -> None:
    low = [blind.degrade(photo(), np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert low[0].shape == (16, 16, 3) and low[0].dtype == np.float32
    assert np.array_equal(low[0], low[1]) and not np.array_equal(low[0], low[2])
    assert np.allclose(low[0] * 255.0, np.round(low[0] * 255.0), atol=1e-4)
    with pytest.raises(ValueError, match="multiples of 4"):
        blind.degrade(photo(30), np.random.default_rng(0))


def test_faces_keep_their_size_and_lose_detail() -> None:
    rng = np.random.default_rng(5)
    clean = np.random.default_rng(6).random((64, 64, 3), dtype=np.float32)
    degraded, truth = faces.degrade(clean, rng, faces.TESTING)
    assert degraded.shape == clean.shape and np.array_equal(truth, clean)
    assert degraded.std() < 0.5 * clean.std()


def test_a_gray_face_has_a_gray_truth() -> None:
    gray = faces.FaceRecipe(gray=1.0)
    degraded, truth = faces.degrade(photo(), np.random.default_rng(0), gray)
    assert np.array_equal(truth[..., 0], truth[..., 2])
    assert degraded.shape == truth.shape
