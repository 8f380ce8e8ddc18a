"""`pellucid eval --clip`: figures of a model on the frames of one clip, restored as a video is."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid import PhotoError, Restorer
from pellucid.image.encode import to_8_bits
from pellucid.metrics import luma, psnr
from pellucid.pairs import iter_pairs, load_set
from pellucid.recurrent import find_frames
from pellucid.video import SteadyRestorer
from pellucid.video.flicker import flicker

_RATE = 25.0  # frames a second, since a folder tells none: the scene is smoothed over a second

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class ClipFigures:
    """how: of restoring. psnr, psnr_y: mean over the frames, RGB and BT.601 luma, dB. flicker: mean
    absolute warping error, 8-bit levels. trembling: deviation of the frames' means, 8-bit levels.
    """

    how: str
    psnr: float
    psnr_y: float
    flicker: float
    trembling: float


def measure_clip(
    folder: Path, model: str, steps: Sequence[int], threads: int | None
) -> list[ClipFigures]:
    """Print and return a row for the clean clip, the input, every number of steps and the chain.

    folder: input/ and target/ with frames whose names sort as they follow each other. Raises
    PhotoError for anything else.
    """
    pairs = [(to_8_bits(p.degraded), to_8_bits(p.clean)) for p in iter_pairs(load_set(folder))]
    if len({frame.shape for pair in pairs for frame in pair}) != 1 or len(pairs) < 2:
        raise PhotoError(f"{folder}: expected the frames of a clip, at least 2, all of one size")
    given, clean = [before for before, _ in pairs], [after for _, after in pairs]
    height, width = given[0].shape[:2]
    print(f"{folder.name}: {len(given)} frames of {width}x{height}")
    print(f"{'':24}{'RGB dB':>8}{'luma dB':>9}{'flicker':>9}{'trembling':>11}")
    rows: list[ClipFigures] = []

    def add(how: str, shown: Sequence[Frame]) -> None:
        rows.append(_figures(how, shown, clean))
        print(_line(rows[-1]), flush=True)

    add("clean", clean)
    add("input", given)
    for count in steps:
        restorer = Restorer(model, steps=count, threads=threads)
        add(f"{count} step{'s' if count > 1 else ''}", _restored(given, restorer))
    if (path := find_frames(model)) is not None:
        photos, frames = Restorer(model, threads=threads), Restorer(path, threads=threads)
        add("chain, 1 step a frame", _restored(given, photos, frames))
    return rows


def write_json(path: Path, rows: Sequence[ClipFigures]) -> None:
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def _restored(
    given: Sequence[Frame], restorer: Restorer, frames: Restorer | None = None
) -> list[Frame]:
    steady, shown = SteadyRestorer(restorer, frames=frames), []
    for index, frame in enumerate(given):
        pixels = frame.copy()
        steady.restore(pixels, index / _RATE)
        shown.append(pixels)
    return shown


def _figures(how: str, shown: Sequence[Frame], clean: Sequence[Frame]) -> ClipFigures:
    def mean(measure: Callable[[Any, Any], float]) -> float:
        return float(
            np.mean([min(measure(a, b), 100.0) for a, b in zip(shown, clean, strict=True)])
        )

    return ClipFigures(
        how,
        mean(lambda a, b: psnr(a / 255.0, b / 255.0)),
        mean(lambda a, b: psnr(luma(a / 255.0), luma(b / 255.0))),
        flicker(shown, clean),
        float(np.std([frame.mean() for frame in shown])),
    )


def _line(row: ClipFigures) -> str:
    levels = f"{row.flicker:>9.2f}{row.trembling:>11.2f}"
    return f"{row.how:24}{row.psnr:>8.2f}{row.psnr_y:>9.2f}{levels}"
