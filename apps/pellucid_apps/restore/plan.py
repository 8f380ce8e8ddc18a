"""Inputs to jobs: every input has a result of its own, whose name says where it came from."""

import glob
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from pellucid import video
from pellucid.image.encode import SUFFIXES, same_format

from .find import NOT_WRITTEN, TRIED, describe_passed_over, is_tried, kind_of, walk

_SUFFIX_OF_KIND = {
    "jpeg": ".jpg", "png": ".png", "webp": ".webp", "tiff": ".tif", "bmp": ".bmp",
    "avif": ".avif", "heic": ".jpg", "raw": ".tif", "jxl": ".png",
}  # fmt: skip
_WRITTEN = (*SUFFIXES, *video.SUFFIXES)


@dataclass(frozen=True)
class Job:
    """sheet: where the before/after sheet goes, if one is asked for."""

    source: Path
    target: Path
    sheet: Path = field(default=Path())

    def __post_init__(self) -> None:
        if self.sheet == Path():
            named = self.target.with_name(f"{self.target.stem}_compare.jpg")
            object.__setattr__(self, "sheet", named)


@dataclass(frozen=True)
class Plan:
    """passed_over: files in the folders that are neither pictures nor videos pellucid reads."""

    jobs: list[Job]
    passed_over: list[Path]


def make_plan(inputs: Sequence[str], out: Path, recursive: bool) -> Plan:
    """Pair every input with its result; folders are mirrored below `out`.

    `out` is a file when it has a picture's or video's suffix and there is one input file.
    Raises typer.BadParameter where there is nothing to do or `out` cannot be what it seems.
    """
    found: list[tuple[Path, Path]] = []
    passed_over: list[Path] = []
    for text in inputs:
        _expand(text, recursive, out, found, passed_over)
    found = _once(found)
    if not found:
        raise typer.BadParameter(_nothing(inputs, out, recursive, passed_over))
    suffix = out.suffix.lower()
    if suffix in NOT_WRITTEN and not _is_dir(out):
        raise typer.BadParameter(f"cannot write {suffix}; use {', '.join(SUFFIXES)}")
    to_file = suffix in _WRITTEN and not _is_dir(out)
    if to_file and len(found) > 1:
        raise typer.BadParameter(f"{out} is a file, but there are {len(found)} inputs")
    if not to_file and out.is_file():
        raise typer.BadParameter(f"{out} is a file; give a folder for results")
    if to_file:
        return Plan([Job(found[0][0], out)], passed_over)
    jobs = [Job(source, out / result_name(source, inside)) for source, inside in found]
    return Plan(_sheets_apart(_apart(jobs, out)), passed_over)


def result_name(source: Path, inside: Path) -> Path:
    """A result keeps its input's name, with the suffix that its content has or will have."""
    kind = kind_of(source)
    if kind == "video" or (not kind and inside.suffix.lower() in video.SUFFIXES):
        return inside.with_suffix(video.result_suffix(inside))
    wanted = _SUFFIX_OF_KIND.get(kind, "")
    if not wanted or same_format(inside.suffix.lower(), wanted):
        return inside
    if inside.suffix.lower() in TRIED:
        return inside.with_suffix(wanted)
    return inside.with_name(inside.name + wanted)


def _expand(
    text: str, recursive: bool, out: Path, found: list[tuple[Path, Path]], passed: list[Path]
) -> None:
    """Add (picture, its place below OUT) of one argument."""
    path = Path(text)
    if _is_dir(path):
        for file in walk(path, recursive, out):
            if is_tried(file):
                found.append((file, file.relative_to(path)))
            else:
                passed.append(file)
    elif glob.has_magic(text) and not os.path.lexists(text):
        matches = sorted(Path(m) for m in glob.glob(text, recursive=True))
        found += [(m, Path(m.name)) for m in matches if m.is_file()]
    elif _is_stream(path):  # reading its first bytes, to see what it is, would take them away
        raise typer.BadParameter(f"{text} is a pipe or device, not a file; - is standard input")
    else:
        found.append((path, Path(path.name)))


def _once(found: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Without files that were named before."""
    first: dict[str, tuple[Path, Path]] = {}
    for source, inside in found:
        first.setdefault(os.path.realpath(source), (source, inside))
    return list(first.values())


def _nothing(inputs: Sequence[str], out: Path, recursive: bool, passed: list[Path]) -> str:
    """Why there is nothing to restore, and what would help."""
    reasons = [f"no pictures found in {', '.join(inputs)}"]
    folders = (Path(text) for text in inputs if _is_dir(Path(text)))
    below = (file for folder in folders for file in walk(folder, True, out))
    if not recursive and any(is_tried(file) for file in below):
        reasons.append("there are some in its subfolders: add -r")
    if passed:
        reasons.append(describe_passed_over(passed))
    return "; ".join(reasons)


def _apart(jobs: list[Job], out: Path) -> list[Job]:
    """No two jobs with one target: equal names go into folders named as their own, and photos of
    one stem whose results have one suffix get the old suffix into their names."""
    for rename in (_by_folder, _by_suffix):
        twins = Counter(job.target for job in jobs)
        jobs = [
            replace(job, target=rename(job, out), sheet=Path()) if twins[job.target] > 1 else job
            for job in jobs
        ]
    taken: set[Path] = set()
    for index, job in enumerate(jobs):
        target, number = job.target, 2
        while target in taken:
            target = job.target.with_name(f"{job.target.stem}_{number}{job.target.suffix}")
            number += 1
        taken.add(target)
        if target != job.target:
            jobs[index] = replace(job, target=target, sheet=Path())
    return jobs


def _by_folder(job: Job, out: Path) -> Path:
    """For inputs that share a name. Those that only share a stem stay in their folder."""
    if job.source.suffix.lower() != job.target.suffix.lower():
        return job.target
    return out / Path(os.path.abspath(job.source)).parent.name / job.target.relative_to(out)


def _by_suffix(job: Job, out: Path) -> Path:
    suffix = job.source.suffix.lower().lstrip(".")
    if not suffix or suffix == job.target.suffix.lower().lstrip("."):
        return job.target
    return job.target.with_name(f"{job.target.stem}_{suffix}{job.target.suffix}")


def _sheets_apart(jobs: list[Job]) -> list[Job]:
    """IMG_1.jpg and IMG_1.png have sheets of their own, and no sheet has a result's name."""
    sheets = Counter(job.sheet for job in jobs)
    targets = {job.target for job in jobs}
    return [
        replace(job, sheet=_sheet_with_suffix(job.target))
        if sheets[job.sheet] > 1 or job.sheet in targets
        else job
        for job in jobs
    ]


def _sheet_with_suffix(target: Path) -> Path:
    return target.with_name(f"{target.stem}_{target.suffix.lstrip('.')}_compare.jpg")


def _is_stream(path: Path) -> bool:
    """Whether it is a named pipe, a process substitution, a terminal or the like."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _is_dir(path: Path) -> bool:
    """Whether it is a folder; what cannot be looked at is reported later, with its reason."""
    try:
        return path.is_dir()
    except OSError:
        return False
