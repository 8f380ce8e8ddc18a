"""Arrays as pictures: which are accepted, and as planes for a network."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import PhotoError
from .image.photo import full_scale

FLOAT_SLACK = 0.5  # resampling overshoots [0, 1]; more than this is another scale

Array = NDArray[Any]


def check_pixels(pixels: Array, strength: float) -> None:
    if not 0.0 <= strength <= 1.0:
        raise PhotoError(f"strength must be between 0 and 1, got {strength}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise PhotoError(
            f"expected (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, got shape {pixels.shape}"
        )
    if 0 in pixels.shape:
        raise PhotoError(f"the picture is empty: shape {pixels.shape}")
    if pixels.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise PhotoError(f"expected uint8, uint16 or float in [0, 1], got {pixels.dtype}")
    if np.issubdtype(pixels.dtype, np.floating):
        low, high = float(pixels.min()), float(pixels.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise PhotoError("the picture holds NaN or infinite values")
        if low < -FLOAT_SLACK or high > 1.0 + FLOAT_SLACK:
            raise PhotoError(
                f"expected floats in [0, 1], got {low:.4g} to {high:.4g}; divide by the value of "
                "white, such as 255, or clip"
            )


def check_state(pixels: Array, state: Array | None) -> None:
    expected = (*pixels.shape[:2], 1 if pixels.ndim == 2 else min(pixels.shape[2], 3))
    if state is not None and (state.shape != expected or state.dtype != pixels.dtype):
        raise PhotoError(
            f"expected a state like the picture, {expected} {pixels.dtype}, "
            f"got {state.shape} {state.dtype}"
        )


def to_floats(pixels: Array) -> NDArray[np.float32]:
    """Any type to float32, white 1; same shape."""
    return np.asarray(pixels, np.float32) / np.float32(full_scale(pixels.dtype))


def to_planes(window: Array) -> NDArray[np.float32]:
    """(h, w, 3 or 1) of any type -> (1, 3, h, w) in [0, 1]."""
    image = np.empty((1, 3, *window.shape[:2]), np.float32)
    white = np.float32(full_scale(window.dtype))
    np.divide(window.transpose(2, 0, 1), white, out=image[0], casting="same_kind")
    return image
