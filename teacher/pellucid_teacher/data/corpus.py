"""What training may read: folders of clean photos, real pairs, masks and depth, held in memory.

Layout of a training folder (every part but clean/ is optional)
    clean/**            photos that synthesis degrades
    lowlight-*/         real pairs, input/ and target/ with equal stems
    noise-*/            real pairs
    rain-*/             composites, input/ and target/: their streak layers are reused
    rgbd-*/             NNN.color.jpg with NNN.depth.png (16-bit, mm), or
                        color/ and depth/ with equal stems (16-bit, any unit)
    overlays/snow_mask  masks of photographed snow
    deblur-frames/**    windows of consecutive sharp frames: blur by averaging
    real-unpaired/NAME  real degraded photos; NAME (rain, haze, ...) is what is wrong with them
    faces/**            good portraits, not degraded

Two simpler layouts work too: a folder of photos, degraded by synthesis, and a folder with input/
and target/, learned as it is.
"""

import hashlib
import zlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid.arrays import to_floats
from pellucid.pairs import pictures_below

from .exposure import long_exposure, windows
from .haze import fill_depth
from .light import Image
from .rain import real_layers

Pixels = NDArray[np.uint8]

SMALLEST_SIDE = 160
HELD = 6
ROOM = 4.0  # metres
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
    blurred: list[tuple[Pixels, Pixels]] = field(default_factory=list)  # (long exposure, sharp)
    real: list[tuple[Pixels, str]] = field(default_factory=list)  # (photo, NAME/STEM)
    good: list[Pixels] = field(default_factory=list)  # nothing wrong, whatever it shows

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


def is_held(path: Path) -> bool:
    """Whether a training file is held out, for choosing weights, thresholds and steps: one file of
    HELD, by a hash of its name and of the folder it is in.

    Both pictures of a pair, and all frames of a clip (CLIP-NUMBER/), are held or not together.
    """
    parts = [part for part in path.parts if part not in ("input", "target", "color", "depth")]
    clip = [part for part in parts[-3:-1] if part.rpartition("-")[2].isdigit()]
    name = clip[-1].rpartition("-")[0] if clip else f"{parts[-2]}/{path.name.split('.')[0]}"
    return zlib.crc32(name.encode()) % HELD == 0


def load_corpus(
    root: Path,
    leave_out: frozenset[str] = frozenset(),
    wanted: Callable[[Path], bool] = lambda path: True,
) -> Corpus:
    """Read a training folder. `leave_out`: folders or files under clean/ that must stay unseen.
    `wanted`: of the files below `root`, which ones to read (`is_held`, or its opposite).

    Raises ValueError with the whole list if any picture is unreadable, unmatched or too small:
    an hour of training on half of the data is worse than none.
    """
    read = Reader(wanted)
    own = read.pairs(root)
    home = clean_folder(root)
    clean = read.pictures([path for path in clean_files(root, leave_out) if wanted(path)])
    if not pictures_below(home) and not own and not read.faults:
        read.faults.append(f"{home}: no pictures found; put clean photos there")
    rain = [pair for folder in sorted(root.glob("rain-*")) for pair in read.pairs(folder)]
    corpus = Corpus(
        clean=clean,
        own=own,
        lowlight=[p for d in sorted(root.glob("lowlight-*")) for p in read.pairs(d)],
        noise=[p for d in sorted(root.glob("noise-*")) for p in read.pairs(d)],
        rain_layers=real_layers([(to_floats(rainy), to_floats(dry)) for rainy, dry in rain]),
        snow_layers=[
            to_floats(mask).mean(axis=2)
            for mask in read.pictures(pictures_below(root / "overlays" / "snow_mask"))
        ],
        depth=[
            p
            for d in sorted(root.glob("rgbd-*"))
            for p in (read.relative_depth(d) if (d / "depth").is_dir() else read.rgbd(d))
        ],
        blurred=read.long_exposures(root / "deblur-frames"),
        real=[
            (photo, f"{path.parent.name}/{path.stem}")
            for path in read.files(root / "real-unpaired")
            if (photo := read.picture(path)) is not None
        ],
        good=read.pictures(
            [
                p
                for d in (root / "faces", *home.glob("screens-*"), *home.glob("graphics-*"))
                for p in read.files(d)
            ]
        ),
    )
    read.tell(root)
    return corpus


def clean_folder(root: Path) -> Path:
    """Where a training folder's clean photos are: clean/, or the folder itself if it holds photos
    alone."""
    return root / "clean" if (root / "clean").is_dir() or (root / "input").is_dir() else root


def clean_files(root: Path, leave_out: Collection[str] = ()) -> list[Path]:
    """The clean photos of a training folder, without those that must stay unseen."""
    found = pictures_below(clean_folder(root))
    return [path for path in found if not set(leave_out) & set(path.relative_to(root).parts)]


