"""What a profile adds to the measured rows: missing MACs, quality, NPU estimates kept apart."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from pellucid import PellucidError, Restorer
from pellucid.profiling import Row

if TYPE_CHECKING:
    from pellucid_export.readiness.roofline import Estimate

NO_EXPORT = "no NPU estimates without the onnx package: pip install 'pellucid[export]'"


def with_macs(rows: Sequence[Row], files: Mapping[str, Path], peak: float) -> list[Row]:
    """Count the work of ONNX files without a card, where the onnx package is installed."""
    return [_counted(row, files.get(row.file), peak) for row in rows]


def _counted(row: Row, path: Path | None, peak: float) -> Row:
    if row.p50_ms is None or row.gmac is not None or path is None or path.suffix != ".onnx":
        return row
    try:
        from pellucid_export.readiness.readers import read_graph

        gmac = read_graph(path, row.height, row.width).macs / 1e9
    except (ImportError, PellucidError):
        return row
    rate = 1e3 * gmac / row.p50_ms
    return replace(row, gmac=gmac, gmac_per_s=rate, peak_share=rate / peak)


def with_quality(
    rows: Sequence[Row], files: Mapping[str, Path], data: Path, threads: int | None
) -> list[Row]:
    """PSNR in dB of each file that ran: each set by its own protocol, mean over the sets."""
    from ..evaluate import command as evaluate
    from ..evaluate import models as evaluate_models

    quality: dict[str, float] = {}
    for name in dict.fromkeys(row.file for row in rows if row.p50_ms is not None):
        try:
            restorer = Restorer(files[name], threads=threads)
            subject = evaluate_models.Subject(name, ((restorer.card.steps, restorer),))
            with contextlib.redirect_stdout(io.StringIO()):
                report = evaluate.measure(data, subject)
        except PellucidError as error:
            print(f"no quality of {name}: {error}")
            continue
        means = [
            one.means["psnr_y_out" if one.headline == "y" else "psnr_out"] for one in report.sets
        ]
        if means:
            quality[name] = mean(means)
    return [replace(row, quality_db=quality.get(row.file)) for row in rows]


def estimates_of(
    files: Sequence[Path], names: Sequence[str], sizes: Sequence[tuple[int, int]]
) -> tuple[list["Estimate"], str]:
    """(a roofline a file, chip and size, why there are none). Files that cannot be read give none.

    A chip is left out where its readiness rules refuse a layer of the file.
    """
    try:
        from pellucid_export.readiness import check as readiness
        from pellucid_export.readiness import roofline
        from pellucid_export.readiness import rules as readiness_rules
        from pellucid_export.readiness.chips import CHIPS
        from pellucid_export.readiness.readers import read_graph
    except ImportError:
        return [], NO_EXPORT
    estimates, refused = [], set()
    for path, name in zip(files, names, strict=True):
        for size in sizes if path.suffix == ".onnx" else ():
            try:
                graph = read_graph(path, *size)
                reports = {  # chips of a family share their rules
                    target: readiness.check_graph(graph, readiness_rules.TARGETS[target])
                    for target in dict.fromkeys(chip.target for chip in CHIPS.values())
                }
                for chip in CHIPS.values():
                    report = reports[chip.target]
                    if report.ready:
                        estimate = roofline.estimate_graph(graph, chip, *size)
                        estimates.append(replace(estimate, path=Path(name)))
                    else:
                        refused.add(report.title)
            except PellucidError:
                continue  # its measured row tells why
    why = f"no estimate where layers are unsupported: {', '.join(sorted(refused))}; pellucid ready"
    return estimates, f"{why} FILE says which" if refused else ""
