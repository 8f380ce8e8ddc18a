"""Flicker: how much consecutive outputs differ where the picture only moved.

Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, section 5.2, eq. 8: mean
warping error. The motion comes from the clean clip, so that it is the same for all that are
compared, and what was covered or uncovered is left out by the forward-backward check of
Ruder et al., "Artistic style transfer for videos", GCPR 2016, eq. 5. Here it is the absolute
error, in units of 8-bit levels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..motion import carry

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB


def motion(before: Pixels, after: Pixels) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """((H, W, 2) px, (H, W)): where each pixel of `after` was in `before`, and whether it was seen.

    Motion is DIS optical flow on luma.
    """
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    one, other = (cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in (before, after))
    back = np.asarray(finder.calc(other, one, np.zeros((*one.shape, 2), np.float32)), np.float32)
    forth = np.asarray(finder.calc(one, other, np.zeros((*one.shape, 2), np.float32)), np.float32)
    returned = carry(forth, back)
    mismatch = np.sum((back + returned) ** 2, axis=2)
    allowed = 0.01 * (np.sum(back**2, axis=2) + np.sum(returned**2, axis=2)) + 0.5
    height, width = one.shape
    x, y = np.meshgrid(np.arange(width) + 0.0, np.arange(height) + 0.0)
    from_x, from_y = x + back[..., 0], y + back[..., 1]
    inside = (from_x >= 0) & (from_x <= width - 1) & (from_y >= 0) & (from_y <= height - 1)
    return back, np.asarray((mismatch < allowed) & inside)


def flicker(frames: Sequence[Pixels], clean: Sequence[Pixels]) -> float:
    """Mean absolute warping error between consecutive frames, in 8-bit levels.

    frames, clean: equally many, equally large (H, W, 3) uint8. flicker(clean, clean) is what the
    clip itself and the flow's errors give: compare with that. Raises ValueError for other shapes.
    """
    if len(frames) != len(clean) or len(frames) < 2:
        raise ValueError(
            f"expected equally many frames, at least 2; got {len(frames)}, {len(clean)}"
        )
    errors = []
    for k in range(1, len(frames)):
        if frames[k].shape != clean[k].shape or frames[k].shape != frames[k - 1].shape:
            raise ValueError(f"frame {k}: {frames[k].shape}, clean {clean[k].shape}")
        flow, seen = motion(clean[k - 1], clean[k])
        moved = carry(frames[k - 1].astype(np.float32), flow)
        error = np.abs(frames[k].astype(np.float32) - moved).mean(axis=2)
        if seen.any():
            errors.append(float(error[seen].mean()))
    return float(np.mean(errors)) if errors else 0.0
