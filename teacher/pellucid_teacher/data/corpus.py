"""What training may read: folders of clean photos, real pairs, masks and depth, held in memory.

Layout of a training folder (every part but clean/ is optional)
    clean/**            photos that synthesis degrades
    lowlight-*/         real pairs, input/ and target/ with equal stems
    noise-*/            real pairs
    rain-*/             composites, input/ and target/: their streak layers are reused
    rgbd-*/             NNN.color.jpg with NNN.depth.png (16-bit, mm)
    overlays/snow_mask  masks of photographed snow

Two simpler layouts work too: a folder of photos, degraded by synthesis, and a folder with input/
and target/, learned as it is.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .haze import fill_depth
from .light import Image
from .rain import real_layers

Pixels = NDArray[np.uint8]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
SMALLEST_SIDE = 160
_FINGERPRINT_STRIDE = 997  # values; prime, so that rows of any length are met at all columns


@dataclass(frozen=True)
class Corpus:
    """Pictures as uint8 RGB (H, W, 3); layers and depth as float32 (H, W)."""

    clean: list[Pixels]
    own: list[tuple[Pixels, Pixels]] = field(default_factory=list)  # (input, target), any task
    lowlight: list[tuple[Pixels, Pixels]] = field(default_factory=list)  # (input, target)
    noise: list[tuple[Pixels, Pixels]] = field(default_factory=list)
    rain_layers: list[Image] = field(default_factory=list)
    snow_layers: list[Image] = field(default_factory=list)
    depth: list[tuple[Pixels, Image]] = field(default_factory=list)  # (photo, metres)

    def fingerprint(self) -> str:
        """16 hex digits that another set, size or order of pictures changes."""
        digest = hashlib.sha256()
        for part in fields(self):
            items: Iterable[object] = getattr(self, part.name)
            digest.update(part.name.encode())
            for item in items:
                for picture in item if isinstance(item, tuple) else (item,):
                    array = np.asarray(picture)
                    digest.update(str(array.shape).encode())
                    digest.update(array.reshape(-1)[::_FINGERPRINT_STRIDE].tobytes())
        return digest.hexdigest()[:16]


def load_corpus(root: Path, leave_out: frozenset[str] = frozenset()) -> Corpus:
    """Read a training folder. `leave_out`: folders or files under clean/ that must stay unseen.

    Raises ValueError with the whole list if any picture is unreadable, unmatched or too small:
    an hour of training on half of the data is worse than none.
    """
    faults: list[str] = []
    own = _pairs(root, faults)
    home = root / "clean" if (root / "clean").is_dir() or own else root
    clean = [
        photo
        for path in _pictures(home)
        if leave_out.isdisjoint(path.relative_to(root).parts)
        and (photo := _read(path, faults)) is not None
    ]
    if not clean and not own and not faults:
        faults.append(f"{home}: no pictures found; put clean photos there")
    rain = [pair for folder in sorted(root.glob("rain-*")) for pair in _pairs(folder, faults)]
    corpus = Corpus(
        clean=clean,
        own=own,
        lowlight=[p for d in sorted(root.glob("lowlight-*")) for p in _pairs(d, faults)],
        noise=[p for d in sorted(root.glob("noise-*")) for p in _pairs(d, faults)],
        rain_layers=real_layers([(_unit(rainy), _unit(dry)) for rainy, dry in rain]),
        snow_layers=[
            _unit(mask).mean(axis=2)
            for path in _pictures(root / "overlays" / "snow_mask")
            if (mask := _read(path, faults)) is not None
        ],
        depth=[p for d in sorted(root.glob("rgbd-*")) for p in _rgbd(d, faults)],
    )
    if faults:
        listing = "\n  ".join(faults)
        raise ValueError(f"{len(faults)} problem(s) in the training folder {root}:\n  {listing}")
    return corpus


def _unit(pixels: Pixels) -> Image:
    return pixels.astype(np.float32) / 255.0


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)


def _read(path: Path, faults: list[str]) -> Pixels | None:
    data = np.fromfile(path, dtype=np.uint8)  # bytes, since cv2.imread fails on non-ASCII paths
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
        faults.append(f"{path}: not a readable picture")
        return None
    if min(picture.shape[:2]) < SMALLEST_SIDE:
        faults.append(f"{path}: {picture.shape[1]}x{picture.shape[0]} is under {SMALLEST_SIDE} px")
        return None
    return np.ascontiguousarray(picture[..., ::-1]).astype(np.uint8)


def _pairs(folder: Path, faults: list[str]) -> list[tuple[Pixels, Pixels]]:
    inputs = {p.stem: p for p in _pictures(folder / "input")}
    targets = {p.stem: p for p in _pictures(folder / "target")}
    for stem in sorted(inputs.keys() ^ targets.keys()):
        faults.append(f"{folder}: {stem} has no partner in input/ or target/")
    pairs = []
    for stem in sorted(inputs.keys() & targets.keys()):
        degraded, clean = _read(inputs[stem], faults), _read(targets[stem], faults)
        if degraded is None or clean is None:
            continue
        if degraded.shape != clean.shape:
            faults.append(f"{folder}: {stem} differs in size between input/ and target/")
            continue
        pairs.append((degraded, clean))
    return pairs


def _rgbd(folder: Path, faults: list[str]) -> list[tuple[Pixels, Image]]:
    found = []
    for colour_path in sorted(folder.glob("*.color.*")):
        depth_path = colour_path.with_name(colour_path.name.split(".")[0] + ".depth.png")
        photo = _read(colour_path, faults)
        raw = np.fromfile(depth_path, dtype=np.uint8) if depth_path.exists() else np.empty(0)
        depth = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None
        if photo is None or depth is None or depth.dtype != np.uint16:
            faults.append(f"{colour_path}: no 16-bit depth beside it ({depth_path.name})")
            continue
        metres = fill_depth(depth.astype(np.uint16))
        size = (photo.shape[1], photo.shape[0])
        found.append((photo, np.asarray(cv2.resize(metres, size), dtype=np.float32)))
    return found
