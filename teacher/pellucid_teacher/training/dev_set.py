"""Evaluation while training: PSNR on a few pairs of every set, never used for a gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pellucid.metrics import as_8_bits, luma, psnr
from pellucid.pairs import EvalSet, Pair, find_sets, iter_pairs

from ..data.bicubic import imresize
from ..system import System

Picture = NDArray[np.float32]  # (H, W, 3) RGB in [0, 1]
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
class DevSet:
    """Pairs that are looked at while training and never trained on, in memory."""

    sets: list[tuple[EvalSet, list[Pair]]]

    @staticmethod
    def load(root: Path, pairs: int, scale: int = 1) -> "DevSet":
        """The first `pairs` pairs of every set under `root` whose targets are `scale` times as
        large. ValueError if there is none."""
        chosen = [s for s in find_sets(root) if s.scale == scale]
        if not chosen:
            raise ValueError(f"{root}: no set with targets {scale} times as large as the inputs")
        return DevSet([(s, list(islice(iter_pairs(s), pairs))) for s in chosen])

    def measure(self, restore: Callable[[Picture], Picture]) -> DevScores:
        figures, columns = {}, []
        for chosen, pairs in self.sets:
            gains: list[tuple[float, float]] = []
            for pair in pairs:
                given = pair.degraded
                if chosen.scale > 1:
                    given = imresize(given, chosen.scale)
                views = [as_8_bits(v) for v in (given, restore(pair.degraded), pair.clean)]
                if chosen.border:
                    inside = slice(chosen.border, -chosen.border)
                    views = [view[inside, inside] for view in views]
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
def restore_picture(system: System, picture: Picture, steps: int | None = None) -> Picture:
    """Restore one picture as a whole, (H, W, 3) in [0, 1], on the device of the system's network,
    from the noise of seed 0."""
    device = next(system.network.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    tensor = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    restored = system.restore(2.0 * tensor.to(device) - 1.0, steps, generator).detach()
    unit = (restored[0] + 1.0) / 2.0
    return np.asarray(unit.permute(1, 2, 0).cpu(), dtype=np.float32)
