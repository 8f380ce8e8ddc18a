"""Tiles: geometry by property, and tiled = whole through a real graph."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import Restorer
from pellucid.tiles import Tiling, plan

MULTIPLES = st.sampled_from([1, 2, 8, 16])


@given(st.integers(1, 3000), MULTIPLES, st.integers(1, 12), st.integers(0, 12))
def test_spans_cover_every_pixel_once_and_reach_far_enough(
    length: int, multiple: int, cores: int, margins: int
) -> None:
    tiling = Tiling(cores * multiple, margins * multiple, multiple)
    spans = list(tiling.spans(length))
    assert [s.start for s in spans] == [0, *(s.stop for s in spans[:-1])]
    assert spans[-1].stop == length
    for span in spans:
        assert 0 < span.stop - span.start <= tiling.core
        assert span.reach_start % multiple == 0 and span.start % multiple == 0
        assert span.reach_start == max(0, span.start - tiling.margin)
        assert span.reach_stop == length or (
            span.reach_stop - span.stop >= tiling.margin and span.reach_stop % multiple == 0
        )


@given(st.integers(0, 400), MULTIPLES, st.integers(1, 4_000_000))
def test_plan_has_room_for_its_margins(reach: int, multiple: int, pixels: int) -> None:
    tiling = plan(reach, multiple, pixels)
    assert tiling.margin >= reach
    assert tiling.core >= max(64, tiling.margin)
    side = tiling.core + 2 * tiling.margin
    assert side**2 <= pixels + 2 * multiple * side or tiling.core <= max(64, tiling.margin) + 16


@pytest.mark.parametrize("tiling", [(0, 0, 1), (10, 3, 4), (8, 2, 4), (8, -4, 4)])
def test_impossible_tilings_are_refused(tiling: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="tiling|multiples"):
        Tiling(*tiling)


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    core=st.sampled_from([4, 8, 20, 64]),
    channels=st.sampled_from([0, 1, 3, 4]),
    seed=st.integers(0, 99),
)
def test_tiled_equals_untiled(
    model_file: Path, height: int, width: int, core: int, channels: int, seed: int
) -> None:
    shape = (height, width, channels) if channels else (height, width)
    image = np.random.default_rng(seed).random(shape, np.float32)
    whole, tiled = Restorer(model_file, threads=1), Restorer(model_file, threads=1)
    tiled._window_pixels, tiled._tiling = 0, Tiling(core, 16, 4)
    assert np.abs(whole(image) - tiled(image)).max() <= 1e-5


def test_too_small_a_margin_would_be_noticed(model_file: Path) -> None:
    """The check above can fail: without a margin tiles differ visibly."""
    image = np.random.default_rng(0).random((80, 80, 3), np.float32)
    whole, cut = Restorer(model_file, threads=1), Restorer(model_file, threads=1)
    cut._window_pixels, cut._tiling = 0, Tiling(20, 0, 4)
    assert np.abs(whole(image) - cut(image)).max() > 1e-2


def test_progress_counts_every_tile(model_file: Path) -> None:
    restorer = Restorer(model_file, threads=1)
    restorer._window_pixels, restorer._tiling = 0, Tiling(20, 16, 4)
    seen: list[tuple[int, int]] = []
    restorer.restore_pixels(
        np.zeros((50, 70, 3), np.uint8), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(i, 12) for i in range(1, 13)]
