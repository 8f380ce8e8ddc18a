"""`pellucid eval`: figures of a model on sets of pairs, each by its own protocol.

Sets that are a part of a public test set are named `<set>-dev`, so that nobody takes the figures
for those of the whole set.
"""

import csv
import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid import PellucidError, Restorer
from pellucid.metrics import as_8_bits, delta_e, luma, psnr, ssim
from pellucid.pairs import EvalSet, find_sets, is_resolution_set, iter_pairs
from pellucid.photo import write_atomically

from .page import page

Restore = Callable[[NDArray[Any]], NDArray[Any]]  # (H, W, 3) in [0, 1] -> same


@dataclass(frozen=True)
class Score:
    """Figures of one picture; `_in` before, `_out` after. y: BT.601 luma. ms_mp: ms a megapixel."""

    set: str
    name: str
    psnr_in: float
    psnr_out: float
    psnr_y_in: float
    psnr_y_out: float
    ssim_in: float
    ssim_out: float
    ssim_y_in: float
    ssim_y_out: float
    delta_e_in: float
    delta_e_out: float
    ms_mp: float


@dataclass(frozen=True)
class SetFigures:
    """Means over a set. headline: the columns its protocol is judged by, "rgb" or "y"."""

    name: str
    task: str
    pairs: int
    headline: str
    means: dict[str, float]


@dataclass
class Report:
    model: str
    steps: int
    sets: list[SetFigures] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    pictures: list[tuple[str, NDArray[Any], NDArray[Any]]] = field(default_factory=list)


def open_model(name: str, steps: int, threads: int | None) -> tuple[str, Restore | None]:
    """What `--model` means: `identity`, a teacher's folder, a bundled name or an exported file."""
    if name == "identity":
        return name, None
    if list(Path(name).glob("teacher-*.safetensors")):
        return _open_teacher(Path(name), steps)
    restorer = Restorer(name, steps=steps, threads=threads)
    return restorer.card.id, restorer


def _open_teacher(folder: Path, steps: int) -> tuple[str, Restore]:
    """A teacher runs in torch, whole pictures, without tiles."""
    try:
        from pellucid_teacher.training.watch import restore_whole
        from pellucid_teacher.weights import load_teacher
    except ImportError as error:
        raise PellucidError("a teacher needs torch: pip install 'pellucid[train]'") from error
    model, recipe = load_teacher(folder)

    def restore(picture: NDArray[Any]) -> NDArray[Any]:
        return restore_whole(model, picture, steps, start_noise=recipe.start_noise)

    return f"teacher {folder.name}, {steps} steps", restore


def measure(
    data: Path,
    restorer: Restore | None,
    sigma: float,
    clean: bool,
    keep_pictures: bool,
    model: str = "identity",
    steps: int = 0,
) -> Report:
    """Measure every set under `data`; restorer None measures the inputs themselves.

    clean: feed the clean targets instead, so that the output's PSNR says what harm is done.
    """
    sets = find_sets(data)
    report = Report(model, steps)
    print(_header(report.model))
    for chosen in sets:
        if is_resolution_set(chosen):
            report.skipped.append(f"{chosen.name}: {chosen.task} changes the size")
            continue
        figures = _measure_set(chosen, restorer, sigma, clean, keep_pictures, report)
        report.sets.append(figures)
        print(_row(figures), flush=True)
    for line in report.skipped:
        print(f"skipped {line}")
    return report


