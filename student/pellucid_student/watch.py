"""Held evaluation while training: PSNR on a few pairs of every set, never used for a gradient."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pellucid.metrics import as_8_bits, luma, psnr
from pellucid.pairs import EvalSet, Pair, find_sets, is_resolution_set, iter_pairs
from pellucid_teacher.processes import diffuir

from .plain_unet import PlainUNet

SCHEDULE = diffuir.schedule()


@dataclass(frozen=True)
class Watch:
    """The pairs to watch, in memory."""

    sets: list[tuple[EvalSet, list[Pair]]]

    @staticmethod
    def load(root: Path, pairs: int) -> "Watch":
        """The first `pairs` pairs of every set under `root` that keeps its size."""
        chosen = [s for s in find_sets(root) if not is_resolution_set(s)]
        return Watch([(s, list(islice(iter_pairs(s), pairs))) for s in chosen])

    def line(self, student: PlainUNet, steps: int = 1) -> str:
        """`set in->out` in dB for every set, each by its protocol."""
        student.eval()
        told = []
        for chosen, pairs in self.sets:
            gains = []
            for pair in pairs:
                restored = restore_whole(student, pair.degraded, steps)
                views = [as_8_bits(v) for v in (pair.degraded, restored, pair.clean)]
                before, after, clean = [luma(v) for v in views] if chosen.luma else views
                gains.append((psnr(before, clean), psnr(after, clean)))
            was, now = np.mean(gains, axis=0)
            told.append(f"{chosen.name} {was:.1f}->{now:.2f}")
        student.train()
        return "  ".join(told)


@torch.no_grad()
def restore_whole(
    student: PlainUNet, picture: NDArray[np.float32], steps: int
) -> NDArray[np.float32]:
    """Restore one picture in torch without tiles, (H, W, 3) in [0, 1] -> same."""
    height, width = picture.shape[:2]
    multiple = student.config.multiple
    tensor = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    padded = F.pad(tensor, (0, -width % multiple, 0, -height % multiple), mode="replicate")
    restored: Tensor = diffuir.sample(student, SCHEDULE, 2.0 * padded - 1.0, steps)
    cut = ((restored + 1.0) / 2.0)[0, :, :height, :width]
    return np.asarray(cut.permute(1, 2, 0), dtype=np.float32)
