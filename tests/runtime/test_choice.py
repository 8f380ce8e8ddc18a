"""Restorer tells what is wrong, restores what is chosen, and leaves good pictures alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid import ModelError, PellucidError, Photo, PhotoError, Restorer
from pellucid.degradations import read_choice
from pellucid.scene import SCENE_SIZE
from pellucid.tiles import Tiling


def picture(red: float, green: float, blue: float = 0.5, *, alpha: bool = False) -> NDArray[Any]:
    """(32, 48, 3 or 4) float32 with these means, exactly, and a texture of +- 0.01."""
    means = (red, green, blue, 1.0) if alpha else (red, green, blue)
    pixels = np.broadcast_to(np.array(means, np.float32), (32, 48, len(means))).copy()
    pixels[::2, :, :3] += np.float32(0.01)
    pixels[1::2, :, :3] -= np.float32(0.01)
    return pixels


@pytest.fixture(scope="module")
def restorer(estimator_file: Path) -> Restorer:
    return Restorer(estimator_file, threads=1)


def test_look_tells_the_amounts(restorer: Restorer, tmp_path: Path) -> None:
    pixels = picture(0.4, 0.2)
    given = pixels.copy()
    found = restorer.look(pixels)
    assert np.array_equal(pixels, given)
    assert found.amounts == pytest.approx({"rain": 0.4, "lowlight": 0.2}, abs=1e-5)
    assert found and str(found) == "rain 0.4"
    photo = Photo(np.rint(pixels * 255).astype(np.uint8), {})
    path = photo.save(tmp_path / "photo.png")
    for image in (photo, path, str(path), path.read_bytes(), photo.pixels):
        assert restorer.look(image).amounts == pytest.approx(found.amounts, abs=0.003)
    with pytest.raises(PhotoError, match="got list"):
        restorer.look([1])  # type: ignore[arg-type]


def test_look_sees_what_is_shown(restorer: Restorer) -> None:
    shown = picture(0.4, 0.2, alpha=True)
    image = np.pad(shown, ((16, 16), (32, 0), (0, 0)), constant_values=0.9)
    image[..., 3] = np.pad(shown[..., 3], ((16, 16), (32, 0)))
    given = image.copy()
    assert restorer.look(image).amounts == restorer.look(shown[..., :3]).amounts
    assert np.array_equal(image, given)
    boxed = np.pad(shown[..., :3], ((16, 16), (0, 0), (0, 0)))
    assert restorer.look(boxed).amounts == restorer.look(shown[..., :3]).amounts
    assert not restorer.look(np.full((32, 48, 3), 0.9))


@pytest.mark.parametrize("how", ["whole", "tiles", "steps"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_good_comes_back_bit_for_bit(estimator_file: Path, how: str, dtype: type) -> None:
    restorer = Restorer(estimator_file, threads=1, steps=3 if how == "steps" else 1)
    if how == "tiles":
        restorer._window_pixels, restorer._tiling = 0, Tiling(16, 0, 1)
    white = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    good: NDArray[Any] = (picture(0.29, 0.2) * white).astype(dtype)
    assert np.array_equal(restorer(good), good)
    assert not np.array_equal(restorer(good, fix="all"), good)
    bad: NDArray[Any] = (picture(0.31, 0.2) * white).astype(dtype)
    assert not np.array_equal(restorer(bad), bad)
    assert np.array_equal(restorer(bad, ignore="rain"), bad)


@pytest.mark.parametrize(
    ("fix", "ignore", "gain"),
    [
        (None, None, 0.2 * 0.4 + 0.4 * 0.2),
        (None, "lowlight", 0.2 * 0.4),
        ("rain", None, 0.2 * 0.6),
        ("rain=0.5", None, 0.2 * 0.5),
        ({"lowlight": 0.25, "rain": 1.0}, None, 0.2 + 0.4 * 0.25),
        ("all", "rain", 0.4 * 0.2),
        ("all,rain=1", None, 0.2 + 0.4 * 0.2),
    ],
)
def test_the_model_is_told_what_was_chosen(
    restorer: Restorer, fix: Any, ignore: Any, gain: float
) -> None:
    image = picture(0.4, 0.2)
    assert np.allclose(restorer(image, fix=fix, ignore=ignore), image + gain, atol=1e-5)


def test_later_steps_are_told_it_too(estimator_file: Path) -> None:
    """Each call adds 0.1: the mean of two predictions of a state half-restored (steps.py)."""
    image = picture(0.4, 0.2)
    twice = Restorer(estimator_file, threads=1, steps=2)(image, fix="rain=0.5")
    first, seen = 0.1, 0.25 * 0.1
    assert np.allclose(twice - image, (first + seen + 0.1) / 2, atol=1e-5)


def test_a_photo_says_what_was_found(restorer: Restorer) -> None:
    photo = restorer.restore_photo(Photo(picture(0.4, 0.2), {}), choice=read_choice(None, "rain"))
    assert str(photo.found) == "rain 0.4"


def test_a_stream_tells_amounts_itself(restorer: Restorer) -> None:
    image = picture(0.4, 0.2)
    scene = np.zeros(SCENE_SIZE + 2, np.float32)
    pixels = image.copy()
    assert not restorer.restore_pixels(pixels, scene=scene)
    assert np.array_equal(pixels, image)
    scene[-2:] = 1.0, 0.0
    assert str(restorer.restore_pixels(pixels, scene=scene)) == "rain 1.0"
    assert np.allclose(pixels, image + 0.2, atol=1e-5)
    pixels = image.copy()
    assert str(restorer.restore_pixels(pixels, scene=scene[:-2])) == "rain 0.4"  # statistics alone


def test_highlights_become_white_only_where_darkness_is_restored(restorer: Restorer) -> None:
    image = picture(0.9, 0.2, 0.9)
    assert restorer(image).max() <= 254 / 255
    assert restorer(image, strength=0.5).max() < 254 / 255
    assert restorer(image, fix="lowlight=1").max() == 1.0
    assert restorer(picture(0.9, 0.4, 0.9)).max() == 1.0


def test_models_without_an_estimator_say_so(model_file: Path) -> None:
    fake, image = Restorer(model_file, threads=1), picture(0.4, 0.2)
    assert fake.restore_pixels(image.copy()) is None
    for fix, ignore in (("rain", None), (None, "blur")):
        with pytest.raises(PellucidError, match="fake has no degradation estimator"):
            fake(image, fix=fix, ignore=ignore)
    with pytest.raises(ModelError, match="fake has no degradation estimator"):
        fake.look(image)


def test_what_the_model_does_not_know_is_told(restorer: Restorer) -> None:
    with pytest.raises(PellucidError, match="fake does not know haze; it knows rain, lowlight"):
        restorer(picture(0.4, 0.2), fix="haze")
    with pytest.raises(PellucidError, match="did you mean haze"):
        restorer(picture(0.4, 0.2), fix="fog")
