"""`pellucid ready`: will an NPU take this file, and how long might it take, without the device."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid import PellucidError

from ..bundled import model_file

if TYPE_CHECKING:
    from pellucid_export.readiness.check import Report
    from pellucid_export.readiness.graph import Graph
    from pellucid_export.readiness.roofline import Estimate

NOT_READY = 3

LARGEST_SIDE = 16384  # px; of a network's input


class ReadyError(PellucidError):
    """The file or an option of `pellucid ready` cannot be used."""


def command(
    file: Annotated[Path, typer.Argument(help="Bundled name, .onnx, .mlpackage or OpenVINO .xml.")],
    target: Annotated[
        str, typer.Option(help="Comma-separated: ane, intel-npu, htp, litert (default: all).")
    ] = "",
    shape: Annotated[
        str, typer.Option(metavar="HxW", help="Size to judge a file with free sizes at.")
    ] = "",
    emulate: Annotated[
        bool, typer.Option("--emulate", help="Also run Qualcomm's HTP emulator, if installed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say layer by layer what an NPU will take of a model file, and what to change.

    Exit code 3 if a layer is unsupported. Times are roofline estimates, not measurements.
    """
    reports, estimates, emulated = judge(file, target, shape, emulate)
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


def judge(
    file: Path, target: str, shape: str, emulate: bool
) -> tuple[list["Report"], list["Estimate"], tuple[list[str], dict[str, Any]] | None]:
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
        raise ReadyError(f"{file}: no such file; `pellucid export` writes the files to judge")
    wanted = [name.strip() for name in target.split(",") if name.strip()]
    only = {".mlpackage": ["ane"], ".xml": ["intel-npu"]}.get(file.suffix)
    keys = wanted or only or readiness.target_names()
    for key in keys:
        readiness.check_target(key, file)
    size = parse_shape(shape)
    graph = read_graph(file, *size)
    reports = [readiness.judge(graph, readiness_rules.TARGETS[key]) for key in keys]
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


def _size_to_estimate(graph: "Graph", size: tuple[int, int] | tuple[()]) -> tuple[int, int] | None:
    if size and graph.size not in (None, size):
        fixed = "x".join(map(str, graph.size or ()))
        raise ReadyError(
            f"{graph.path}: its size is fixed to {fixed}, --shape asks for {size[0]}x{size[1]}; "
            f"leave --shape out"
        )
    return graph.size


def parse_shape(text: str) -> tuple[int, int] | tuple[()]:
    """'720x1280' -> (720, 1280), height first; '' -> ()."""
    if not text:
        return ()
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise ReadyError(f"--shape is HEIGHTxWIDTH, like 720x1280; got {text!r}")
    height, width = int(match[1]), int(match[2])
    if max(height, width) > LARGEST_SIDE:
        raise ReadyError(f"--shape: sides go up to {LARGEST_SIDE}, got {text!r}")
    return height, width


def render(reports: list["Report"], estimates: list["Estimate"], emulated: list[str]) -> list[str]:
    """What the command prints: readiness first, then the estimates, apart from measured rows."""
    lines = [line for report in reports for line in report.lines] + emulated
    if estimates:
        lines.append("")
        lines += [estimate.lines[0] for estimate in estimates]
        lines.append(f"  assumed: {estimates[0].assumptions[1]}; {estimates[0].assumptions[3]}")
        lines.append("  peaks, memory and their sources: --json; none was measured here")
    elif any(report.target != "litert" for report in reports):
        lines += ["", "no estimate of time: the file takes any size, give one with --shape HxW"]
    return lines
