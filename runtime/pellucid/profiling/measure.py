"""Files x devices x sizes -> rows; what fails gets its row, and the rest goes on."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import ModelError
from .calls import Opened, onnxruntime_call, open_call
from .layers import LayerTime, read_layers
from .probe import matrix_peak
from .resources import peak_mb, reset_peak
from .row import Row, State
from .small_onnx import CHANNELS, conv_stack
from .targets import Target
from .timing import Series, ratio, take_turns

# The same for all files, so that their ratios compare: about what the bundled model takes.
REFERENCE_MACS_PER_PIXEL = 24000
REFERENCE = f"3x3 convolutions, {REFERENCE_MACS_PER_PIXEL} MAC a pixel, ONNX Runtime CPU"
LAYER_CALLS = 7
Say = Callable[[Row], None]


@dataclass(frozen=True)
class Conditions:
    """sizes: (height, width) each. seconds: of timed calls for a row, on average."""

    sizes: tuple[tuple[int, int], ...]
    threads: int
    seconds: float = 1.0
    strict: bool = False
    layers: bool = False


@dataclass
class Layered:
    """Layers of a row; whole_ms: median of the very calls that the layers were read from."""

    key: str
    whole_ms: float
    layers: list[LayerTime]


@dataclass
class Profile:
    """peak: GMAC/s of the matrix product, the better of a probe before and one after the rows."""

    conditions: Conditions
    reference: str = REFERENCE
    peak: float = 0.0
    rows: list[Row] = field(default_factory=list)
    layered: list[Layered] = field(default_factory=list)


def profile_files(
    files: Sequence[Path],
    targets: Sequence[Target],
    conditions: Conditions,
    names: Sequence[str] | None = None,
    say: Say = lambda row: None,
) -> Profile:
    """Measure every file on every target at every size.

    One file's targets and the reference are loaded at a time and take turns. names: how the rows
    call the files; the files' own names if None. say: is given each row as soon as it is known.
    """
    told = Profile(conditions)
    first_probe = matrix_peak(conditions.threads)
    for target in (t for t in targets if t.absent):
        row = Row("-", target.engine, target.device, 0, 0, State.ABSENT, target.absent)
        told.rows.append(row)
        say(row)
    here = [target for target in targets if not target.absent]
    for size in conditions.sizes:
        yardstick = _reference(size, conditions.threads)
        for path, name in zip(files, names or [p.name for p in files], strict=True):
            for row in _measure_file(path, name, here, size, conditions, yardstick, first_probe):
                told.rows.append(row)
                say(row)
            if conditions.layers:
                told.layered += _layers_of(path, told.rows, name, here, size, conditions)
    told.peak = max(first_probe, matrix_peak(conditions.threads))
    told.rows = [_with_peak(row, told.peak) for row in told.rows]
    return told


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


def _readers(path: Path, targets: Sequence[Target]) -> list[Target]:
    """Targets that read this kind of file; all, if none does: their reasons are then told."""
    if path.suffix == ".xml":
        fit = [target for target in targets if target.engine == "openvino"]
        return fit or [Target("openvino", "CPU", "cpu")]
    return list(targets)


def _measure_file(
    path: Path,
    name: str,
    targets: Sequence[Target],
    size: tuple[int, int],
    conditions: Conditions,
    yardstick: Callable[[], object],
    peak: float,
) -> list[Row]:
    rows: list[Row] = []
    ready: list[tuple[int, Opened]] = []
    for target in _readers(path, targets):
        row, opened = _open(path, name, target, size, conditions)
        rows.append(row)
        if opened is not None:
            ready.append((len(rows) - 1, opened))
    if ready:
        calls = [yardstick, *(opened.call for _, opened in ready)]
        reference, *series = take_turns(calls, conditions.seconds)
        for (index, opened), own in zip(ready, series, strict=True):
            gmac = opened.card.macs_per_pixel * size[0] * size[1] / 1e9 or None
            row = _filled(rows[index], own, reference, gmac, conditions.threads)
            rows[index] = _with_peak(row, peak)
    return rows


def _open(
    path: Path, name: str, target: Target, size: tuple[int, int], conditions: Conditions
) -> tuple[Row, Opened | None]:
    """A row with what loading and the first inference cost, or with the reason of the failure."""
    blank = Row(name, target.engine, target.device, size[0], size[1], State.FAILED)
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
        told = (str(error).strip().splitlines() or [repr(error)])[0]
        return replace(blank, reason=f"not run: {told[:240]}"), None
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
        spread=reference.spread,
    )


def _layers_of(
    path: Path,
    rows: Sequence[Row],
    name: str,
    targets: Sequence[Target],
    size: tuple[int, int],
    conditions: Conditions,
) -> list[Layered]:
    """A second session each, because collecting layers slows the calls."""
    ran = {row.key for row in rows if row.p50_ms is not None}
    told = []
    for target in _readers(path, targets):
        key = Row(name, target.engine, target.device, *size, State.MEASURED).key
        if key not in ran:
            continue
        opened = open_call(target, path, size, conditions.threads, layers=True)
        [series] = take_turns([opened.call], 0.0, warm_up=LAYER_CALLS - 5)
        layers = read_layers(target, opened.events(), LAYER_CALLS)
        told.append(Layered(key, series.percentile_ms(50), layers))
    return told
