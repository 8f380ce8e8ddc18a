"""Measures against closed forms and published reference values."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid.metrics import as_8_bits, ciede2000, delta_e, luma, psnr, srgb_to_lab, ssim

# Sharma, Wu & Dalal (2005), table 1: pairs chosen to hit every branch of the formula.
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0009), 7.1792),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0011), 7.2195),
    ((50.0, -0.0010, 2.4900), (50.0, 0.0009, -2.4900), 4.8045),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def noise(*shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).random(shape)


@pytest.mark.parametrize(("first", "second", "expected"), SHARMA)
def test_ciede2000_reference_pairs(
    first: tuple[float, ...], second: tuple[float, ...], expected: float
) -> None:
    a, b = np.array(first), np.array(second)
    assert float(ciede2000(a, b)) == pytest.approx(expected, abs=1e-4)
    assert float(ciede2000(b, a)) == pytest.approx(expected, abs=1e-4)


def test_lab_of_known_colours() -> None:
    assert np.allclose(srgb_to_lab(np.ones(3)), [100, 0, 0], atol=0.02)
    assert np.allclose(srgb_to_lab(np.array([1.0, 0, 0])), [53.24, 80.09, 67.20], atol=0.02)
    assert np.allclose(srgb_to_lab(np.zeros(3)), 0, atol=1e-6)


def test_psnr_closed_form() -> None:
    a = np.zeros((4, 4, 3))
    assert psnr(a, a + 0.1) == pytest.approx(20.0)
    assert math.isinf(psnr(a, a))


def test_luma_is_matlabs() -> None:
    assert luma(np.ones((1, 1, 3)))[0, 0] == pytest.approx(235 / 255, abs=1e-4)
    assert luma(np.zeros((1, 1, 3)))[0, 0] == pytest.approx(16 / 255)
    assert luma(np.array([[[0.0, 1.0, 0.0]]]))[0, 0] == pytest.approx((16 + 128.553) / 255)


def test_ssim_of_constants_is_its_luminance_term() -> None:
    a, b, c1 = 0.3, 0.6, 1e-4
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert ssim(np.full((16, 16), a), np.full((16, 16), b)) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_a_picture_and_its_negative_contrast() -> None:
    a = noise(32, 32, 3)
    assert ssim(a, a) == pytest.approx(1.0)
    assert ssim(a, 1 - a) < 0


def test_ssim_equals_a_direct_window_sum() -> None:
    """One 11x11 picture has one valid window: sum it without any filter."""
    x, y = noise(11, 11), noise(11, 11) ** 2
    axis = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    w = np.outer(axis, axis) / axis.sum() ** 2
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, cov = (w * x * x).sum() - mx**2, (w * y * y).sum() - my**2, (w * x * y).sum() - mx * my
    expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
    expected /= (mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)
    assert ssim(x, y) == pytest.approx(expected, rel=1e-9)


def test_delta_e_and_rounding() -> None:
    a = as_8_bits(noise(8, 8, 3) * 1.4 - 0.2)
    assert a.min() >= 0 and a.max() <= 1
    assert np.allclose(a * 255, np.rint(a * 255))
    assert delta_e(a, a) == 0


def test_shapes_must_agree() -> None:
    for measure in (psnr, ssim, delta_e):
        with pytest.raises(ValueError, match="one shape"):
            measure(np.zeros((12, 12, 3)), np.zeros((12, 13, 3)))
    with pytest.raises(ValueError, match="at least 11"):
        ssim(np.zeros((5, 5, 3)), np.zeros((5, 5, 3)))
