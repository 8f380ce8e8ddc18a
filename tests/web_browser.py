"""What the tests of the page in a real browser share: pictures, files, and what a user does."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

CHROMIUM = "/usr/bin/chromium"
in_a_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"{CHROMIUM} is not installed"),
]

Pixels = NDArray[np.uint8]
File = dict[str, Any]


def scene(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    """Smooth colours with grain and streaks, dark on one side."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (5, 7, channels)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    smooth = smooth.reshape(height, width, channels) * np.linspace(0.3, 1, width)[:, None]
    smooth[:, ::7] += 60
    noisy = smooth + rng.normal(0, 8, smooth.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def png(pixels: Pixels, name: str = "photo.png") -> File:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()}


def give(page: Any, *files: File) -> None:
    page.locator("#files").set_input_files(list(files))


def wait_done(page: Any, count: int = 1) -> None:
    """Until so many photos are restored; if none is left to wait for, the test ends with why."""
    marks = "document.querySelectorAll('#photos .mark"
    page.wait_for_function(
        f"""count => {marks}[data-state="done"]').length >= count || ({marks}').length &&
          !{marks}:is([data-state="busy"], [data-state="queued"])').length)""",
        arg=count,
    )
    names = [button.get_attribute("aria-label") for button in page.locator(".mark >> ..").all()]
    assert page.locator('#photos .mark[data-state="done"]').count() >= count, names


def download(page: Any) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.click("#save")
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def pixels_of(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)))


def assert_within_a_level(got: Pixels, expected: Pixels) -> None:
    assert got.shape == expected.shape
    assert int(np.abs(got.astype(int) - expected).max()) <= 1