def _measure_set(
    chosen: EvalSet,
    restorer: Restore | None,
    sigma: float,
    clean: bool,
    keep_pictures: bool,
    report: Report,
) -> SetFigures:
    name = f"{chosen.name}-dev"
    if clean:
        name += " (clean in)"
    elif chosen.files[0][0] is None:
        name += f" s{sigma:g}"
    scores = []
    for pair in iter_pairs(chosen, sigma):
        given = pair.clean if clean else pair.degraded
        start = time.perf_counter()
        restored = given if restorer is None else restorer(given)
        ms = 1e3 * (time.perf_counter() - start)
        before, after, target = (as_8_bits(v) for v in (given, restored, pair.clean))
        scores.append(_score(name, pair.name, before, after, target, ms))
        if keep_pictures and len(scores) <= 2:  # two a set keep the page small
            report.pictures.append((f"{name} / {pair.name}", before, after))
    report.scores.extend(scores)
    columns = [f.name for f in fields(Score) if f.name not in ("set", "name")]
    means = {c: float(np.mean([getattr(s, c) for s in scores])) for c in columns}
    return SetFigures(name, chosen.task, len(scores), "y" if chosen.luma else "rgb", means)


def _score(
    set_name: str,
    name: str,
    before: NDArray[Any],
    after: NDArray[Any],
    target: NDArray[Any],
    ms: float,
) -> Score:
    before_y, after_y, target_y = luma(before), luma(after), luma(target)
    return Score(
        set=set_name,
        name=name,
        psnr_in=_capped(psnr(before, target)),
        psnr_out=_capped(psnr(after, target)),
        psnr_y_in=_capped(psnr(before_y, target_y)),
        psnr_y_out=_capped(psnr(after_y, target_y)),
        ssim_in=ssim(before, target),
        ssim_out=ssim(after, target),
        ssim_y_in=ssim(before_y, target_y),
        ssim_y_out=ssim(after_y, target_y),
        delta_e_in=delta_e(before, target),
        delta_e_out=delta_e(after, target),
        ms_mp=ms / (target.shape[0] * target.shape[1] / 1e6),
    )


def _capped(db: float) -> float:
    """Equal pictures have infinite PSNR, which no mean survives: 100 dB stands for equal."""
    return min(db, 100.0)


def _header(model: str) -> str:
    return (
        f"model: {model}   (PSNR dB and SSIM, input -> output; * marks the set's own protocol)\n"
        f"{'set':26}{'task':10}{'n':>3}  {'RGB dB':>17} {'luma dB':>18} {'SSIM':>15}"
        f" {'dE2000':>13} {'ms/MP':>7}"
    )


def _row(figures: SetFigures) -> str:
    m = figures.means
    rgb, y = ("*", " ") if figures.headline == "rgb" else (" ", "*")
    return (
        f"{figures.name:26}{figures.task:10}{figures.pairs:>3}  "
        f"{m['psnr_in']:7.2f} ->{m['psnr_out']:6.2f}{rgb} "
        f"{m['psnr_y_in']:7.2f} ->{m['psnr_y_out']:6.2f}{y} "
        f"{m['ssim_in']:6.3f} ->{m['ssim_out']:6.3f} "
        f"{m['delta_e_in']:5.1f} ->{m['delta_e_out']:5.1f} {m['ms_mp']:7.0f}"
    )


def check_writable(*files: Path | None) -> None:
    """Refuse a report that could not be written before minutes are spent on its figures."""
    for path in files:
        if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK)):
            raise PellucidError(f"{path}: cannot be written; its folder must exist and be writable")


def write_reports(
    report: Report, json_file: Path | None, csv_file: Path | None, html_file: Path | None
) -> None:
    """Write the asked files, each whole or not at all."""
    if json_file is not None:
        told = {
            "model": report.model,
            "steps": report.steps,
            "sets": [asdict(s) for s in report.sets],
            "skipped": report.skipped,
        }
        write_atomically(json_file, json.dumps(told, indent=1).encode())
    if csv_file is not None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [f.name for f in fields(Score)])
        writer.writeheader()
        writer.writerows(asdict(score) for score in report.scores)
        write_atomically(csv_file, text.getvalue().encode())
    if html_file is not None:
        rows = [(s.name, s.task, s.pairs, s.headline, s.means) for s in report.sets]
        write_atomically(html_file, page(report.model, rows, report.pictures).encode())
    for path in (json_file, csv_file, html_file):
        if path is not None:
            print(f"wrote {path}")
