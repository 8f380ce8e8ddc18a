"""`pellucid export`: one model, every format, each file compared with torch before it is kept.

Needs the `export` extra (torch, onnx); OpenVINO and Core ML files need one more extra each.
"""

import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from pellucid import PellucidError
from pellucid.engine import default_threads

from ..demo import SAMPLES
from ..size_option import ShapeOption, sizes_asked_for
from ..web import ENGINE as WEB_ENGINE

if TYPE_CHECKING:
    from pellucid_export.calibration import Pictures
    from pellucid_export.report import ExportReport
    from pellucid_export.request import Request

QUALITY_GATE_FAILED = 3
CALIBRATION_PICTURES = 24
FORMATS_HELP = "onnx, openvino, coreml, darktable, htp, litert, web; or all (but htp to web)."
PRECISIONS_HELP = "fp32, fp16, w8a8 (int8); Core ML also w8, w6p; htp w8a16. Several with commas."
FOR_PELLUCID_HELP = "Only the two files pellucid itself restores with, for photos and for frames."
OPSET = 17  # pellucid_export.onnx.opset.DEFAULT, which needs onnx
OPSET_HELP = "Operator set of ONNX files, 13 to 23; most programs load 17."
TARGET_HELP = "Devices that must take every layer: ane, intel-npu, htp, litert; with commas."


def export(
    model: Annotated[str, typer.Argument(help="A student's .safetensors, or a bundled name.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")],
    formats: Annotated[str, typer.Option("--formats", "-f", help=FORMATS_HELP)] = "onnx",
    precisions: Annotated[str, typer.Option("--precisions", "-p", help=PRECISIONS_HELP)] = "fp32",
    size: Annotated[
        str, typer.Option(help="dynamic, or WIDTHxHEIGHT; several with commas.")
    ] = "dynamic",
    ports: Annotated[
        str, typer.Option("--io", help="float (0..1 tensors) or image (8-bit pictures).")
    ] = "float",
    steps: Annotated[int, typer.Option(min=1, max=3, help="Passes; each costs as much.")] = 1,
    calib: Annotated[
        Path | None, typer.Option("--calib", help="Photos that set the int8 ranges.")
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0.0, help="dB an int8 file may lose on any sample.")
    ] = 0.1,
    target: Annotated[str, typer.Option(help=TARGET_HELP)] = "",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads to time with.")] = None,
    opset: Annotated[int, typer.Option(help=OPSET_HELP)] = OPSET,
    json_report: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    for_pellucid: Annotated[bool, typer.Option("--for-pellucid", help=FOR_PELLUCID_HELP)] = False,
    shape: ShapeOption = "",
) -> None:
    """Export a student to ONNX, OpenVINO, Core ML and darktable; refuse what lost its quality.

    Exit code 3 if a file failed its gate; the others are written all the same.
    """
    _need_torch()
    size = sizes_asked_for(size, shape)
    if for_pellucid:
        if (formats, precisions, size, ports, steps) != ("onnx", "fp32", "dynamic", "float", 1):
            raise PellucidError("--for-pellucid takes a model and -o, no format, precision or size")
        _write_pellucid_files(model, out)
        return
    from pellucid_export import request as asked
    from pellucid_export.report import as_json

    if formats.strip() == "all" and precisions == "fp32":
        precisions = "fp32,fp16,w8a8"
    request = asked.Request(
        asked.read_formats(formats),
        asked.read_precisions(precisions),
        out,
        asked.read_sizes(size),
        asked.read_ports(ports),
        steps,
        max_drop,
        threads or default_threads(),
        asked.read_targets(target),
        WEB_ENGINE,
        opset,
    )
    asked.check_combinations(request)
    report = _run(model, request, calib, quiet=json_report)
    if json_report:
        print(as_json(report))
    else:
        _show(report, request)
    raise typer.Exit(0 if report.complete else QUALITY_GATE_FAILED)


def _write_pellucid_files(model: str, out: Path) -> None:
    from pellucid_export.pellucid_files import write_pellucid_files
    from pellucid_export.weights import find_weights, open_student

    for made in write_pellucid_files(*open_student(find_weights(model)), out):
        size = made.path.stat().st_size / 1e6
        print(f"{made.path}  {size:.2f} MB  {made.parity_db:.0f} dB vs torch")


