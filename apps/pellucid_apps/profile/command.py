"""`pellucid profile`: what model files cost on this machine's engines and devices."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pellucid import PellucidError
from pellucid.engine import default_threads
from pellucid.image.photo import write_atomically
from pellucid.profiling import Conditions, Row, State, chrome_trace, find_targets, profile_files
from pellucid.restorer import find_model
from pellucid.size import Size, parse_size

from ..size_option import ShapeOption, sizes_asked_for
from . import gate as profile_gate
from . import page as profile_page
from . import report as profile_report
from .extras import estimates_of, with_macs, with_quality

SOME_FAILED, GATE_FAILED = 1, 3
_KINDS = ("*.onnx", "*.xml", "*.mlpackage")


class ProfileError(PellucidError):
    """An option of `pellucid profile` cannot be used."""


def command(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL|DIR|FILE...", help="Bundled names, files, folders")
    ],
    device: Annotated[
        str, typer.Option("--device", "-d", help="auto, cpu, gpu, npu or all.")
    ] = "auto",
    size: Annotated[
        str, typer.Option(metavar="WxH,...", help="Sizes, such as 640x360,1280x720.")
    ] = "640x360",
    seconds: Annotated[
        float, typer.Option(min=0.0, help="Of timed calls for a row; up to 10x while uncertain.")
    ] = 1.0,
    budget: Annotated[
        float, typer.Option(min=1.0, help="Seconds for all rows; they get less each if needed.")
    ] = 150.0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also a time for every layer.")] = False,
    data: Annotated[Path | None, typer.Option(help="Pairs to measure the quality on.")] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write .json or .md; --layers adds a .trace.json beside it.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots here.")] = None,
    against: Annotated[Path | None, typer.Option(help="A saved .json to compare with.")] = None,
    fail_over: Annotated[
        str, typer.Option(metavar="N%", help="Growth of a ratio that fails; see --against.")
    ] = "",
    strict_device: Annotated[
        bool, typer.Option("--strict-device", help="Refuse to run on another device: exit code 3.")
    ] = False,
    shape: ShapeOption = "",
) -> None:
    """Measure time, memory and work of model files on every engine and device found here.

    Ratios compare with plain 3x3 convolutions timed in turns with each file; compare these, not
    milliseconds. Exit code 1 if a row failed, 3 if --against or --strict-device did.
    """
    sizes = parse_sizes(sizes_asked_for(size, shape))
    old = profile_gate.read(against, fail_over) if against is not None else None
    for path in (save, html):
        if path is not None and not path.absolute().parent.is_dir():
            raise ProfileError(f"{path}: there is no folder {path.absolute().parent}; make it")
    if save is not None and save.suffix not in (".json", ".md"):
        raise ProfileError(f"--save writes .json or .md, got {save.name}")
    files, names = collect(models)
    targets = find_targets(device)
    conditions = Conditions(
        sizes, threads or default_threads(), seconds, strict_device, layers, budget
    )
    print(profile_report.header(), flush=True)
    profiled = profile_files(
        files, targets, conditions, names, lambda r: print(profile_report.line(r), flush=True)
    )
    by_name = dict(zip(names, files, strict=True))
    profiled.rows = with_macs(profiled.rows, by_name, profiled.peak)
    if data is not None:
        profiled.rows = with_quality(profiled.rows, by_name, data, threads)
    has_npu = any(target.kind == "npu" and not target.absent for target in targets)
    wants_npu = device in ("npu", "all", "auto") and not has_npu
    estimates, missing = estimates_of(files, names, sizes) if wants_npu else ([], "")
    print("\n".join(profile_report.footer(profiled, estimates, missing)))
    document = profile_report.document(profiled, estimates)
    if save is not None:
        markdown = profile_report.markdown(profiled, estimates)
        write(save, json.dumps(document, indent=1) if save.suffix == ".json" else markdown)
        if layers:
            write(save.with_suffix(".trace.json"), json.dumps(chrome_trace(profiled.layered)))
    if html is not None:
        write(html, profile_page.page(profiled, estimates))
    verdict = profile_gate.compare(document, old) if old is not None else []
    print("\n".join(entry.line for entry in verdict), end="\n" if verdict else "")
    raise typer.Exit(exit_code(profiled.rows, strict_device, any(e.failed for e in verdict)))


def exit_code(rows: list[Row], strict: bool, gate_failed: bool) -> int:
    """3 for a gate, 1 for a row without figures, else 0."""
    states = {row.state for row in rows}
    if gate_failed or (strict and states & {State.FALLBACK, State.ABSENT}):
        return GATE_FAILED
    without = {State.FAILED, State.ABSENT, State.SKIPPED}
    return SOME_FAILED if states & without or not rows else 0


def parse_sizes(text: str) -> tuple[Size, ...]:
    """'640x360,1280x720' -> ((360, 640), (720, 1280)), each once."""
    return tuple(dict.fromkeys(parse_size(word) for word in text.split(",")))


def collect(models: list[str]) -> tuple[list[Path], list[str]]:
    """Files and the names that rows call them by; a missing file keeps its place, for its row."""
    files: list[Path] = []
    for model in models:
        path = Path(model)
        if path.is_dir() and path.suffix != ".mlpackage":
            # `export` sorts its files into a folder a format.
            depths = ("", "*/")
            found = sorted(file for d in depths for kind in _KINDS for file in path.glob(d + kind))
            if not found:
                raise ProfileError(f"{path}: no {', '.join(_KINDS)} in this folder or the next")
            files += found
        else:
            is_file = path.suffix in (".onnx", ".xml", ".mlpackage")
            files.append(path if is_file else find_model(model))
    files = list(dict.fromkeys(files))
    stems = [file.name for file in files]
    names = [file.name if stems.count(file.name) == 1 else str(file) for file in files]
    return files, names


def write(path: Path, text: str) -> None:
    write_atomically(path, text.encode())
    print(f"wrote {path}")
