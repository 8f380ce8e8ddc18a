"""`pellucid restore`: which files, one after another, and what became of each."""

import glob
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from pellucid import PellucidError, PhotoError, Restorer, read_photo, video
from pellucid.image.photo import SUFFIXES, write_atomically

from ..progress import Progress
from . import videos as restore_video
from .compare import as_large_as_shown, before_after
from .unread import describe_unread, find_unread, walk

READ = (*SUFFIXES, *video.SUFFIXES)


@dataclass(frozen=True)
class Job:
    source: Path
    target: Path


@dataclass(frozen=True)
class Options:
    strength: float = 1.0
    quality: int = 95
    compare: bool = False
    overwrite: bool = False
    clip: video.VideoOptions = video.VideoOptions()
    frames: Restorer | None = None  # of videos, for a chain


@dataclass(frozen=True)
class Result:
    """What became of one input. ms: network and tiles, without reading and writing."""

    source: str
    target: str
    size: str = ""
    ms: float = 0.0
    error: str | None = None
    notes: tuple[str, ...] = ()


def plan_jobs(inputs: Sequence[str], out: Path, recursive: bool) -> list[Job]:
    """Pair every input with its result; folders are mirrored below `out`.

    `out` is a file when it has a picture's or video's suffix and there is one input file.
    """
    found = [pair for text in inputs for pair in _expand(text, recursive, out)]
    if not found:
        unread = describe_unread(find_unread(inputs, out, recursive))
        told = f"no pictures found in {', '.join(inputs)}"
        raise typer.BadParameter(f"{told}; {unread}" if unread else told)
    to_file = out.suffix.lower() in READ and not _is_dir(out)
    if to_file and len(found) > 1:
        raise typer.BadParameter(f"{out} is a file, but there are {len(found)} inputs")
    if not to_file and out.is_file():
        raise typer.BadParameter(f"{out} is a file; give a folder for results")
    return [Job(source, out if to_file else out / _result_name(inside)) for source, inside in found]


def _result_name(inside: Path) -> Path:
    """Pictures keep their name; videos get a container that can be written."""
    if inside.suffix.lower() in video.SUFFIXES:
        return inside.with_suffix(video.result_suffix(inside))
    return inside


def _expand(text: str, recursive: bool, out: Path) -> list[tuple[Path, Path]]:
    """(picture, its place below OUT) for one argument."""
    path = Path(text)
    if _is_dir(path):
        files = walk(path, recursive, out)
        return [(p, p.relative_to(path)) for p in files if p.suffix.lower() in READ]
    if glob.has_magic(text) and not os.path.lexists(text):
        matches = sorted(Path(m) for m in glob.glob(text, recursive=True))
        return [(m, Path(m.name)) for m in matches if m.is_file()]
    return [(path, Path(path.name))]


def _is_dir(path: Path) -> bool:
    """Whether it is a folder; what cannot be looked at is reported later, with its reason."""
    try:
        return path.is_dir()
    except OSError:
        return False


def run_jobs(
    jobs: Sequence[Job], restorer: Restorer, options: Options, quiet: bool = False
) -> list[Result]:
    """Restore all; an input that fails is reported and the next one goes on."""
    results: list[Result] = []
    written: dict[Path, Path] = {}
    with Progress(len(jobs), quiet) as progress:
        for job in jobs:
            target = Path(os.path.abspath(job.target))
            try:
                wanted = [target, _sheet(target)] if options.compare else [target]
                for path in wanted:
                    if path in written:
                        raise PhotoError(
                            f"{job.source}: {path.name} would replace that of {written[path]}; "
                            "give it a folder of its own with -o"
                        )
                result = _restore_one(job, restorer, options, progress)
                written |= dict.fromkeys(wanted, job.source)
            except restore_video.Interrupted:
                raise
            except PellucidError as error:
                result = Result(str(job.source), str(job.target), error=str(error))
            except OSError as error:  # permissions, a name that is too long, a disk that vanished
                told = f"{job.source}: {error.strerror or error}"
                result = Result(str(job.source), str(job.target), error=told)
            except MemoryError:
                told = f"{job.source}: not enough memory; lower it with fewer --threads or --steps"
                result = Result(str(job.source), str(job.target), error=told)
            results.append(result)
            progress.finish(_line(result), failed=result.error is not None)
    return results


def _restore_one(job: Job, restorer: Restorer, options: Options, progress: Progress) -> Result:
    target = job.target
    if video.is_video(job.source):
        size, ms, notes = restore_video.restore_one(
            job.source,
            target,
            restorer,
            options.strength,
            options.clip,
            progress,
            options.frames,
        )
        return Result(str(job.source), str(target), size, ms, notes=notes)
    for path in [target, _sheet(target)] if options.compare else [target]:
        if path.exists() and not options.overwrite:
            raise PhotoError(f"{job.source}: {path} exists; use --overwrite to replace it")
    photo = read_photo(job.source)
    before = as_large_as_shown(photo.pixels) if options.compare else None
    if target.suffix.lower() not in SUFFIXES:
        raise PhotoError(f"{job.source}: cannot write {target.suffix or 'a name without suffix'}")
    start = time.perf_counter()
    restorer.restore_photo(photo, options.strength, progress.tiles)
    ms = 1e3 * (time.perf_counter() - start)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoError(f"{target.parent}: cannot make folder ({error.strerror})") from error
    photo.save(target, options.quality)
    notes = photo.notes
    if before is not None:
        try:
            sheet = before_after(before, as_large_as_shown(photo.pixels), photo.orientation)
            write_atomically(_sheet(target), sheet)
        except (PhotoError, RuntimeError) as error:  # the photo itself is restored and written
            notes = (*notes, f"no before/after sheet ({error})")
    height, width = photo.pixels.shape[:2]
    return Result(str(job.source), str(target), f"{width}x{height}", round(ms, 1), notes=notes)


def _sheet(target: Path) -> Path:
    """Where the before/after sheet of a result goes."""
    return target.with_name(f"{target.stem}_compare.jpg")


def _line(result: Result) -> str:
    if result.error is not None:
        return f"FAILED  {result.error}"
    notes = "".join(f"\n        note: {note}" for note in result.notes)
    return f"ok      {result.source}  {result.size}  {result.ms:.0f} ms  -> {result.target}{notes}"


def print_summary(results: Sequence[Result], as_json: bool, unread: Sequence[Path] = ()) -> None:
    """unread: photos in the folders of kinds that pellucid does not read."""
    failed = [r for r in results if r.error is not None]
    if as_json:
        told = {
            "restored": len(results) - len(failed),
            "failed": len(failed),
            "unread": [*map(str, unread)],
        }
        print(json.dumps(told | {"files": [asdict(r) for r in results]}, indent=1))
        return
    print(f"{len(results) - len(failed)} restored, {len(failed)} failed")
    for result in failed:
        print(f"  {result.error}", file=sys.stderr)
    if unread:
        print(describe_unread(unread))
