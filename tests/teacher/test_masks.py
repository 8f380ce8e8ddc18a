"""Masks: their kinds and the one convention."""

import numpy as np
import pytest

from pellucid_teacher.data import masks
from pellucid_teacher.data.masks import MaskRecipe, draw_mask

KINDS = {"strokes": (1.0, 0.0, 0.0), "boxes": (0.0, 1.0, 0.0), "outpainting": (0.0, 0.0, 1.0)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_ones_are_holes_and_never_all(kind: str, seed: int) -> None:
    mask = draw_mask(np.random.default_rng(seed), 256, 200, MaskRecipe(kinds=KINDS[kind]))
    assert mask.shape == (256, 200) and mask.dtype == np.float32
    assert set(np.unique(mask)) == {0.0, 1.0}


@pytest.mark.parametrize("seed", range(8))
def test_outpainting_keeps_the_middle_and_takes_a_side(seed: int) -> None:
    mask = masks.outpainting(np.random.default_rng(seed), 100, 100, MaskRecipe())
    assert not mask[25:75, 25:75].any()
    assert any((mask[0].all(), mask[-1].all(), mask[:, 0].all(), mask[:, -1].all()))


@pytest.mark.parametrize("seed", range(8))
def test_boxes_keep_off_the_border(seed: int) -> None:
    mask = masks.boxes(np.random.default_rng(seed), 200, 220, MaskRecipe())
    inner = mask[masks.MARGIN : -masks.MARGIN, masks.MARGIN : -masks.MARGIN]
    assert inner.sum() == mask.sum() > 0


@pytest.mark.parametrize("seed", range(8))
def test_retouching_holes_are_thin(seed: int) -> None:
    strokes_only = MaskRecipe(**{**vars(masks.RETOUCH), "kinds": KINDS["strokes"], "lines": (1, 1)})
    mask = draw_mask(np.random.default_rng(seed), 128, 128, strokes_only)
    assert mask.mean() < 0.5