class Reader:
    """Reads the wanted files and collects what is wrong with any of them."""

    def __init__(self, wanted: Callable[[Path], bool]) -> None:
        self.wanted = wanted
        self.faults: list[str] = []

    def tell(self, root: Path) -> None:
        """ValueError with all faults, if there are any."""
        if self.faults:
            listing = "\n  ".join(self.faults)
            raise ValueError(
                f"{len(self.faults)} problem(s) in the training folder {root}:\n  {listing}"
            )

    def files(self, folder: Path) -> list[Path]:
        return [path for path in pictures_below(folder) if self.wanted(path)]

    def pictures(self, files: list[Path]) -> list[Pixels]:
        return [photo for path in files if (photo := self.picture(path)) is not None]

    def picture(self, path: Path) -> Pixels | None:
        data = np.fromfile(path, dtype=np.uint8)  # bytes: cv2.imread fails on non-ASCII paths
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if picture is None:
            self.faults.append(f"{path}: not a readable picture")
            return None
        if min(picture.shape[:2]) < SMALLEST_SIDE:
            side = f"{picture.shape[1]}x{picture.shape[0]}"
            self.faults.append(f"{path}: {side} is under {SMALLEST_SIDE} px")
            return None
        return np.ascontiguousarray(picture[..., ::-1]).astype(np.uint8)

    def pairs(self, folder: Path) -> list[tuple[Pixels, Pixels]]:
        inputs = {p.stem: p for p in self.files(folder / "input")}
        targets = {p.stem: p for p in self.files(folder / "target")}
        for stem in sorted(inputs.keys() ^ targets.keys()):
            self.faults.append(f"{folder}: {stem} has no partner in input/ or target/")
        pairs = []
        for stem in sorted(inputs.keys() & targets.keys()):
            degraded, clean = self.picture(inputs[stem]), self.picture(targets[stem])
            if degraded is None or clean is None:
                continue
            if degraded.shape != clean.shape:
                self.faults.append(f"{folder}: {stem} differs in size between input/ and target/")
                continue
            pairs.append((degraded, clean))
        return pairs

    def long_exposures(self, root: Path) -> list[tuple[Pixels, Pixels]]:
        """(blurred, sharp) of every window of frames below `root`, the middle three or five."""
        pairs = []
        for index, files in enumerate(windows(root)):
            count = 3 if index % 2 else 5
            first = (len(files) - count) // 2
            frames = self.pictures([p for p in files[first:][:count] if self.wanted(p)])
            if len(frames) == count:
                codes = np.round(long_exposure(frames) * 255.0).astype(np.uint8)
                pairs.append((codes, frames[count // 2]))
        return pairs

    def rgbd(self, folder: Path) -> list[tuple[Pixels, Image]]:
        """Photos with depth in metres, from NNN.color.* and NNN.depth.png."""
        colours = [p for p in sorted(folder.glob("*.color.*")) if self.wanted(p)]
        pairs = []
        for path in colours:
            found = self._with_depth(path, path.with_name(f"{path.name.split('.')[0]}.depth.png"))
            if found is not None:
                pairs.append((found[0], fill_depth(found[1])))
        return pairs

    def relative_depth(self, folder: Path) -> list[tuple[Pixels, Image]]:
        """Photos with depth in rooms and streets, color/STEM.* and depth/STEM.png, as if the far
        end of each were ROOM metres away: haze is as thick over a street as over a table."""
        pairs = []
        for path in self.files(folder / "color"):
            found = self._with_depth(path, folder / "depth" / f"{path.stem}.png")
            if found is not None:
                photo, units = found
                depth = units.astype(np.float32)
                depth -= 0.8 * float(depth.min())  # tables have little relief
                far = max(float(np.quantile(depth, 0.95)), 1e-6)
                pairs.append((photo, np.asarray(np.minimum(depth / far, 1.5) * ROOM, np.float32)))
        return pairs

    def _with_depth(self, path: Path, depth: Path) -> tuple[Pixels, NDArray[np.uint16]] | None:
        """A photo and the 16-bit depth beside it, of the photo's size."""
        photo = self.picture(path)
        raw = np.fromfile(depth, dtype=np.uint8) if depth.exists() else np.empty(0)
        units = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None
        if photo is None or units is None or units.dtype != np.uint16:
            self.faults.append(f"{path}: no 16-bit depth beside it ({depth.name})")
            return None
        size = (photo.shape[1], photo.shape[0])
        nearest = cv2.resize(units, size, interpolation=cv2.INTER_NEAREST)
        return photo, np.asarray(nearest, np.uint16)
