"""The single terms of distillation, each a small function with a closed form.

Pictures are (B, 3, H, W) on the scale of [-1, 1]; every term is a value a sample, (B,).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

GATE_FLOOR = 1.0 / 255.0  # a student this near to the truth has nothing to gain from a teacher


def gate(student: Tensor, teacher: Tensor, truth: Tensor) -> Tensor:
    """How much of the student's error the teacher would remove, per pixel, (B, 1, H, W) in [0, 1].

        g = max(0, 1 - |T - truth| / |S - truth|),  errors averaged over the channels

    0 wherever the teacher is no better than the student: there it must not pull. No gradient.
    """
    with torch.no_grad():
        own = (student - truth).abs().mean(dim=1, keepdim=True)  # (B, 1, H, W)
        theirs = (teacher - truth).abs().mean(dim=1, keepdim=True)
        return ((own - theirs) / own.clamp(min=GATE_FLOOR)).clamp(0.0, 1.0)


def rms(a: Tensor, b: Tensor) -> Tensor:
    """sqrt(mean (a - b)^2), (B,); its gradient at a = b is 0, not undefined."""
    return ((a - b).square().mean(dim=(1, 2, 3)) + 1e-8).sqrt()


def l1(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """mean |a - b|, each pixel times its weight (B, 1, H, W), (B,)."""
    difference = (a - b).abs()
    return (difference if weight is None else weight * difference).mean(dim=(1, 2, 3))


def frequency_l1(a: Tensor, b: Tensor) -> Tensor:
    """mean of |Re| + |Im| of the orthonormal 2-D spectrum of a - b, (B,).

    L1 over frequencies does not let a few strong edges hide missing texture. Orthonormal, so white
    errors weigh as much as in the picture.
    """
    spectrum = torch.view_as_real(torch.fft.rfft2((a - b).float(), norm="ortho"))
    return spectrum.abs().sum(dim=-1).mean(dim=(1, 2, 3))


def pooled(image: Tensor, factor: int) -> Tensor:
    """Area average by `factor`; the sides must be multiples of it."""
    return image if factor == 1 else F.avg_pool2d(image, factor)


def coarseness(progress: float, share: float) -> int:
    """Coarse to fine: targets reduced 4 times, then 2 times, within the first `share` of a run."""
    if progress >= share:
        return 1
    return 4 if progress < share / 2 else 2


def annealed(start: float, end: float, progress: float) -> float:
    """Linear from `start` at the beginning of a run to `end` at its end."""
    return start + (end - start) * min(1.0, max(0.0, progress))
