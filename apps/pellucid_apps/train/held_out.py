"""How much a training helps on photos that it does not see."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid_student.validation import ValidationCrops
    from pellucid_teacher.data.corpus import Corpus
    from pellucid_teacher.data.stream import Samples
    from pellucid_teacher.system import System

FEWEST = 20  # clean photos from which some are held out
_CROPS = 2  # of each task: seconds, not minutes, for a teacher on a CPU
_CROPS_OF_ONE_TASK = 8
_SIDE = 128
_FILE = "held-out.json"

Figures = dict[str, float]  # task -> dB


@dataclass(frozen=True)
class HeldOut:
    """crops: of photos that stay out of the training. folder: of the run, which keeps the figures
    of its beginning."""

    crops: "ValidationCrops"
    folder: Path

    @staticmethod
    def load(
        data: str,
        leave_out: frozenset[str],
        folder: Path,
        draw: "Callable[[Corpus, int], Samples] | None" = None,
    ) -> "tuple[Corpus, HeldOut | None]":
        """(the corpus to train on, without the files that `is_held` names; the rest); everything
        and None where there are few photos.

        draw: see `Recipe.draw`; None: crops of every task of the synthesis.
        """
        from pellucid_student.validation import ValidationCrops
        from pellucid_teacher.data.corpus import is_held
        from pellucid_teacher.data.shards import open_corpus

        held = open_corpus(data, leave_out, is_held)
        learnt = open_corpus(data, leave_out, lambda path: not is_held(path))
        if len(learnt.clean) + len(held.clean) < FEWEST or not held.clean or not learnt.clean:
            return open_corpus(data, leave_out), None
        if draw is None:
            return learnt, HeldOut(ValidationCrops.draw(held, _CROPS, _SIDE), folder)
        crops = ValidationCrops.of(draw(held, _SIDE), "crops", _CROPS_OF_ONE_TASK)
        return learnt, HeldOut(crops, folder)

    def measure(self, system: "System") -> Figures:
        """PSNR of what the system restores, with the noise of seed 0."""
        import torch

        device = next(system.network.parameters()).device

        def restore(degraded: torch.Tensor) -> torch.Tensor:
            mask = (degraded[:, 3:] + 1.0) / 2.0 if degraded.shape[1] > 3 else None
            noise = torch.Generator(device).manual_seed(0)
            return system.restore(degraded[:, :3], None, noise, mask)

        return self.crops.psnr(restore, device)

    def begin(self, system: "System") -> None:
        """Measure and keep the beginning, unless an earlier session has done so."""
        path = self.folder / _FILE
        if not path.exists():
            path.write_text(json.dumps(self.measure(system)))

    def gain(self, system: "System") -> str:
        """Such as "held-out crops, dB given -> at the start -> now: rain 24.1 -> 24.0 -> 28.3"."""
        given, now = self.crops.psnr_in(), self.measure(system)
        path = self.folder / _FILE
        before: dict[str, Any] = json.loads(path.read_text()) if path.exists() else given
        parts = [
            f"{task} {given[task]:.1f} -> {before.get(task, given[task]):.1f} -> {value:.1f}"
            for task, value in now.items()
        ]
        mean = f"mean {fmean(given.values()):.1f} -> {fmean(before.values()):.1f}"
        means = ", ".join([*parts, f"{mean} -> {fmean(now.values()):.1f}"])
        return f"held-out crops, dB given -> at the start -> now: {means}"
