"""What an exported file must reach, and the errors that say it did not."""

import numpy as np
from numpy.typing import NDArray

from pellucid import PellucidError

# PSNR of the difference to torch, peak 1. fp32: rounding order only. fp16: storage of activations.
FLOAT_FLOOR_DB = {"fp32": 100.0, "fp16": 55.0}
# 8-bit output: a value near a rounding boundary may fall to either side, which costs 48 dB a pixel.
# fp32 may turn one pixel in 500 by one level, fp16 one in 10.
IMAGE_FLOOR_DB = {"fp32": 75.0, "fp16": 55.0}
IDENTICAL_DB = 200.0


class ExportError(PellucidError):
    """An export cannot be made as asked; nothing was written."""


class QualityError(ExportError):
    """A file was made and is worse than it may be; it was thrown away."""


class ParityError(QualityError):
    """The exported graph does not compute what the network computes; nothing was written."""


def parity_floor_db(precision: str, image_io: bool) -> float | None:
    """Least agreement with torch; None for integer precisions, judged by their drop on pictures."""
    return (IMAGE_FLOOR_DB if image_io else FLOAT_FLOOR_DB).get(precision)


def agreement_db(got: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """PSNR of the difference for peak 1; 200 dB for identical arrays; -inf where not finite."""
    if got.shape != expected.shape or not np.isfinite(got).all():
        return float("-inf")
    mse = float(np.mean((got.astype(np.float64) - expected) ** 2))
    return IDENTICAL_DB if mse == 0.0 else min(IDENTICAL_DB, -10.0 * float(np.log10(mse)))
