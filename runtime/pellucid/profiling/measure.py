"""Files x devices x sizes -> rows; what fails gets its row, and the rest goes on."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

import numpy as np

from ..errors import ModelError
from ..session import first_line
from .calls import open_call
from .calls_onnxruntime import onnxruntime_call
from .counting import count_layers
from .discovery import readers
from .layers import Layered
from .opened import Opened
from .probe import matrix_peak
from .resources import peak_mb, reset_peak
from .row import Row, State
from .small_onnx import CHANNELS, conv_stack
from .targets import Target
from .timing import MOST, Clock, Series, ratio, ratio_error, take_turns

# The same for all files, so that their ratios compare: about what the bundled model takes.
REFERENCE_MACS_PER_PIXEL = 24000
REFERENCE = f"3x3 convolutions, {REFERENCE_MACS_PER_PIXEL} MAC a pixel, ONNX Runtime CPU"
Say = Callable[[Row], None]


@dataclass(frozen=True)
class Conditions:
    """sizes: (height, width) each. seconds: of timed calls for a row, on average; up to ten times
    as long while a ratio is uncertain. budget: seconds for the whole profile."""

    sizes: tuple[tuple[int, int], ...]
    threads: int
    seconds: float = 1.0
    strict: bool = False
    layers: bool = False
    budget: float = inf


@dataclass
class Profile:
    """peak: GMAC/s of the matrix product, the better of a probe before and one after the rows.

    hurried: rows that got less than the seconds asked for, to keep the budget.
    """

    conditions: Conditions
    reference: str = REFERENCE
    peak: float = 0.0
    rows: list[Row] = field(default_factory=list)
    layered: list[Layered] = field(default_factory=list)
    hurried: int = 0


@dataclass(frozen=True)
class _Setting:
    """What a file is measured under: one size, the reference at that size, seconds it may take."""

    conditions: Conditions
    size: tuple[int, int]
    yardstick: Callable[[], object]
    peak: float
    limit: float
    clock: Clock


def profile_files(
    files: Sequence[Path],
    targets: Sequence[Target],
    conditions: Conditions,
    names: Sequence[str] | None = None,
    say: Say = lambda row: None,
    clock: Clock = time.perf_counter,
) -> Profile:
    """Measure every file on every target at every size.

    One file's targets and the reference are loaded at a time and take turns. names: how the rows
    call the files; the files' own names if None. say: is given each row as soon as it is known.

    Each file gets an equal share of what is left of the budget, and is skipped once that is used
    up. Nothing is cut off inside of a call: the whole takes at most the budget, and what one file
    needs to load and to run twice.
    """
    end = clock() + conditions.budget
    profile = Profile(conditions)
    first_probe = matrix_peak(conditions.threads)
    for target in (t for t in targets if t.absent):
        row = Row("-", target.engine, target.device, 0, 0, State.ABSENT, target.absent)
        profile.rows.append(row)
        say(row)
    here = [target for target in targets if not target.absent]
    groups = len(conditions.sizes) * len(files)
    for size in conditions.sizes:
        yardstick = _reference(size, conditions.threads)
        for path, name in zip(files, names or [p.name for p in files], strict=True):
            limit = (end - clock()) / groups
            groups -= 1
            setting = _Setting(conditions, size, yardstick, first_probe, limit, clock)
            found = readers(path, here)
            rows = _skipped(name, found, setting) if limit <= 0.0 else []
            if not rows:
                rows, layered, hurried = _measure_file(path, name, found, setting)
                profile.layered += layered
                profile.hurried += hurried
            profile.rows += rows
            for row in rows:
                say(row)
    profile.peak = max(first_probe, matrix_peak(conditions.threads))
    profile.rows = [_with_peak(row, profile.peak) for row in profile.rows]
    return profile


def _with_peak(row: Row, peak: float) -> Row:
    rate = row.gmac_per_s
    return row if rate is None else replace(row, peak_share=rate / peak)


def _reference(size: tuple[int, int], threads: int) -> Callable[[], object]:
    height, width = size
    model = conv_stack(REFERENCE_MACS_PER_PIXEL * height * width, height, width)
    feed = np.random.default_rng(0).random(
        (1, CHANNELS, max(1, height // 4), max(1, width // 4)), np.float32
    )
    return onnxruntime_call(model, feed, threads)


def _skipped(name: str, targets: Sequence[Target], setting: _Setting) -> list[Row]:
    why = f"the {setting.conditions.budget:g} s of --budget are used up: raise it"
    return [
        Row(name, target.engine, target.device, *setting.size, State.SKIPPED, why)
        for target in targets
    ]


def _measure_file(
    path: Path, name: str, targets: Sequence[Target], setting: _Setting
) -> tuple[list[Row], list[Layered], int]:
    """(rows, layers where they are wanted, rows that were cut short)."""
    conditions, clock, size = setting.conditions, setting.clock, setting.size
    last = clock() + setting.limit
    rows: list[Row] = []
    ready: list[tuple[int, Target, Opened]] = []
    for target in targets:
        row, opened = _open(path, name, target, size, conditions)
        rows.append(row)
        if opened is not None:
            ready.append((len(rows) - 1, target, opened))
    reference, series = _turns(rows, ready, setting, last)
    for (index, _, opened), own in zip(ready, series, strict=True):
        gmac = opened.card.macs_per_pixel * size[0] * size[1] / 1e9 or None
        row = _filled(rows[index], own, reference, gmac, conditions.threads)
        rows[index] = _with_peak(row, setting.peak)
    spent = sum(reference.wall) + sum(sum(own.wall) for own in series)
    wanted = conditions.seconds * (1 + len(ready))
    cut = spent < 0.9 * wanted and len(reference.wall) < MOST
    layered = []
    counting = [one for one in ready if one[1].engine != "coreml"] if conditions.layers else []
    for done, (index, target, plain) in enumerate(counting):
        limit = (last - clock()) / (len(counting) - done)
        try:
            counted = open_call(target, path, size, conditions.threads, layers=True)
            layered.append(count_layers(rows[index].key, target, plain, counted, limit, clock))
        except Exception as error:  # ModelError, or the engines' own types
            rows[index] = replace(rows[index], reason=f"no times of layers: {first_line(error)}")
    return rows, layered, len(ready) if cut else 0


class _Stopped(Exception):
    """A call that ran before fails now: a device was lost, or memory ran out."""

    def __init__(self, call: Callable[[], object], error: Exception) -> None:
        super().__init__(first_line(error))
        self.call = call


def _turns(
    rows: list[Row],
    ready: list[tuple[int, Target, Opened]],
    setting: _Setting,
    last: float,
) -> tuple[Series, list[Series]]:
    """(the reference's times, those of each of `ready`). What stops meanwhile leaves `ready`, gets
    its reason into `rows`, and the others begin anew."""

    def watched(call: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            try:
                return call()
            except Exception as error:  # the engines' own types
                raise _Stopped(call, error) from error

        return run

    conditions, clock = setting.conditions, setting.clock
    while ready:
        calls = [setting.yardstick, *(watched(opened.call) for _, _, opened in ready)]
        left = max(0.0, last - clock()) / (2 if conditions.layers else 1)
        try:
            reference, *series = take_turns(calls, conditions.seconds, limit=left, clock=clock)
            return reference, series
        except _Stopped as stopped:
            [lost] = [one for one in ready if one[2].call is stopped.call]
            ready.remove(lost)
            reason = f"stopped running: {stopped}"
            rows[lost[0]] = replace(rows[lost[0]], state=State.FAILED, reason=reason)
    return Series(), []


def _open(
    path: Path, name: str, target: Target, size: tuple[int, int], conditions: Conditions
) -> tuple[Row, Opened | None]:
    """A row with what loading and the first inference cost, or with the reason of the failure."""
    blank = Row(name, target.engine, target.device, size[0], size[1], State.FAILED)
    if target.absent:
        return replace(blank, state=State.ABSENT, reason=target.absent), None
    held = reset_peak()
    try:
        start = time.perf_counter()
        opened = open_call(target, path, size, conditions.threads, conditions.strict)
        loaded = time.perf_counter()
    except ModelError as error:
        refused = "fallback" in str(error).lower() and conditions.strict
        state = State.FALLBACK if refused else State.FAILED
        return replace(blank, state=state, reason=str(error)), None
    if opened.placed and conditions.strict:
        reason = f"{opened.placed} would run it instead of {target.device}"
        return replace(blank, state=State.FALLBACK, reason=reason), None
    try:
        opened.call()
    except Exception as error:  # the engines' own types
        return replace(blank, reason=f"not run: {first_line(error)}"), None
    done, most = time.perf_counter(), peak_mb()
    row = replace(
        blank,
        state=State.FALLBACK if opened.placed else State.MEASURED,
        reason=f"ran on {opened.placed}" if opened.placed else "",
        load_ms=1e3 * (loaded - start),
        first_ms=1e3 * (done - loaded),
        peak_mb=None if held is None or most is None else max(0.0, most - held),
    )
    return row, opened


def _filled(row: Row, own: Series, reference: Series, gmac: float | None, threads: int) -> Row:
    p50 = own.percentile_ms(50)
    return replace(
        row,
        p50_ms=p50,
        p90_ms=own.percentile_ms(90),
        p95_ms=own.percentile_ms(95),
        p99_ms=own.percentile_ms(99),
        fps=1e3 / p50,
        rounds=len(own.wall),
        cpu_share=own.busy / threads,
        joules=float(np.median(own.joules)) if own.joules else None,
        gmac=gmac,
        gmac_per_s=None if gmac is None else 1e3 * gmac / p50,
        ratio=ratio(own, reference),
        ratio_error=ratio_error(own, reference),
        spread=reference.spread,
    )
