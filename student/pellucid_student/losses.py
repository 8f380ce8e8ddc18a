"""What a student learns by: its terms as settings, and their parts in closed form.

Pictures are (B, 3, H, W) on the scale of [-1, 1]; every part is a value a sample, (B,).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

# Tried and deleted: in equal-step comparisons each cost time or dB.
DELETED = ("gating", "frequency", "features", "coarse")


@dataclass(frozen=True)
class Losses:
    """The terms of a student's loss (`objective.StudentLoss`).

    later: share of the batches that are half-restored pictures, as later calls see them.
    teacher, teacher_end: weight λ of the teacher term at start and end of a run that has one, so
    that the truth has the last word. teacher_share: share of the steps that ask the teacher; a
    large one costs more than the step. perceptual: weight ω of ST-LPIPS, outside the logarithm, for
    a build that looks sharp at a cost in dB.
    """

    later: float = 0.3
    teacher: float = 1.0
    teacher_end: float = 0.1
    teacher_share: float = 1.0
    perceptual: float = 0.0

    def __post_init__(self) -> None:
        for name in ("later", "teacher_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a share, expected 0..1, got {getattr(self, name)}")

    def with_terms(self, names: Sequence[str]) -> "Losses":
        """These, and the named optional terms. Raises ValueError for a name that is none."""
        for name in names:
            if name in DELETED:
                raise ValueError(
                    f"the loss term {name!r} is gone, because it never paid; what remains is "
                    "`perceptual`, and always the later calls and, with --teacher, the teacher"
                )
            if name not in ("perceptual", "unroll"):  # later calls, which had to be asked for once
                raise ValueError(f"unknown loss term {name!r}; known: perceptual")
        return replace(self, perceptual=0.1) if "perceptual" in names else self


def rms(a: Tensor, b: Tensor) -> Tensor:
    """sqrt(mean (a - b)^2), (B,); its gradient at a = b is 0, not undefined."""
    return ((a - b).square().mean(dim=(1, 2, 3)) + 1e-8).sqrt()


def l1(a: Tensor, b: Tensor) -> Tensor:
    """mean |a - b|, (B,)."""
    return (a - b).abs().mean(dim=(1, 2, 3))


def annealed(start: float, end: float, progress: float) -> float:
    """Linear from `start` at the beginning of a run to `end` at its end."""
    return start + (end - start) * min(1.0, max(0.0, progress))
