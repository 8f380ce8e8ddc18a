"""Full-reference measures on RGB pictures in [0, 1], as the field's tables compute them.

Round both pictures to 8 bits first (`as_8_bits`): files are what people compare.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]

_WINDOW, _SIGMA = 11, 1.5  # SSIM's Gaussian (Wang et al., 2004)
SMALLEST = _WINDOW  # px a side; smaller pictures have no SSIM


def as_8_bits(image: NDArray[np.floating]) -> Image:
    """Clip to [0, 1] and round to the 256 values a file can hold."""
    return np.rint(np.clip(np.asarray(image, np.float64), 0.0, 1.0) * 255.0) / 255.0


def luma(rgb: NDArray[np.floating]) -> Image:
    """BT.601 studio-range luma in [16/255, 235/255], (H, W, 3) -> (H, W): MATLAB's rgb2ycbcr."""
    weights = np.array([65.481, 128.553, 24.966])
    return np.asarray((16.0 + np.asarray(rgb, np.float64) @ weights) / 255.0)


def match_mean(restored: NDArray[np.floating], clean: NDArray[np.floating]) -> Image:
    """`restored` times one factor so that its mean grey is that of `clean`, clipped to [0, 1].

    The GT-mean protocol of low-light papers (KinD, Zhang et al., 2019): exposure is given away by
    the clean picture, so its figures stand beside the plain ones and never replace them.
    Grey is full-range BT.601, as the published scripts take it. A black picture stays black.
    """
    _same_shape(restored, clean)
    weights = np.array([0.299, 0.587, 0.114])
    values = np.asarray(restored, np.float64)
    was, wanted = float(np.mean(values @ weights)), float(np.mean(np.asarray(clean) @ weights))
    return np.clip(values * (wanted / was), 0.0, 1.0) if was > 0.0 else values


def psnr(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """10·log10(1 / MSE) over all values, dB; infinite for equal pictures."""
    _same_shape(a, b)
    mse = float(np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2))
    return float("inf") if mse == 0.0 else float(-10.0 * np.log10(mse))


def ssim(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Structural similarity, Gaussian window 11/1.5, valid region, mean over channels."""
    _same_shape(a, b)
    if min(a.shape[:2]) < _WINDOW:
        raise ValueError(f"SSIM needs sides of at least {_WINDOW} px, got {a.shape[:2]}")
    x, y = (np.asarray(v, np.float64).reshape(*v.shape[:2], -1) for v in (a, b))
    scores = [_ssim_plane(x[..., c], y[..., c]) for c in range(x.shape[2])]
    return float(np.mean(scores))


def _ssim_plane(x: Image, y: Image) -> float:
    c1, c2 = 0.01**2, 0.03**2
    mx, my = _mean(x), _mean(y)
    vx, vy, cov = _mean(x * x) - mx * mx, _mean(y * y) - my * my, _mean(x * y) - mx * my
    score = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(score.mean())


def _mean(x: Image) -> Image:
    blurred = cv2.GaussianBlur(x, (_WINDOW, _WINDOW), _SIGMA, borderType=cv2.BORDER_REFLECT_101)
    edge = _WINDOW // 2
    return np.asarray(blurred, np.float64)[edge:-edge, edge:-edge]


def delta_e(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Mean CIEDE2000 colour difference of two sRGB pictures under D65; about 1 is just visible."""
    _same_shape(a, b)
    return float(np.mean(ciede2000(srgb_to_lab(a), srgb_to_lab(b))))


def srgb_to_lab(rgb: NDArray[np.floating]) -> Image:
    """sRGB (IEC 61966-2-1) to CIE L*a*b*, D65 white, (..., 3)."""
    v = np.asarray(rgb, np.float64)
    linear = np.where(v <= 0.04045, v / 12.92, ((np.maximum(v, 0.0) + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    eps, kappa = 216 / 24389, 24389 / 27
    f = np.where(xyz > eps, np.cbrt(xyz), (kappa * xyz + 16) / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(lab1: Image, lab2: Image) -> Image:
    """CIEDE2000 difference of L*a*b* colours, (..., 3) -> (...): Sharma, Wu & Dalal (2005)."""
    l1, a1, b1 = np.moveaxis(np.asarray(lab1, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(lab2, np.float64), -1, 0)
    # Eq. 2-7: chroma corrected so that neutral colours count more
    c_mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    g = 0.5 * (1 - np.sqrt(c_mean7 / (c_mean7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    # Eq. 8-11: differences; hue is undefined where either chroma is 0
    grey = c1 * c2 == 0
    dh = np.where(grey, 0.0, (h2 - h1 + 180) % 360 - 180)
    dl, dc = l2 - l1, c2 - c1
    dh_big = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh / 2))
    # Eq. 12-14: means; the hue mean goes the short way round
    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    h_mean = np.where(grey, h1 + h2, _hue_mean(h1, h2))
    # Eq. 15-22
    t = (
        1
        - 0.17 * np.cos(np.radians(h_mean - 30))
        + 0.24 * np.cos(np.radians(2 * h_mean))
        + 0.32 * np.cos(np.radians(3 * h_mean + 6))
        - 0.20 * np.cos(np.radians(4 * h_mean - 63))
    )
    s_l = 1 + 0.015 * (l_mean - 50) ** 2 / np.sqrt(20 + (l_mean - 50) ** 2)
    s_c = 1 + 0.045 * c_mean
    s_h = 1 + 0.015 * c_mean * t
    r_c = 2 * np.sqrt(c_mean**7 / (c_mean**7 + 25.0**7))
    turn = 30 * np.exp(-(((h_mean - 275) / 25) ** 2))
    r_t = -np.sin(np.radians(2 * turn)) * r_c
    l_term, c_term, h_term = dl / s_l, dc / s_c, dh_big / s_h
    squared = l_term**2 + c_term**2 + h_term**2 + r_t * c_term * h_term
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def _hue_mean(h1: Image, h2: Image) -> Image:
    total = h1 + h2
    far = np.abs(h1 - h2) > 180
    return np.where(far, np.where(total < 360, total + 360, total - 360), total) / 2


def _same_shape(a: NDArray[np.floating], b: NDArray[np.floating]) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures must have one shape, got {a.shape} and {b.shape}")
