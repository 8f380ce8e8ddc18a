"""No harm: what is hidden, flat, black around the picture or grey stays so, with any model."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid import Restorer
from pellucid.guards import (
    fill_hidden,
    find_content,
    hold_highlights,
    is_drawn,
    is_flat,
    is_grey,
    is_night_sky,
    is_toned,
)
from pellucid.scene import measure_scene
from pellucid.tiles import Tiling

Array = NDArray[Any]
DTYPES = [np.uint8, np.uint16, np.float32]


def picture(*shape: int, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random(shape, np.float32)


def typed(values: NDArray[np.float32], dtype: type) -> Array:
    """[0, 1] as 8-bit codes in any type, so that all types hold the same picture."""
    codes = np.rint(values * 255.0)
    if dtype is np.float32:
        return np.asarray(codes / 255.0, dtype)
    return np.asarray(codes * (np.iinfo(dtype).max // 255), dtype)


@pytest.fixture(params=["whole", "tiles", "steps", "strength"])
def restore(request: pytest.FixtureRequest, model_file: Path) -> Any:
    """The fake model, that changes everything, in each way of restoring."""
    restorer = Restorer(model_file, threads=1, steps=2 if request.param == "steps" else 1)
    if request.param == "tiles":
        restorer._window_pixels, restorer._tiling = 0, Tiling(20, 16, 4)
    strength = 0.5 if request.param == "strength" else 1.0
    return lambda image: restorer(image, strength)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("shape", [(24, 30), (24, 30, 3), (24, 30, 4), (1, 1, 3)])
def test_a_flat_picture_stays(
    restore: Any, dtype: type, level: float, shape: tuple[int, ...]
) -> None:
    image = typed(np.full(shape, level, np.float32), dtype)
    assert np.array_equal(restore(image), image)


def test_flat_is_two_levels_at_most() -> None:
    image = np.full((40, 40, 3), 200, np.uint8)
    image[7, 9] = 202
    assert is_flat(image)
    image[7, 9, 1] = 203  # not on the sparse grid of the first look
    assert not is_flat(image) and is_flat(image[8:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_grey_in_colour_stays_grey(restore: Any, dtype: type) -> None:
    grey = typed(picture(41, 53, 1), dtype)
    colour = np.repeat(grey, 3, axis=2)
    restored = restore(colour)
    assert not np.array_equal(restored, colour), "the fake should have changed it"
    assert np.array_equal(restored, np.repeat(restored[..., :1], 3, axis=2))
    assert np.array_equal(restored[..., 0], restore(grey[..., 0]))


def test_grey_with_alpha_stays_grey_whatever_is_hidden(restore: Any) -> None:
    colour = np.repeat(typed(picture(41, 53, 1), np.uint8), 3, axis=2)
    alpha = np.full((41, 53, 1), 255, np.uint8)
    alpha[5:20, 10:30] = 0
    colour[5:20, 10:30] = (255, 0, 90)
    restored = restore(np.concatenate([colour, alpha], axis=2))
    shown = restored[alpha[..., 0] > 0]
    assert np.array_equal(shown[:, 0], shown[:, 1]) and np.array_equal(shown[:, 1], shown[:, 2])


def test_grey_is_within_a_level_unless_dark() -> None:
    grey = np.repeat(typed(picture(300, 40, 1), np.uint8), 3, axis=2)
    grey[100] = 100
    assert is_grey(grey)
    grey[299, 3] = (100, 101, 100)
    assert is_grey(grey)
    grey[299, 3] = (100, 102, 100)
    assert not is_grey(grey)
    dark: Array = np.asarray(grey // 100, np.uint8)  # 0, 1 and 2: its colours are as faint
    assert is_grey(dark)
    dark[9, 9] = (2, 1, 1)
    assert not is_grey(dark)


@pytest.mark.parametrize("dtype", DTYPES)
def test_hidden_pixels_neither_change_nor_count(restore: Any, dtype: type) -> None:
    """Whatever colour is hidden, the visible part comes out the same."""
    rows, cols = np.mgrid[:61, :70]
    visible = (rows - 33) ** 2 + (cols - 30) ** 2 < 20**2
    visible[40:44, 28:36] = False  # a hole
    image = typed(picture(61, 70, 4), dtype)
    image[..., 3] = visible * image[..., 3].max()
    black, noise = image.copy(), image.copy()
    black[~visible, :3] = 0
    restored = [restore(given) for given in (image, black, noise)]
    for given, result in zip((image, black, noise), restored, strict=True):
        assert np.array_equal(given[~visible], result[~visible])
        assert np.array_equal(result[visible], restored[0][visible])
    assert not np.array_equal(restored[0][visible], image[visible])


def test_nothing_visible_stays(restore: Any) -> None:
    image = typed(picture(20, 20, 4), np.uint8)
    image[..., 3] = 0
    assert np.array_equal(restore(image), image)


def test_a_hidden_frame_is_as_good_as_none(restore: Any) -> None:
    inside = typed(picture(32, 40, 3), np.uint8)
    image = typed(picture(60, 60, 4, seed=2), np.uint8)
    image[..., 3] = 0
    image[8:40, 12:52] = np.dstack([inside, np.full((32, 40), 255, np.uint8)])
    assert np.array_equal(restore(image)[8:40, 12:52, :3], restore(inside))


def test_hidden_pixels_take_the_nearest_visible_colour() -> None:
    image = np.zeros((9, 9, 3), np.uint8)
    visible = np.zeros((9, 9), bool)
    for row, col, level in ((1, 1, 50), (7, 7, 200)):
        visible[row, col], image[row, col] = True, level
    fill_hidden(image, visible)
    assert (image[:4, :4] == 50).all() and (image[5:, 5:] == 200).all()


def test_only_visible_cells_are_measured() -> None:
    """Half of the picture hidden measures as the other half alone, light and texture."""
    half = typed(picture(64, 64, 3), np.uint8)
    image = np.concatenate([half, np.full((64, 64, 3), 9, np.uint8)], axis=1)
    visible = np.zeros((64, 128), bool)
    visible[:, :64] = True
    assert np.allclose(measure_scene(image, visible), measure_scene(half), atol=1e-6)
    thin = np.zeros((64, 128), bool)
    thin[::2] = True  # no cell is whole: all of it is measured
    assert measure_scene(image, thin).shape == measure_scene(half).shape


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bars", [(12, 12, 0, 0), (0, 0, 9, 9), (12, 8, 9, 0), (3, 0, 0, 0)])
def test_black_bars_stay_and_do_not_count(
    restore: Any, dtype: type, bars: tuple[int, int, int, int]
) -> None:
    top, bottom, left, right = bars
    inside = typed(0.2 + 0.8 * picture(60, 80, 3), dtype)
    image = np.pad(inside, ((top, bottom), (left, right), (0, 0)))
    restored = restore(image)
    within = (slice(top, top + 60), slice(left, left + 80))
    assert np.array_equal(restored[within], restore(inside))
    restored[within] = 0
    assert not restored.any()


def test_what_is_no_bar() -> None:
    inside = 0.2 + 0.8 * picture(100, 80, 3)
    whole = (slice(0, 100), slice(0, 80))
    thin, grey, uneven = inside.copy(), inside.copy(), inside.copy()
    thin[0] = 0.0  # a row of 100
    grey[:10] = 0.2
    uneven[:10] = 0.05 * picture(10, 80, 3)
    dark = np.clip(0.0005 * (np.arange(100)[:, None, None] - 30) + 0 * inside, 0.0, 1.0)
    for image in (inside, thin, grey, uneven, dark):
        assert find_content(image) == whole
    codec = inside.copy()
    codec[:10] = 16 / 255 + 2 / 255 * picture(10, 80, 3)  # video's black, with a codec's levels
    ringing = codec.copy()
    ringing[10:14] = 20 / 255 + 6 / 255 * picture(4, 80, 3)
    assert find_content(codec) == find_content(ringing) == (slice(10, 100), slice(0, 80))


def test_highlights_are_held() -> None:
    image = np.linspace(0.0, 1.0, 256, dtype=np.float32)
    held = hold_highlights(image, np.ones_like(image))
    assert (held[:-1] <= 254 / 255 + 1e-6).all() and held[-1] == 1.0
    assert (np.diff(held[:-4]) > 0).all(), "what could be told apart still can be"
    assert np.array_equal(hold_highlights(image, image * 0.9), image * np.float32(0.9))


def starry(height: int = 200, width: int = 300, stars: int = 120) -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    sky = rng.normal(16.0, 2.0, (height, width, 3)).clip(0, 255)
    sky[rng.integers(0, height, stars), rng.integers(0, width, stars)] = 230.0
    return sky.astype(np.uint8)


def test_stars_are_a_night_sky_and_dark_photos_are_not() -> None:
    sky = starry()
    assert is_night_sky(sky) and is_night_sky(sky.astype(np.uint16) * 257)
    assert is_night_sky(sky / np.float32(255.0)) and is_night_sky(sky[..., :1])
    assert is_night_sky(np.kron(sky, np.ones((4, 4, 1), np.uint8))), "stars of a larger photo"
    assert not is_night_sky(starry(stars=20))
    things, lamps = sky.copy(), sky.copy()
    things[80:140, 60:160] = 60  # something stands there, underexposed
    for left in range(20, 280, 40):
        lamps[150:158, left : left + 8] = 240
    assert not is_night_sky(things) and not is_night_sky(lamps)
    assert not is_night_sky(typed(0.1 * picture(200, 300, 3), np.uint8))
    assert not is_night_sky(np.asarray(sky + 100, np.uint8))


def test_toned_is_what_brightness_tells_the_colours_of(restore: Any) -> None:
    luma = cv2.GaussianBlur(picture(90, 120, 1), (0, 0), 4.0)[..., None]
    luma = (luma - luma.min()) / (luma.max() - luma.min())
    sepia = typed(luma * np.array([0.95, 0.8, 0.6], np.float32) ** np.float32(1.2), np.uint8)
    assert is_toned(sepia) and is_toned(np.repeat(sepia[..., :1], 3, axis=2))
    assert not is_toned(typed(luma * 0.1 * np.array([1, 0.8, 0.6], np.float32), np.uint8)), "dark"
    assert not is_toned(typed(picture(90, 120, 3), np.uint8)) and not is_toned(sepia[..., :1])
    two = sepia.copy()
    two[:, 80:] = two[:, 80:, ::-1]  # a part is toned otherwise
    assert not is_toned(two)
    change = restore(sepia).astype(int) - sepia
    inside = (restore(sepia) > 0).all(axis=2) & (restore(sepia) < 255).all(axis=2)
    assert np.abs(change - change[..., :1])[inside].max() <= 1, "its tone is kept"


def test_drawn_is_what_has_exact_colours() -> None:
    page = np.full((160, 240, 3), 250, np.uint8)
    for line in range(20, 160, 20):
        cv2.putText(page, f"Line {line}", (8, line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 30, 40))
    assert is_drawn(page) and is_drawn(page.astype(np.uint16) * 257) and is_drawn(page[..., :1])
    photo = typed(0.2 + 0.8 * picture(160, 240, 3), np.uint8)
    assert not is_drawn(photo)
    photo[:100] = 255  # a sky beyond white
    assert not is_drawn(photo)
    assert not is_drawn(typed(0.01 * picture(160, 240, 3), np.uint8)), "dark: few codes"
    assert not is_drawn(page[:7])


@pytest.mark.parametrize("look", [is_toned, is_drawn, is_night_sky, is_flat, is_grey])
@pytest.mark.parametrize("seed", range(4))
def test_floats_that_leave_the_range_a_little_are_looked_at(look: Any, seed: int) -> None:
    """Noise that nobody clipped: below 0 and above 1, dark and bright pictures."""
    noise = np.random.default_rng(seed).standard_normal((64, 96, 3)).astype(np.float32)
    for level in (0.02, 0.5, 0.98):
        assert isinstance(look(level + 0.2 * noise), bool)
