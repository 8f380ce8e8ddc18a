"""No harm by the weights that come with pellucid: what is good or meant stays."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid import Restorer, read_photo
from pellucid.bundled import bundled_names
from pellucid.metrics import psnr
from pellucid_apps.demo import SAMPLES

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module", params=bundled_names())
def restorer(request: pytest.FixtureRequest) -> Restorer:
    return Restorer(request.param, threads=1)


def clean(name: str, side: int = 192) -> Pixels:
    """A good photo, reduced so that it is sharp."""
    photo = read_photo(SAMPLES / "clean" / f"{name}.jpg").pixels
    scale = side / min(photo.shape[:2])
    return np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def text(paper: int, ink: int, side: int = 224) -> Pixels:
    page = np.full((side, side + 96, 3), paper, np.uint8)
    for line in range(20, side - 4, 20):
        cv2.putText(
            page, f"Line {line}: quick brown fox", (8, line), cv2.FONT_HERSHEY_SIMPLEX, 0.45,
            (ink,) * 3, 1, cv2.LINE_AA,
        )  # fmt: skip
    return page


def test_every_bundled_model_tells_what_it_found(restorer: Restorer) -> None:
    degraded = SAMPLES / "degraded" / "lowlight.png"
    assert "lowlight" in restorer.look(degraded).names
    assert restorer.estimator is not None


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (246, 40), (30, 220), (18, 150)])
def test_text_stays(restorer: Restorer, paper: int, ink: int) -> None:
    page = text(paper, ink)
    assert psnr(restorer(page) / 255.0, page / 255.0) >= 40.0


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_stays(restorer: Restorer, level: int) -> None:
    page = np.full((64, 96, 3), level, np.uint8)
    assert np.array_equal(restorer(page), page)


def test_sepia_and_stars_stay(restorer: Restorer) -> None:
    luma = clean("haze").mean(axis=2, keepdims=True) / 255.0
    sepia = np.asarray(luma * np.array([240.0, 210.0, 170.0]), np.uint8)
    assert np.array_equal(restorer(sepia), sepia)
    rng = np.random.default_rng(0)
    sky = rng.normal((10, 11, 20), 1.5, (192, 256, 3)).clip(0, 255)
    sky[rng.integers(0, 192, 90), rng.integers(0, 256, 90)] = 240.0
    stars = np.asarray(sky, np.uint8)
    assert np.array_equal(restorer(stars), stars)


@pytest.mark.parametrize("fix", [None, "haze", "rain,noise"])
def test_grey_stays_grey_and_white_grows_by_a_hundredth(
    restorer: Restorer, fix: str | None
) -> None:
    photo = clean("haze")
    hazy = np.asarray(photo * 0.4 + 150.0, np.uint8)
    grey = np.repeat(cv2.cvtColor(hazy, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    restored = restorer(grey, fix=fix)
    assert np.array_equal(restored, np.repeat(restored[..., :1], 3, axis=2))
    for given in (hazy, photo):
        white = [(x >= 255).any(axis=2).mean() for x in (given, restorer(given, fix=fix))]
        assert white[1] <= white[0] + 0.01
