"""The dev set: what it prints is what it measured."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_system import Toy

from pellucid import Photo
from pellucid_teacher.training.dev_set import TILE, DevSet, restore_picture


def test_a_picture_is_restored_whole_from_the_same_noise_every_time() -> None:
    picture = np.random.default_rng(0).random((33, 21, 3), np.float32)
    seen: list[torch.Size] = []

    class Adds(Toy):
        def restore(
            self,
            degraded: Tensor,
            steps: int | None = None,
            generator: torch.Generator | None = None,
            mask: Tensor | None = None,
        ) -> Tensor:
            seen.append(degraded.shape)
            return degraded + 2.0 * torch.rand(degraded.shape, generator=generator)

    once, twice = restore_picture(Adds(), picture), restore_picture(Adds(), picture)
    assert np.array_equal(once, twice) and once.shape == picture.shape
    assert np.abs((once - picture).mean() - 0.5) < 0.03 and seen[0] == (1, 3, 33, 21)


def test_a_dev_set_measures_each_set(tmp_path: Path) -> None:
    for name, value in (("one", 102), ("two", 77)):
        for part, level in (("input", value), ("target", 128)):
            (tmp_path / name / part).mkdir(parents=True)
            Photo(np.full((32, 40, 3), level, np.uint8), {}).save(tmp_path / name / part / "a.png")
    scores = DevSet.load(tmp_path, pairs=1).measure(lambda picture: picture)
    for name, value in (("one", 102), ("two", 77)):
        expected = -20 * np.log10((128 - value) / 255)
        assert scores.figures[name] == pytest.approx((expected, expected))
    assert scores.grid.shape == (3 * TILE, 2 * TILE, 3)
    assert scores.line().startswith("one 19.8->19.83")
