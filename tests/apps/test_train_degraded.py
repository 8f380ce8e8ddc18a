"""Photos in clean/ that are not clean are named before a training."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pellucid_apps.demo import SAMPLES
from pellucid_apps.train.degraded import FIRST, degraded_photos, warning

CLEAN = sorted((SAMPLES / "clean").iterdir())


def folder(root: Path, degraded: int) -> Path:
    """The samples' clean photos, and `degraded` of them with heavy noise in a folder of its own."""
    (root / "clean" / "noisy").mkdir(parents=True)
    for path in CLEAN:
        shutil.copy(path, root / "clean" / path.name)
    rng = np.random.default_rng(0)
    for number in range(degraded):
        photo = cv2.imread(str(CLEAN[number % len(CLEAN)]))
        assert photo is not None
        noisy = np.clip(photo + rng.normal(0.0, 40.0, photo.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / "clean" / "noisy" / f"{number}.png"), noisy)
    return root


def test_noisy_photos_are_named_and_clean_ones_not(tmp_path: Path) -> None:
    looked, found = degraded_photos(str(folder(tmp_path, 2)))
    assert looked == len(CLEAN) + 2
    assert [path.parts for path, _ in found] == [("clean", "noisy", f"{k}.png") for k in (0, 1)]
    assert all("noise" in wrong for _, wrong in found)
    line = warning(looked, found)
    assert line.startswith(f"2 of {looked} clean photos") and "clean/noisy/0.png (noise" in line
    assert "\n" not in line and "--leave-out" in line


def test_what_is_left_out_is_not_looked_at(tmp_path: Path) -> None:
    assert degraded_photos(str(folder(tmp_path, 1)), ("noisy",)) == (len(CLEAN), [])
    assert warning(len(CLEAN), []) == ""


def test_only_the_first_are_named() -> None:
    many = [(Path(f"clean/{k}.jpg"), "rain 0.8") for k in range(FIRST + 1)]
    assert f"{FIRST - 1}.jpg" in warning(99, many) and f"{FIRST}.jpg" not in warning(99, many)


def test_it_stops_in_time_and_shards_have_no_names(tmp_path: Path) -> None:
    assert degraded_photos(str(folder(tmp_path, 0)), seconds=0.0)[0] == 1
    assert degraded_photos("s3://somewhere/shards") == (0, [])


def test_files_that_cannot_be_read_are_left_to_loading(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    assert degraded_photos(str(tmp_path)) == (0, [])


@pytest.mark.parametrize("layout", ["clean", "."])
def test_both_layouts_of_a_folder(tmp_path: Path, layout: str) -> None:
    (tmp_path / layout).mkdir(exist_ok=True)
    shutil.copy(CLEAN[0], tmp_path / layout / CLEAN[0].name)
    assert degraded_photos(str(tmp_path))[0] == 1
