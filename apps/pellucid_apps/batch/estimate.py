"""`pellucid batch --dry-run`: what a run would do and cost, from twenty of its photos."""

import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

from ..progress import hours
from .local import run_local
from .plan import Plan
from .pool import Pool
from .rows import OK, Row
from .settings import Settings

SAMPLE = 20


def describe(plan: Plan) -> str:
    """What is there to do, one line."""
    text = f"{len(plan.names):,} photos to restore ({plan.total_bytes / 1e9:.2f} GB)"
    if plan.skipped:
        text += f", {len(plan.skipped):,} have a result"
    if plan.earlier:
        earlier = ", ".join(f"{count:,} {status}" for status, count in plan.earlier.most_common())
        text += f", earlier: {earlier}"
    if plan.foreign:
        text += f", {plan.foreign:,} other files are left alone"
    return text


def estimate(plan: Plan, settings: Settings, workers: int) -> str:
    """Restores a random sample into a temporary folder, with as many workers here as the run would
    have, and scales up. Nothing is written to OUT."""
    names = random.Random(0).sample(plan.names, min(SAMPLE, len(plan.names)))
    with tempfile.TemporaryDirectory(prefix="pellucid-dry-run-") as folder:
        there = replace(settings, out=str(Path(folder)), overwrite=True)
        rows = list(run_local(names, there, Pool(workers)))
    return scale_up(rows, len(plan.names), workers, settings.threads)


def scale_up(rows: Sequence[Row], photos: int, workers: int, threads: int) -> str:
    """The estimate's lines for `photos` photos, from some photos' rows."""
    good = [row for row in rows if row.status == OK]
    if not good:
        return f"none of {len(rows)} photos could be restored: {rows[0].error}"
    seconds = [row.seconds for row in good]
    mean = fmean(seconds)
    spread = 1.96 * stdev(seconds) / sqrt(len(good)) if len(good) > 1 else mean
    megapixels = fmean([row.width * row.height / 1e6 for row in good])
    failed = len(rows) - len(good)
    core_hours = mean * photos * threads / 3600
    lines = [
        f"{len(good)} of {len(rows)} photos tried: {mean:.2f} s each "
        f"(95 % of such samples: ± {spread:.2f} s) of {megapixels:.1f} megapixels",
        f"about {core_hours:,.1f} core hours (± {spread / mean:.0%}); with {workers} workers of "
        f"{threads} thread(s) {hours(mean * photos / workers)}",
        f"about {fmean([row.bytes_out for row in good]) * photos / 1e9:.2f} GB of results",
    ]
    if failed:
        lines.append(f"{failed} of them failed; expect about {failed / len(rows):.0%} in the run")
    return "\n".join(lines)
