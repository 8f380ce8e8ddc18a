"""Motion between frames whose motion is known."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid.motion import MotionEstimator, carry

RNG = np.random.default_rng(0)
NOISE = RNG.uniform(0.0, 1.0, (500, 700, 3)).astype(np.float32)
SOFT = np.asarray(cv2.GaussianBlur(NOISE, (0, 0), 5.0))
SCENE = 0.05 + 0.9 * (SOFT - SOFT.min()) / (SOFT.max() - SOFT.min())


def view(top: int, left: int, height: int = 360, width: int = 480) -> NDArray[Any]:
    return np.ascontiguousarray(SCENE[top : top + height, left : left + width])


def moved(before: NDArray[Any], now: NDArray[Any]) -> NDArray[Any]:
    estimator = MotionEstimator()
    assert estimator.follow(before) is None
    flow = estimator.follow(now)
    assert flow is not None
    return flow


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("gain", [1.0, 0.06])
def test_a_known_shift_is_found_also_in_the_dark(dtype: type, gain: float) -> None:
    white = 1.0 if dtype is np.float32 else float(np.iinfo(dtype).max)
    before: NDArray[Any] = (view(40, 60) * gain * white).astype(dtype)
    now: NDArray[Any] = (view(43, 53) * gain * white).astype(dtype)
    flow = moved(before, now)
    inner = flow[30:-30, 30:-30]
    assert flow.shape == (360, 480, 2)
    assert np.allclose(np.median(inner, axis=(0, 1)), (-7.0, 3.0), atol=0.3)
    carried = carry(before, flow)
    assert carried.dtype == dtype
    error = np.abs(carried.astype(np.float64) - now)[30:-30, 30:-30].mean() / (gain * white)
    still = np.abs(before.astype(np.float64) - now)[30:-30, 30:-30].mean() / (gain * white)
    assert error < 0.02 < still


def test_a_still_or_tiny_frame_does_not_move() -> None:
    assert np.abs(moved(view(9, 9), view(9, 9))).max() < 0.1
    flat = np.full((64, 64, 3), 90, np.uint8)
    assert np.abs(moved(flat, flat)).max() < 0.1
    assert not moved(view(0, 0, 5, 7), view(3, 3, 5, 7)).any()


def test_another_size_and_a_reset_start_anew() -> None:
    estimator = MotionEstimator()
    assert estimator.follow(view(0, 0)) is None
    assert estimator.follow(view(0, 0, 100, 200)) is None
    assert estimator.follow(view(0, 0, 100, 200)) is not None
    estimator.reset()
    assert estimator.follow(view(0, 0, 100, 200)) is None


def test_borders_repeat() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4, 1).repeat(3, axis=2)
    flow = np.zeros((3, 4, 2), np.float32)
    flow[..., 0] = 2.0
    assert carry(picture, flow)[..., 0].tolist() == [[2, 3, 3, 3], [6, 7, 7, 7], [10, 11, 11, 11]]