def _run(model: str, request: "Request", calib: Path | None, quiet: bool) -> "ExportReport":
    """Make the files and the report beside them."""
    from pellucid_export.pipeline import Exporter
    from pellucid_export.report import ExportReport, write_reports
    from pellucid_export.snippets import snippets
    from pellucid_export.source import ExportSource
    from pellucid_export.weights import find_weights, open_student

    start = time.monotonic()
    student, provenance = open_student(find_weights(model))
    pictures = _pictures(calib, getattr(student.config, "scale", 1))
    source = ExportSource(student, provenance, request.steps, pictures, request.image_io)
    console = Console(file=sys.stderr)  # the very stream: libraries lose theirs while they work

    def tell(line: str) -> None:
        if not quiet:
            console.print(
                f"{time.monotonic() - start:6.1f} s  {line}",
                markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip

    # A killed export cleans up as an interrupted one does.
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        rows = Exporter(source, request, tell).run()
    finally:
        signal.signal(signal.SIGTERM, before)
    report = ExportReport(
        source.card,
        rows,
        request.left_out(),
        pictures.source,
        request.threads,
        f"{len(pictures.validation)} bundled samples"
        + (", the last with hardly any noise" if source.card["scale"] == 1 else ", reduced"),
        time.monotonic() - start,
    )
    code = snippets(rows)
    try:
        write_reports(report, request.out, request.max_drop, code)
        _write_snippets(request.out / "snippets", code)
    except OSError as error:
        raise PellucidError(f"{request.out}: cannot write there ({error.strerror})") from error
    return report


def _pictures(calib: Path | None, scale: int) -> "Pictures":
    """The validation samples, and the user's calibration photos or synthesised ones; for students
    that enlarge, the bundled photos reduced."""
    from pellucid_export.calibration import (
        Pictures,
        from_folder,
        mild_pair,
        reduced,
        reduced_pairs,
        sample_pairs,
        synthesised,
    )

    if scale > 1:
        validation = reduced_pairs(SAMPLES / "clean", scale)
    else:
        validation = [
            *sample_pairs(SAMPLES / "degraded", SAMPLES / "clean"),
            mild_pair(SAMPLES / "clean"),
        ]
    if calib is not None:
        chosen = from_folder(calib, CALIBRATION_PICTURES)
        return Pictures(chosen, validation, f"{len(chosen)} pictures of {calib}")
    if scale > 1:
        small = reduced(SAMPLES / "clean", CALIBRATION_PICTURES, scale)
        return Pictures(small, validation, f"{len(small)} reduced crops of the bundled photos")
    made = synthesised(SAMPLES / "clean", CALIBRATION_PICTURES)
    return Pictures(made, validation, f"{len(made)} degraded crops of the bundled photos")


def _show(report: "ExportReport", request: "Request") -> None:
    """The table, what it means, and what to do next."""
    from pellucid_export.report import HEAD, cells
    from pellucid_export.snippets import next_commands

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in HEAD:
        right = name in ("MB", "dB vs torch", "worst drop", "ms here")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in report.rows:
        style = "red" if row.refused else None if row.recommended else "yellow"
        table.add_row(*(cell.replace("[", "\\[") for cell in cells(row)), style=style)
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    for line in report.foot():
        console.print(f"  {line}", markup=False, highlight=False, style="dim", soft_wrap=True)
    print(
        f"\n{len(report.rows)} files in {report.seconds:.0f} s; report: {request.out}/export.html"
    )
    print(f"code to run them: {request.out}/snippets/\n\nnext:")
    for line in next_commands(report.rows, request.out):
        print(f"  {line}")


def _write_snippets(folder: Path, code: list[tuple[str, str]]) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in code:
        (folder / name).write_text(text, "utf-8")


def _need_torch() -> None:
    missing = [n for n in ("torch", "onnx", "onnxscript", "safetensors") if find_spec(n) is None]
    if missing:
        raise PellucidError(f"exporting needs {missing[0]}: pip install 'pellucid[export]'")
