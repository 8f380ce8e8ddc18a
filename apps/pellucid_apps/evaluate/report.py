"""The figures of `pellucid eval` as a table on the terminal, JSON, CSV and a page."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pellucid import PellucidError, __version__
from pellucid.image.photo import write_atomically

from ..page import page
from .figures import Evaluation, SetFigures


@dataclass(frozen=True)
class Column:
    """One measure. protocol: the headline ("rgb", "y") under which it is the set's own figure."""

    title: str
    key: str
    decimals: int
    protocol: str = ""


COLUMNS = (
    Column("RGB dB", "psnr", 2, "rgb"),
    Column("luma dB", "psnr_y", 2, "y"),
    Column("SSIM", "ssim", 3, "rgb"),
    Column("luma SSIM", "ssim_y", 3, "y"),
    Column("dE2000", "delta_e", 1),
    Column("ST-LPIPS", "st_lpips", 4),
    Column("GT-mean dB", "psnr_gt_mean", 2),
)
_WIDTH = 16


def choose_columns(perceptual: bool, low_light: bool) -> tuple[Column, ...]:
    """Those that can have figures."""
    wanted = {"st_lpips": perceptual, "psnr_gt_mean": low_light}
    return tuple(column for column in COLUMNS if wanted.get(column.key, True))


def header(model: str, columns: Sequence[Column]) -> str:
    """Two lines above the table."""
    titles = "".join(f"{column.title:>{_WIDTH}}" for column in columns)
    return (
        f"model: {model}   (input -> output; * marks the set's own protocol)\n"
        f"{'set':26}{'steps':>5}{'n':>4}{titles}{'ms/MP':>8}"
    )


def row(figures: SetFigures, columns: Sequence[Column]) -> str:
    """One line of the table."""
    cells = "".join(
        f"{text + ('*' if own else ' ' if text else ''):>{_WIDTH}}"
        for text, own in _cells(figures, columns, "->")
    )
    return (
        f"{figures.name:26}{figures.steps or '-':>5}{figures.pairs:>4}{cells}"
        f"{figures.means['ms_mp']:8.0f}"
    )


def _cells(
    figures: SetFigures, columns: Iterable[Column], arrow: str
) -> Iterator[tuple[str, bool]]:
    """(text, whether the set's own protocol) of each column; empty where it was not measured."""
    for c in columns:
        before, after = figures.means.get(f"{c.key}_in"), figures.means.get(f"{c.key}_out")
        if before is None or after is None:
            yield "", False
        else:
            text = f"{before:.{c.decimals}f}{arrow}{after:.{c.decimals}f}"
            yield text, c.protocol == figures.headline


def check_writable(*files: Path | None) -> None:
    """Refuse a report that could not be written before minutes are spent on its figures."""
    for path in files:
        if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK)):
            raise PellucidError(f"{path}: cannot be written; its folder must exist and be writable")


def write_reports(
    report: Evaluation, json_file: Path | None, csv_file: Path | None, html_file: Path | None
) -> None:
    """Write the asked files, each whole or not at all."""
    if json_file is not None:
        record = {
            "pellucid": __version__,
            "model": report.model,
            "weights_sha256": report.weights_sha256,
            "sets": [asdict(s) for s in report.sets],
            "skipped": report.skipped,
        }
        write_atomically(json_file, json.dumps(record, indent=1).encode())
    if csv_file is not None:
        write_atomically(csv_file, _csv(report).encode())
    if html_file is not None:
        write_atomically(html_file, _page(report).encode())
    for path in (json_file, csv_file, html_file):
        if path is not None:
            print(f"wrote {path}")


def _csv(report: Evaluation) -> str:
    text = io.StringIO(newline="")
    names: Sequence[str] = [f.name for f in fields(report.scores[0])] if report.scores else []
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(asdict(score) for score in report.scores)
    return text.getvalue()


def _page(report: Evaluation) -> str:
    measured = [c for c in COLUMNS if any(f"{c.key}_out" in s.means for s in report.sets)]
    head = ["set", "task", "steps", "pairs", *(c.title for c in measured), "ms/MP"]
    rows = []
    for s in report.sets:
        start = [(t, False) for t in (s.name, s.task, str(s.steps or "-"), str(s.pairs))]
        speed = (f"{s.means['ms_mp']:.0f}", False)
        rows.append([*start, *_cells(s, measured, " → "), speed])
    return page(report.model, head, rows, report.pictures)
