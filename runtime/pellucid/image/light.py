"""Pictures whose values are not sRGB codes from 0 to 1: what a network sees of them, and back.

Two kinds: PNG with a gamma of its own (gAMA; 1.0 is linear light, which looks like a dark photo to
a network), and float pictures that run beyond 1 (to 255, or highlights).
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .png import SRGB_GAMMA, gamma_of
from .scratch import bands, copy_picture, empty_picture

Array = NDArray[Any]
Restore = Callable[[Array], bool]
Enlarge = Callable[[Array], Array]

_NEAR_SRGB = 0.1  # relative difference of a gamma that nobody sees
_SCALES = (255.0, 65535.0)
_SAMPLE = 1 << 16  # values


def restore_coded(pixels: Array, metadata: dict[int, bytes], restore: Restore) -> tuple[str, ...]:
    """Restore in place what `metadata` say of the pixels' coding; notes on what was assumed.

    restore: works in place on sRGB codes, integers or floats in [0, 1]; False if it left them.
    """
    if np.issubdtype(pixels.dtype, np.floating):
        return _restore_float(pixels, restore)
    gamma = gamma_of(metadata)
    if abs(gamma / SRGB_GAMMA - 1.0) <= _NEAR_SRGB:
        restore(pixels)
        return ()
    _restore_gamma(pixels, gamma, restore)
    return (f"its samples are coded with gamma {gamma:g}, which is honoured and kept",)


def enlarge_coded(
    pixels: Array, metadata: dict[int, bytes], enlarge: Enlarge
) -> tuple[Array, tuple[str, ...]]:
    """The enlarged picture in the pixels' own coding, and notes as of `restore_coded`.

    enlarge: takes sRGB codes, integers or floats in [0, 1], with alpha if there is one.
    """
    if np.issubdtype(pixels.dtype, np.floating):
        return _enlarge_float(pixels, enlarge)
    gamma = gamma_of(metadata)
    if abs(gamma / SRGB_GAMMA - 1.0) <= _NEAR_SRGB:
        return enlarge(pixels), ()
    there, back = _tables(gamma, pixels.dtype)
    alpha_levels = 65535 // np.iinfo(pixels.dtype).max
    seen = empty_picture(pixels.shape, np.dtype(np.uint16))
    (colours, alpha), (seen_colours, seen_alpha) = _split(pixels), _split(seen)
    for band in bands(pixels):
        seen_colours[band] = there[colours[band]]
    if alpha is not None and seen_alpha is not None:
        seen_alpha[...] = alpha.astype(np.uint16) * np.uint16(alpha_levels)
    large = enlarge(seen)
    made = empty_picture(large.shape, pixels.dtype)
    (colours, alpha), (seen_colours, seen_alpha) = _split(made), _split(large)
    for band in bands(made):
        colours[band] = back[seen_colours[band]]
        if alpha is not None and seen_alpha is not None:
            alpha[band] = np.rint(seen_alpha[band] / alpha_levels)
    return made, (f"its samples are coded with gamma {gamma:g}, which is honoured and kept",)


def _enlarge_float(pixels: Array, enlarge: Enlarge) -> tuple[Array, tuple[str, ...]]:
    """Floats of any scale; what lies outside [0, 1] is enlarged linearly and added again."""
    colours, alpha = _split(pixels)
    scale, notes = _scale_of(colours if alpha is None else colours[alpha > 0])
    unit = colours / np.float32(scale)
    if not np.isfinite(unit).all():
        return enlarge(pixels), ()  # which refuses it with a sentence
    seen = np.clip(unit, 0.0, 1.0)
    large = enlarge(seen if alpha is None else np.dstack([seen, alpha]))
    beyond = unit - seen
    made, _ = _split(large)
    if beyond.any():
        size = (large.shape[1], large.shape[0])
        made += np.asarray(cv2.resize(beyond, size, interpolation=cv2.INTER_LINEAR))
        notes = (*notes, "its values outside 0 to 1 are enlarged linearly")
    made *= np.float32(scale)
    return large, notes


def _tables(gamma: float, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """From codes of a gamma to sRGB codes of 16 bits, and back."""
    white = float(np.iinfo(dtype).max)
    codes = np.arange(white + 1) / white
    there = np.rint(_srgb_code(codes ** (1.0 / gamma)) * 65535).astype(np.uint16)
    back = np.rint(_srgb_light(np.arange(65536) / 65535) ** gamma * white).astype(dtype)
    return there, back


def _restore_gamma(pixels: Array, gamma: float, restore: Restore) -> None:
    """Codes to light to sRGB with 16 bits, restored, and back; what the network left is left."""
    there, back = _tables(gamma, pixels.dtype)
    colours, visible = _split(pixels)
    seen = empty_picture(pixels.shape, np.dtype(np.uint16))
    seen_colours, seen_visible = _split(seen)
    for band in bands(pixels):
        seen_colours[band] = there[colours[band]]
    if visible is not None and seen_visible is not None:
        seen_visible[...] = visible > 0
    restored = copy_picture(seen)
    if not restore(restored):
        return
    restored_colours, _ = _split(restored)
    for band in bands(pixels):
        changed = restored_colours[band] != seen_colours[band]
        colours[band] = np.where(changed, back[restored_colours[band]], colours[band])


def _restore_float(pixels: Array, restore: Restore) -> tuple[str, ...]:
    """Floats of any scale: what lies outside [0, 1] is put aside and added again."""
    colours, alpha = _split(pixels)
    hidden = None if alpha is None or alpha.min() > 0 else alpha == 0
    scale, notes = _scale_of(colours if hidden is None else colours[~hidden])
    beyond = colours / np.float32(scale) if scale != 1.0 else colours.copy()
    if scale == 1.0 and float(beyond.min()) >= 0.0 and float(beyond.max()) <= 1.0:
        restore(pixels)
        return ()
    if not np.isfinite(beyond).all():
        restore(pixels)  # which refuses it with a sentence
        return ()
    seen = np.clip(beyond, 0.0, 1.0)
    beyond -= seen
    if hidden is not None:
        seen = np.dstack([seen, np.where(hidden, np.float32(0), np.float32(1))])
    if not restore(seen):
        return notes
    restored = (_split(seen)[0] + beyond) * np.float32(scale)
    colours[...] = restored if hidden is None else np.where(hidden[..., None], colours, restored)
    if beyond.any():
        notes = (*notes, "its values outside 0 to 1 are kept as they are")
    return notes


def _split(pixels: Array) -> tuple[Array, Array | None]:
    """Views of the colours, (H, W) or (H, W, 3), and of alpha, (H, W); None if there is none."""
    has_alpha = pixels.ndim == 3 and pixels.shape[2] == 4
    return (pixels[..., :3], pixels[..., 3]) if has_alpha else (pixels, None)


def _scale_of(colours: Array) -> tuple[float, tuple[str, ...]]:
    """What white is: 1, unless most values are larger, or all are whole numbers."""
    values = colours.reshape(-1)
    if not values.size:
        return 1.0, ()
    sample = values[:: max(1, values.size // _SAMPLE)]
    most = float(colours.max())
    whole = bool((sample == np.rint(sample)).all())
    if not most > 1.0 or not (whole or float(np.median(sample)) > 1.0):
        return 1.0, ()
    scale = next((scale for scale in _SCALES if most <= scale), most)
    return scale, (f"its values run to {most:g}: {scale:g} is taken for white",)


def _srgb_code(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """IEC 61966-2-1: light in [0, 1] to codes."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _srgb_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """IEC 61966-2-1: codes in [0, 1] to light."""
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
