"""Evaluation sets: folders of degraded pictures with clean partners.

A set is a folder with input/ and target/ of equal stems. A `set.json` beside them may name the task
and the protocol. A set with target/ only is a denoising set: noise is added by the protocol.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .arrays import to_floats
from .errors import PhotoError
from .image.photo import SUFFIXES, picture_size, read_photo
from .metrics import SMALLEST

LARGEST_BORDER = 32  # px by which a target may exceed its input, both sides together

Image = NDArray[np.float32]


@dataclass(frozen=True)
class EvalSet:
    """name: folder name. luma: whether the set's headline figure is on BT.601 luma.

    files: (input, target) paths; the input is None where noise is added to the target.
    scale: sides of the targets over those of the inputs. border: px that are cut off on every side
    before measuring.
    """

    name: str
    task: str
    luma: bool
    files: tuple[tuple[Path | None, Path], ...]
    scale: int = 1
    border: int = 0


@dataclass(frozen=True)
class Pair:
    """degraded and clean, (H, W, 3) float32 RGB; added noise is not clipped."""

    name: str
    degraded: Image
    clean: Image


def find_sets(root: Path) -> list[EvalSet]:
    """`root` itself if it is a set, else the sets in its subfolders.

    Raises PhotoError listing everything wrong before any picture is restored.
    """
    if (root / "target").is_dir():
        return [load_set(root)]
    if not root.is_dir():
        raise PhotoError(f"{root}: no such folder")
    folders = sorted(p for p in root.iterdir() if (p / "target").is_dir())
    if not folders:
        raise PhotoError(f"{root}: no evaluation set; expected target/ (and input/) in it")
    return [load_set(folder) for folder in folders]


def load_set(folder: Path) -> EvalSet:
    """Read a set's files and protocol. Raises PhotoError listing every unmatched file."""
    settings: dict[str, object] = {}
    if (folder / "set.json").is_file():
        try:
            settings = json.loads((folder / "set.json").read_text("utf-8"))
        except ValueError as error:
            raise PhotoError(f"{folder / 'set.json'}: not valid JSON ({error})") from error
    task, protocol = str(settings.get("task", "restore")), str(settings.get("protocol", ""))
    targets = _pictures(folder / "target")
    inputs = _pictures(folder / "input") if (folder / "input").is_dir() else {}
    files: list[tuple[Path | None, Path]]
    if inputs:
        lonely = sorted(inputs.keys() ^ targets.keys())
        if lonely:
            raise PhotoError(f"{folder}: without partner in input/ or target/: {', '.join(lonely)}")
        files = [(inputs[stem], targets[stem]) for stem in sorted(targets)]
    elif not (folder / "input").is_dir() and ("noise" in protocol or task == "denoise"):
        files = [(None, targets[stem]) for stem in sorted(targets)]
    else:
        raise PhotoError(f"{folder}: no input/ pictures, and set.json names no noise to add")
    if not files:
        raise PhotoError(f"{folder}: target/ holds no pictures")
    enlarged = re.fullmatch(r"sr-x(\d)", task)
    scale = int(enlarged[1]) if enlarged else 1
    _check_headers(folder, files, scale)
    on_luma = "luma" in protocol.lower() or (not protocol and task == "derain")
    border = re.search(r"(\d+)-pixel border", protocol)
    cut = int(border[1]) if border else 0
    return EvalSet(folder.name, task, on_luma, tuple(files), scale, cut)


def iter_pairs(chosen: EvalSet, sigma: float = 25.0) -> Iterator[Pair]:
    """The set's pairs; sigma (0-255 scale) of the noise added where there is no input.

    Noise is numpy's default_rng(0) anew for every picture, unclipped, as the sets' protocol says.
    A target whose size differs by a crop of a few pixels is centred on the input (SOTS).
    """
    for degraded_path, clean_path in chosen.files:
        clean = read_rgb(clean_path)
        if degraded_path is None:
            noise = np.random.default_rng(0).standard_normal(clean.shape)
            degraded = (clean + noise * (sigma / 255.0)).astype(np.float32)
        else:
            degraded = read_rgb(degraded_path)
            if chosen.scale == 1:
                clean = _centre(clean, degraded.shape, clean_path)
        yield Pair(clean_path.stem, degraded, clean)


def read_rgb(path: Path) -> Image:
    """(H, W, 3) in [0, 1] of a file; grey is repeated, alpha dropped."""
    pixels = read_photo(path).pixels
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return to_floats(pixels[..., :3])


def pictures_below(folder: Path) -> list[Path]:
    """Files that may be pictures, in the folder and below, sorted; none without a folder."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _pictures(folder: Path) -> dict[str, Path]:
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    stems = {p.stem: p for p in found}
    if len(stems) < len(found):
        twins = sorted(p.name for p in found if stems[p.stem] != p)
        raise PhotoError(f"{folder}: two pictures of one name: {', '.join(twins)}")
    return stems


def _check_headers(folder: Path, files: list[tuple[Path | None, Path]], scale: int) -> None:
    """Refuse, all at once, what a look at the headers shows to be unusable."""
    faults = []
    for pair in files:
        sizes = []
        for path in pair:
            if path is None:
                continue
            try:
                height, width = picture_size(path)
            except PhotoError as error:
                faults.append(f"{path.parent.name}/{path.name}: {str(error).rpartition(': ')[2]}")
                continue
            if min(height, width) < SMALLEST:
                faults.append(
                    f"{path.parent.name}/{path.name}: {width}x{height}, "
                    f"SSIM needs {SMALLEST} px a side"
                )
            sizes.append((height, width))
        if len(sizes) < 2:
            continue
        enlarged = scale * sizes[0][0], scale * sizes[0][1]
        if sizes[1] != enlarged and (scale > 1 or not _croppable(*sizes)):
            times = f", expected {scale} times as much" if scale > 1 else ""
            faults.append(f"{pair[1].stem}: target is {sizes[1]}, its input {sizes[0]}{times}")
    if faults:
        listing = "\n  ".join(faults)
        raise PhotoError(f"{folder}: {len(faults)} unusable picture(s):\n  {listing}")


def _croppable(given: tuple[int, int], target: tuple[int, int]) -> bool:
    """Whether a target is the input's size or a border of a few pixels larger."""
    return all(0 <= t - g <= LARGEST_BORDER for g, t in zip(given, target, strict=True))


def _centre(clean: Image, shape: tuple[int, ...], path: Path) -> Image:
    rows, cols = clean.shape[0] - shape[0], clean.shape[1] - shape[1]
    if not _croppable((shape[0], shape[1]), (clean.shape[0], clean.shape[1])):
        raise PhotoError(f"{path}: target is {clean.shape[:2]}, its input {shape[:2]}")
    return clean[rows // 2 : rows // 2 + shape[0], cols // 2 : cols // 2 + shape[1]]
