"""Held evaluation: what it prints is what it measured; padding leaves no trace."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid import Photo
from pellucid_teacher.training.dev_set import TILE, Watch, restore_whole


def test_any_size_is_padded_for_the_network_and_cut_again() -> None:
    picture = np.random.default_rng(0).random((33, 21, 3), np.float32)
    seen: list[torch.Size] = []

    def nothing(degraded: Tensor) -> Tensor:
        seen.append(degraded.shape)
        return degraded

    same = restore_whole(nothing, picture, multiple=16)
    assert same.shape == picture.shape and np.abs(same - picture).max() < 1e-6
    assert seen == [(1, 3, 48, 32)]


def test_look_measures_each_set(tmp_path: Path) -> None:
    for name, value in (("one", 102), ("two", 77)):
        for part, level in (("input", value), ("target", 128)):
            (tmp_path / name / part).mkdir(parents=True)
            Photo(np.full((32, 40, 3), level, np.uint8), {}).save(tmp_path / name / part / "a.png")
    look = Watch.load(tmp_path, pairs=1).look(lambda picture: picture)
    for name, value in (("one", 102), ("two", 77)):
        expected = -20 * np.log10((128 - value) / 255)
        assert look.figures[name] == pytest.approx((expected, expected))
    assert look.grid.shape == (3 * TILE, 2 * TILE, 3)
    assert look.line().startswith("one 19.8->19.83")
