"""Photos without a clean partner, before and after: sheets to look at and a table to keep.

    python bench/real.py FOLDER OUT --model tiny

FOLDER holds photos, or a folder for each kind of photo. OUT gets a JPEG sheet of each (before, one
step, three steps) and `table.md`: what was found, and by how much each photo changed.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid import Found, Restorer, read_photo
from pellucid.degradations import Choice, read_choice
from pellucid.image.photo import SUFFIXES
from pellucid_apps.restore.compare import Panel, displayable, encode_sheet

STEPS = (1, 3)
LONG_SIDE = 1280  # px: larger photos are reduced, to be seen and to be done in time
SHEET_HEIGHT = 260  # px of a panel
HEAD = "| photo | found | changed, 1 step | changed, 3 steps |\n|---|---|---|---|"

Array = NDArray[Any]


@dataclass(frozen=True)
class Row:
    """found: None with a model that has no estimator. changed: mean absolute difference in 8-bit
    levels, for each of STEPS."""

    name: str
    found: Found | None
    changed: tuple[float, ...]

    def __str__(self) -> str:
        levels = " | ".join(f"{level:.1f}" for level in self.changed)
        return f"| {self.name} | {'-' if self.found is None else self.found} | {levels} |"


def photo_folders(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """(name, photos) of a folder and of each folder in it that has photos."""
    for place in [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]:
        photos = sorted(p for p in place.iterdir() if p.suffix.lower() in SUFFIXES)
        if photos:
            yield place.name, photos


def restore(path: Path, restorers: list[Restorer], choice: Choice) -> tuple[Row, list[Array]]:
    """One photo: its row, and before and after as (H, W, 3) uint8."""
    given = _reduced(displayable(read_photo(path).pixels), LONG_SIDE)
    found, shown = None, [given]
    for restorer in restorers:
        pixels = given.copy()
        found = restorer.restore_pixels(pixels, choice=choice)
        shown.append(pixels)
    levels = [float(np.abs(after.astype(np.int16) - given).mean()) for after in shown[1:]]
    return Row(f"{path.parent.name}/{path.name}", found, tuple(levels)), shown


def _reduced(pixels: Array, long_side: int) -> Array:
    scale = long_side / max(pixels.shape[:2])
    if scale >= 1.0:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--fix")
    parser.add_argument("--ignore")
    given = parser.parse_args()
    restorers = [Restorer(given.model, steps=n, threads=given.threads) for n in STEPS]
    choice = read_choice(given.fix, given.ignore)
    given.out.mkdir(parents=True, exist_ok=True)
    lines = [HEAD]
    print(HEAD)
    for name, photos in photo_folders(given.folder):
        panels = []
        for path in photos:
            row, shown = restore(path, restorers, choice)
            lines.append(str(row))
            print(row, flush=True)
            captions = [path.name, str(row.found or "as is"), f"{STEPS[-1]} steps"]
            height = min(SHEET_HEIGHT, shown[0].shape[0])
            width = round(shown[0].shape[1] * height / shown[0].shape[0])
            panels.append(
                [
                    Panel(_reduced(picture, max(height, width)), caption)
                    for picture, caption in zip(shown, captions, strict=True)
                ]
            )
        (given.out / f"{name}.jpg").write_bytes(encode_sheet(panels, quality=85))
    (given.out / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
