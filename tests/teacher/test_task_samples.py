"""What enlarging, holes, faces and camera blur draw: sizes, ranges, repeatability, meaning."""

from typing import Any

import numpy as np
import pytest

from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.masks import RETOUCH
from pellucid_teacher.data.task_samples import CameraBlur, Enlarging, Faces, Holes
from pellucid_teacher.systems import SYSTEMS


def corpus() -> Corpus:
    y, x = np.mgrid[:180, :200]
    waves = [127 + 100 * np.sin(x / a + y / b) for a, b in ((9, 23), (14, 11), (31, 8))]
    return Corpus([np.stack(waves, axis=2).astype(np.uint8)])


DRAWN: dict[str, Any] = {
    "bicubic": lambda: Enlarging(corpus(), 64),
    "blind": lambda: Enlarging(corpus(), 64, is_blind=True),
    "holes": lambda: Holes(corpus(), 64, RETOUCH),
    "faces": lambda: Faces(corpus(), 64),
    "blur": lambda: CameraBlur(corpus(), 64),
}


@pytest.mark.parametrize("name", DRAWN)
def test_sample_i_of_a_seed_is_always_the_same(name: str) -> None:
    one, again, other = (DRAWN[name]().pictures(3, index) for index in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0], other[0])
    small = 16 if name in ("bicubic", "blind") else 64
    assert one[0].shape == (small, small, 4 if name == "holes" else 3)
    assert one[1].shape == (64, 64, 3)
    for picture in one:
        assert picture.dtype == np.float32 and 0.0 <= picture.min() <= picture.max() <= 1.0
    assert (
        DRAWN[name]().describe() != DRAWN["bicubic" if name != "bicubic" else "blur"]().describe()
    )


def test_what_is_drawn_is_described_apart() -> None:
    assert len({draw().describe() for draw in DRAWN.values()}) == len(DRAWN)


def test_holes_are_black_and_marked() -> None:
    degraded, clean = Holes(corpus(), 64, RETOUCH).pictures(1, 0)
    hole = degraded[..., 3] == 1.0
    assert hole.any() and not degraded[..., :3][hole].any()
    assert np.array_equal(degraded[..., :3][~hole], clean[~hole])


@pytest.mark.parametrize("name", ["sr4", "sr4-real", "face", "inpaint"])
def test_presets_draw_their_own_task(name: str) -> None:
    recipe = SYSTEMS["resshift"].presets[name].recipe
    degraded, clean = recipe.samples(corpus()).pictures(0, 0)
    assert clean.shape == (128, 128, 3)
    assert degraded.shape[0] == (32 if name.startswith("sr4") else 128)
    with pytest.raises(ValueError, match="clean photos"):
        recipe.samples(Corpus([]))
