"""The page's guards, run in Node, say what those of `pellucid restore` say."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid.guards import is_drawn, is_night_sky, is_toned
from pellucid.image.photo import read_photo
from pellucid_apps.demo import SAMPLES
from pellucid_apps.web import PAGE

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="Node is not installed")
SCRIPT = """
import { readFileSync } from "node:fs";
const { isDrawn, isNightSky, isToned } = await import(process.argv[1]);
const told = JSON.parse(readFileSync(0, "utf8")).map(({ path, width, height }) => {
  const picture = { width, height, rgb: new Uint8Array(readFileSync(path)) };
  return [isDrawn(picture), isNightSky(picture), isToned(picture)];
});
console.log(JSON.stringify(told));
"""

Pixels = NDArray[np.uint8]


def text(height: int, width: int) -> Pixels:
    page = np.full((height, width, 3), 255, np.uint8)
    for line in range(24, height, 28):
        cv2.putText(page, "pellucid restores", (8, line), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0))
    return page


def stars(height: int, width: int, count: int) -> Pixels:
    rng = np.random.default_rng(0)
    sky = np.clip(rng.normal(14, 3, (height, width, 3)), 0, 255).astype(np.uint8)
    sky[rng.integers(0, height, count), rng.integers(0, width, count)] = 220
    return sky


def sepia(height: int, width: int) -> Pixels:
    grey = np.random.default_rng(1).integers(20, 240, (height, width, 1))
    return np.asarray(grey * [1.0, 0.85, 0.65], np.uint8)


def noise(height: int, width: int, low: int, high: int) -> Pixels:
    return np.random.default_rng(2).integers(low, high, (height, width, 3)).astype(np.uint8)


def samples() -> list[Pixels]:
    paths = sorted((SAMPLES / "degraded").glob("*.png"))
    return [np.asarray(read_photo(path).pixels[..., :3], np.uint8) for path in paths]


def cases() -> list[Pixels]:
    few = np.repeat(np.repeat(noise(20, 30, 0, 256), 5, axis=0), 5, axis=1)
    faint = text(120, 160) // 16  # its range is too small
    many = [stars(h, w, n) for h, w, n in [(300, 411, 300), (300, 411, 30), (700, 1201, 500)]]
    sizes = [text(h, w) for h, w in [(7, 9), (8, 8), (200, 333), (1100, 620)]]
    return [
        *sizes, faint, few, *many, sepia(90, 70), sepia(5, 3), noise(5, 3, 0, 256),
        noise(64, 64, 0, 20), noise(130, 260, 0, 256), *samples(),
    ]  # fmt: skip


def in_the_page(pictures: list[Pixels], folder: Path) -> list[list[bool]]:
    told: list[dict[str, Any]] = []
    for index, pixels in enumerate(pictures):
        path = folder / f"{index}.rgb"
        path.write_bytes(pixels.tobytes())
        told.append({"path": str(path), "width": pixels.shape[1], "height": pixels.shape[0]})
    command = [str(NODE), "--input-type=module", "-e", SCRIPT, (PAGE / "guards.mjs").as_uri()]
    result = subprocess.run(
        command, input=json.dumps(told), capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    answers: list[list[bool]] = json.loads(result.stdout)
    return answers


def test_drawings_skies_and_tones_are_those_of_the_command(tmp_path: Path) -> None:
    pictures = cases()
    expected = [[is_drawn(p), is_night_sky(p), is_toned(p)] for p in pictures]
    assert in_the_page(pictures, tmp_path) == expected
    for rule in range(3):  # each rule says both yes and no
        assert {answers[rule] for answers in expected} == {True, False}
