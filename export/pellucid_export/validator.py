"""The same for every file: agreement with torch, what is lost on pictures, milliseconds here."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pellucid.size import Size

from .calibration import Planes, ValidationPair, fit
from .onnx.file import Run, from_levels, to_levels
from .restoration import AnyRestoration
from .thresholds import agreement_db

# Odd sides, both orders, smaller than the network's own multiple.
ODD_SIZES = ((97, 61), (61, 97), (5, 3))
LARGE = 512 * 512  # px; above it two pictures are looked at instead of all


@dataclass(frozen=True)
class Validation:
    """parity_db: worst agreement with torch. drops: dB of PSNR lost by task, positive is worse."""

    parity_db: float
    drops: dict[str, float]

    @property
    def worst(self) -> tuple[str, float]:
        """The task that loses most, and how much."""
        return max(self.drops.items(), key=lambda entry: entry[1], default=("none", 0.0))


class Validator:
    """Holds torch's answers, so that a file costs only its own runs."""

    def __init__(
        self, restoration: AnyRestoration, pairs: Sequence[ValidationPair], image_io: bool
    ) -> None:
        self._restoration = restoration
        self._pairs = pairs
        self._image_io = image_io
        self._answers: dict[tuple[str, Size], Planes] = {}

    def look(self, run: Run, size: Size | None) -> Validation:
        """size: of a file with fixed sides; None looks at odd sizes too."""
        at = size or self._pairs[0].degraded.shape[2:]
        chosen = self._pairs if at[0] * at[1] <= LARGE else self._pairs[:2]
        parity, drops = [], {}
        for pair in chosen:
            degraded = fit(pair.degraded, (at[0], at[1]))
            clean = fit(pair.clean, (pair.scale * at[0], pair.scale * at[1]))
            expected = self._answer(pair.task, degraded)
            got = run(degraded)
            parity.append(agreement_db(got, expected))
            drops[pair.task] = _psnr(expected, clean) - _psnr(got, clean)
        if size is None:
            picture = self._pairs[0].degraded
            for odd in ODD_SIZES:
                crop = fit(picture, odd)
                parity.append(agreement_db(run(crop), self._answer(self._pairs[0].task, crop)))
        return Validation(min(parity), drops)

    def milliseconds(self, runs: Sequence[Run], size: Size | None) -> list[float]:
        """Median time of each run on this machine, taken in turns so that other work on the machine
        slows all of them alike; the first round is not counted."""
        at = size or self._pairs[0].degraded.shape[2:]
        picture = fit(self._pairs[0].degraded, (at[0], at[1]))
        rounds = 7 if at[0] * at[1] <= LARGE else 3
        times: list[list[float]] = [[] for _ in runs]
        for _ in range(rounds + 1):
            for run, taken in zip(runs, times, strict=True):
                start = time.perf_counter()
                run(picture)
                taken.append(time.perf_counter() - start)
        return [1e3 * float(np.median(taken[1:])) for taken in times]

    def _answer(self, task: str, picture: Planes) -> Planes:
        """torch's float32 output; rounded as a file with 8-bit ports must round it."""
        key = (task, (picture.shape[2], picture.shape[3]))
        if key not in self._answers:
            fed = from_levels(to_levels(picture)) if self._image_io else picture
            with torch.no_grad():
                restored = self._restoration.whole(torch.from_numpy(fed)).numpy()
            self._answers[key] = from_levels(to_levels(restored)) if self._image_io else restored
        return self._answers[key]


def _psnr(got: Planes, clean: Planes) -> float:
    error = float(np.mean((np.clip(got, 0.0, 1.0) - clean) ** 2, dtype=np.float64))
    return -10.0 * float(np.log10(max(error, 1e-10))) if np.isfinite(error) else -100.0
