"""`pellucid eval`: figures of a model on sets of pairs, each by its own protocol.

Sets that are a part of a public test set are named `<set>-dev`, so that nobody takes the figures
for those of the whole set.
"""

import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid import PellucidError
from pellucid.metrics import as_8_bits, delta_e, luma, match_mean, psnr, ssim
from pellucid.pairs import EvalSet, Pair, find_sets, iter_pairs

from ..page import Shown
from .figures import Evaluation, Score, SetFigures
from .models import IDENTITY, Look, Restore, Subject
from .perceptual import Distance
from .report import choose_columns, header, row

_PICTURES = 2  # shown of each set, to keep the page small


@dataclass(frozen=True)
class Protocol:
    """How sets are measured.

    sigma: of the noise added to denoising sets, on the 0-255 scale.
    clean: feed the clean targets instead: the output's PSNR says what harm is done.
    equalise: feed low-light inputs with each channel's histogram equalised, as DiffUIR published.
    luma: BT.601 luma is the headline of every set, as DiffUIR published; else each set's own.
    """

    sigma: float = 25.0
    clean: bool = False
    equalise: bool = False
    luma: bool = False


def measure(
    data: Path,
    subject: Subject = IDENTITY,
    protocol: Protocol | None = None,
    distance: Distance | None = None,
    keep_pictures: bool = False,
) -> Evaluation:
    """Measure every set under `data` and print a line for each, as soon as it is known.

    distance: a perceptual one, see `open_st_lpips`. keep_pictures: a few, for the page.
    """
    protocol = protocol or Protocol()
    sets = find_sets(data)
    report = Evaluation(subject.label, subject.weights_sha256)
    low_light = any(chosen.task == "lowlight" for chosen in sets)
    columns = choose_columns(distance is not None, low_light)
    print(header(subject.label, columns), flush=True)
    for chosen in sets:
        if subject.scale not in (None, chosen.scale):
            report.skipped.append(
                f"{chosen.name}: {chosen.task}, {subject.label} makes x{subject.scale}"
            )
            continue
        for steps, restore in subject.runs:
            last = steps == subject.runs[-1][0]
            scores = _measure_set(
                chosen,
                steps,
                restore,
                protocol,
                distance,
                report,
                keep_pictures and last,
                subject.look,
            )
            headline = "y" if chosen.luma or protocol.luma else "rgb"
            name = set_name(chosen, protocol)
            figures = SetFigures(name, chosen.task, steps, len(scores), headline, _means(scores))
            report.sets.append(figures)
            print(row(figures, columns), flush=True)
    for line in report.skipped:
        print(f"skipped {line}")
    return report


def set_name(chosen: EvalSet, protocol: Protocol) -> str:
    """The set's name with all that makes its figures differ from the plain ones."""
    name = f"{chosen.name}-dev"
    if protocol.clean:
        return f"{name} (clean in)"
    if _equalised(chosen, protocol):
        return f"{name} (equalised)"
    return f"{name} s{protocol.sigma:g}" if chosen.files[0][0] is None else name


def equalise_channels(picture: NDArray[Any]) -> NDArray[np.float32]:
    """Each channel's histogram made flat, (H, W, 3) in [0, 1]: DiffUIR's low-light input."""
    codes = np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)
    flat = [cv2.equalizeHist(np.ascontiguousarray(codes[..., c])) for c in range(3)]
    return np.stack(flat, axis=2).astype(np.float32) / np.float32(255.0)


def enlarged_bicubically(picture: NDArray[Any], scale: int) -> NDArray[np.float32]:
    """As MATLAB's imresize does it: the usual baseline, (H, W, 3) -> (sH, sW, 3)."""
    from pellucid_teacher.data.bicubic import imresize

    return imresize(np.asarray(picture, np.float32), scale)


def _equalised(chosen: EvalSet, protocol: Protocol) -> bool:
    return protocol.equalise and not protocol.clean and chosen.task == "lowlight"


def _measure_set(
    chosen: EvalSet,
    steps: int,
    restore: Restore | None,
    protocol: Protocol,
    distance: Distance | None,
    report: Evaluation,
    keep_pictures: bool,
    look: Look | None,
) -> list[Score]:
    scores: list[Score] = []
    low_light = chosen.task == "lowlight"
    name = set_name(chosen, protocol)
    for pair in iter_pairs(chosen, protocol.sigma):
        if chosen.scale > 1 and protocol.clean:
            raise PellucidError(f"{chosen.name}: --clean is for models that keep the size")
        given = pair.clean if protocol.clean else pair.degraded
        if _equalised(chosen, protocol):
            given = equalise_channels(given)
        start = time.perf_counter()
        seen = given if chosen.scale == 1 else enlarged_bicubically(given, chosen.scale)
        restored = seen if restore is None else restore(given)
        ms = 1e3 * (time.perf_counter() - start)
        before, after = as_8_bits(seen), as_8_bits(restored)
        found = "" if look is None else str(look(given))
        score = _score(name, steps, pair, before, after, ms, distance, low_light, chosen.border)
        score = replace(score, found=found)
        if keep_pictures and len(scores) < _PICTURES:
            captions = f"{score.psnr_in:.2f} dB", f"{score.psnr_out:.2f} dB"
            title = f"{name} / {pair.name}" + (f": {found}" if found else "")
            report.pictures.append(Shown(title, before, after, *captions))
        scores.append(score)
    report.scores.extend(scores)
    return scores


def _score(
    set_name: str,
    steps: int,
    pair: Pair,
    before: NDArray[Any],
    after: NDArray[Any],
    ms: float,
    distance: Distance | None,
    low_light: bool,
    border: int,
) -> Score:
    target = as_8_bits(pair.clean)
    if border:
        before, after, target = (v[border:-border, border:-border] for v in (before, after, target))
    before_y, after_y, target_y = luma(before), luma(after), luma(target)

    def perceived(picture: NDArray[Any]) -> float | None:
        return None if distance is None else distance(picture, target)

    def with_given_mean(picture: NDArray[Any]) -> float | None:
        return _capped(psnr(match_mean(picture, target), target)) if low_light else None

    return Score(
        set=set_name,
        name=pair.name,
        steps=steps,
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
        st_lpips_in=perceived(before),
        st_lpips_out=perceived(after),
        psnr_gt_mean_in=with_given_mean(before),
        psnr_gt_mean_out=with_given_mean(after),
        ms_mp=ms / (target.shape[0] * target.shape[1] / 1e6),
    )


def _means(scores: list[Score]) -> dict[str, float]:
    means = {}
    for column in (
        f.name for f in fields(Score) if f.name not in ("set", "name", "steps", "found")
    ):
        values = [getattr(score, column) for score in scores]
        if None not in values:
            means[column] = float(np.mean(values))
    return means


def _capped(db: float) -> float:
    """Equal pictures have infinite PSNR, which no mean survives: 100 dB stands for equal."""
    return min(db, 100.0)
