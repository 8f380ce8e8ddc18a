"""Held evaluation while training: PSNR on a few pairs of every set, never used for a gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pellucid.metrics import as_8_bits, luma, psnr
from pellucid.pairs import EvalSet, Pair, find_sets, is_resolution_set, iter_pairs

Picture = NDArray[np.float32]  # (H, W, 3) RGB in [0, 1]
Restore = Callable[[Tensor], Tensor]  # (B, 3, H, W) in [-1, 1] -> same
TILE = 160  # side of a picture in the grid, px


@dataclass(frozen=True)
class DevScores:
    """figures: set -> (PSNR in, PSNR out), each by its protocol.
    grid: first pair of every set as before / after / clean, (H, W, 3) uint8."""

    figures: dict[str, tuple[float, float]]
    grid: NDArray[np.uint8]

    def line(self) -> str:
        return "  ".join(f"{name} {a:.1f}->{b:.2f}" for name, (a, b) in self.figures.items())


@dataclass(frozen=True)
class Watch:
    """The pairs to watch, in memory."""

    sets: list[tuple[EvalSet, list[Pair]]]

    @staticmethod
    def load(root: Path, pairs: int) -> "Watch":
        """The first `pairs` pairs of every set under `root` that keeps its size."""
        chosen = [s for s in find_sets(root) if not is_resolution_set(s)]
        return Watch([(s, list(islice(iter_pairs(s), pairs))) for s in chosen])

    def look(self, restore: Callable[[Picture], Picture]) -> DevScores:
        figures, columns = {}, []
        for chosen, pairs in self.sets:
            gains: list[tuple[float, float]] = []
            for pair in pairs:
                views = [as_8_bits(v) for v in (pair.degraded, restore(pair.degraded), pair.clean)]
                if len(gains) == 0:
                    columns.append(np.concatenate([_tile(view) for view in views]))
                before, after, clean = [luma(v) for v in views] if chosen.luma else views
                gains.append((psnr(before, clean), psnr(after, clean)))
            was, now = np.mean(gains, axis=0)
            figures[chosen.name] = (float(was), float(now))
        return DevScores(figures, np.concatenate(columns, axis=1))


def _tile(picture: NDArray[np.float64]) -> NDArray[np.uint8]:
    side = min(picture.shape[:2])
    square = np.ascontiguousarray(picture[:side, :side], dtype=np.float32)
    small = cv2.resize(square, (TILE, TILE), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(np.asarray(small) * 255.0), dtype=np.uint8)


@torch.no_grad()
def restore_whole(
    restore: Restore, picture: Picture, multiple: int = 1, device: torch.device | None = None
) -> Picture:
    """Restore one picture, without tiles.

    multiple: pad right and bottom by repetition to multiples of it, cut again afterwards.
    """
    height, width = picture.shape[:2]
    tensor = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    padded = F.pad(tensor, (0, -width % multiple, 0, -height % multiple), mode="replicate")
    degraded = 2.0 * padded.to(device or "cpu") - 1.0
    cut = ((restore(degraded) + 1.0) / 2.0)[0, :, :height, :width]
    return np.asarray(cut.permute(1, 2, 0).cpu(), dtype=np.float32)
