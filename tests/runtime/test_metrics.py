"""Measures against closed forms and published reference values."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid.metrics import (
    as_8_bits,
    ciede2000,
    delta_e,
    luma,
    match_mean,
    psnr,
    srgb_to_lab,
    ssim,
)

# Sharma, Wu & Dalal (2005), table 1, all 34 pairs: L*, a*, b* of both colours, then CIEDE2000.
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000
50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0010 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195
50 2.4900 -0.0010 50 -2.4900 0.0012 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0010 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0011 -2.4900 4.7461
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000
50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def noise(*shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).random(shape)


@pytest.mark.parametrize("line", SHARMA.strip().splitlines())
def test_ciede2000_reference_pairs(line: str) -> None:
    *colours, expected = np.array(line.split(), float)
    a, b = np.array(colours[:3]), np.array(colours[3:])
    assert float(ciede2000(a, b)) == pytest.approx(expected, abs=5.1e-5)  # four decimals printed
    assert float(ciede2000(b, a)) == pytest.approx(expected, abs=5.1e-5)


def test_all_of_the_reference_pairs_are_there() -> None:
    assert len(SHARMA.strip().splitlines()) == 34


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


def test_mean_matching_undoes_an_exposure_and_nothing_else() -> None:
    clean = 0.1 + 0.3 * noise(16, 16, 3)
    assert np.allclose(match_mean(clean * 0.4, clean), clean)
    assert np.allclose(match_mean(clean * 2.0, clean), clean)
    tinted = clean * [0.5, 1.0, 1.0]
    assert psnr(match_mean(tinted, clean), clean) < 40, "one factor for all channels"
    assert match_mean(np.full((4, 4, 3), 0.5), np.full((4, 4, 3), 2.0)).max() == 1.0
    assert np.array_equal(match_mean(np.zeros((4, 4, 3)), clean[:4, :4]), np.zeros((4, 4, 3)))
