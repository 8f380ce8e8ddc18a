"""`pellucid ready`: will an NPU take this file, and how long might it take, without the device."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid import PellucidError
from pellucid.size import Size, parse_size, size_text

from ..bundled import model_file
from ..size_option import ShapeOption, sizes_asked_for

if TYPE_CHECKING:
    from pellucid_export.readiness.check import ReadinessReport
    from pellucid_export.readiness.graph import Graph
    from pellucid_export.readiness.roofline import Estimate

NOT_READY = 3


class ReadyError(PellucidError):
    """The file or an option of `pellucid ready` cannot be used."""


def command(
    file: Annotated[Path, typer.Argument(help="Bundled name, .onnx, .mlpackage or OpenVINO .xml.")],
    target: Annotated[
        str, typer.Option(help="Comma-separated: ane, intel-npu, htp, litert (default: all).")
    ] = "",
    size: Annotated[
        str, typer.Option(metavar="WxH", help="Size to check a file with free sizes at.")
    ] = "",
    emulate: Annotated[
        bool, typer.Option("--emulate", help="Also run Qualcomm's HTP emulator, if installed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    shape: ShapeOption = "",
) -> None:
    """Say layer by layer what an NPU will take of a model file, and what to change.

    Exit code 3 if a layer is unsupported. Times are roofline estimates, not measurements.
    """
    asked = sizes_asked_for(size, shape)
    at = parse_size(asked) if asked else None
    reports, estimates, emulated = check(file, target, at, emulate)
    if as_json:
        record: dict[str, Any] = {
            "readiness": [report.to_dict() for report in reports],
            "estimates": [estimate.to_dict() for estimate in estimates],
            "emulator": emulated[1] if emulated else None,
        }
        print(json.dumps(record, indent=1))
    else:
        print("\n".join(render(reports, estimates, emulated[0] if emulated else [])))
    refused = emulated is not None and not emulated[1]["whole"]
    if refused or not all(report.ready for report in reports):
        raise typer.Exit(NOT_READY)


def check(
    file: Path, target: str, size: Size | None, emulate: bool
) -> tuple[list["ReadinessReport"], list["Estimate"], tuple[list[str], dict[str, Any]] | None]:
    """(readiness a target, estimates a chip, the emulator's lines and figures if asked for)."""
    try:
        from pellucid_export.htp import emulator as htp
        from pellucid_export.readiness import check as readiness
        from pellucid_export.readiness import roofline
        from pellucid_export.readiness import rules as readiness_rules
        from pellucid_export.readiness.chips import chips_of
        from pellucid_export.readiness.readers import read_graph
    except ImportError as error:
        raise ReadyError(
            f"`pellucid ready` needs the package {error.name}: pip install 'pellucid[export]'"
        ) from error
    file = model_file(file)
    if not file.exists():
        raise ReadyError(f"{file}: no such file; `pellucid export` writes the files to check")
    wanted = [name.strip() for name in target.split(",") if name.strip()]
    only = {".mlpackage": ["ane"], ".xml": ["intel-npu"]}.get(file.suffix)
    keys = wanted or only or readiness.target_names()
    for key in keys:
        readiness.check_target(key, file)
    graph = read_graph(file, *(size or ()))
    reports = [readiness.check_graph(graph, readiness_rules.TARGETS[key]) for key in keys]
    at = _size_to_estimate(graph, size)
    estimates = [
        roofline.estimate_graph(graph, chip, *at)
        for key in keys
        for chip in chips_of(key)
        if at is not None
    ]
    emulated = None
    if emulate:
        report = htp.check(file)
        emulated = (report.lines, report.to_dict())
    return reports, estimates, emulated


def _size_to_estimate(graph: "Graph", size: Size | None) -> Size | None:
    if size is not None and graph.size not in (None, size):
        raise ReadyError(
            f"{graph.path}: its size is fixed to {size_text(graph.size or size)}, --size asks for "
            f"{size_text(size)}; leave --size out"
        )
    return graph.size


def render(
    reports: list["ReadinessReport"], estimates: list["Estimate"], emulated: list[str]
) -> list[str]:
    """What the command prints: readiness first, then the estimates, apart from measured rows."""
    lines = [line for report in reports for line in report.lines] + emulated
    if estimates:
        lines.append("")
        lines += [estimate.lines[0] for estimate in estimates]
        lines.append(f"  assumed: {estimates[0].assumptions[1]}; {estimates[0].assumptions[3]}")
        lines.append("  peaks, memory and their sources: --json; none was measured here")
    elif any(report.target != "litert" for report in reports):
        lines += ["", "no estimate of time: the file takes any size, give one with --size WxH"]
    return lines
