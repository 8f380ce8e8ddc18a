"""`pellucid restore`: which files, one after another, and what became of each."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from pellucid import Enlarger, PellucidError, PhotoError, Restorer, read_photo, video
from pellucid.degradations import BLIND, Choice
from pellucid.image.encode import check_sides, holds_already
from pellucid.image.formats import HEAD_BYTES
from pellucid.image.photo import SUFFIXES, Photo, write_atomically
from pellucid.restorer import Progress as Tiles

from ..progress import Progress
from . import videos as restore_video
from .compare import as_large_as_shown, before_after
from .find import describe_passed_over
from .plan import Job, make_plan


class PhotoRestorer(Protocol):
    """`Restorer`, or what restores photos alone."""

    def restore_photo(
        self,
        photo: Photo,
        strength: float = 1.0,
        progress: Tiles | None = None,
        choice: Choice = BLIND,
    ) -> Photo:
        """Restore in place. Raises PellucidError."""


@dataclass(frozen=True)
class Options:
    strength: float = 1.0
    quality: int = 95
    compare: bool = False
    overwrite: bool = False
    clip: video.VideoOptions = video.VideoOptions()
    frames: Restorer | None = None  # of videos, for a chain
    choice: Choice = BLIND
    enlarger: Enlarger | None = None  # after restoring


@dataclass(frozen=True)
class Result:
    """What became of one input. ms: network and tiles, without reading and writing.

    done: the result was there before and was left alone. scale: sides of the result over those of
    the input.
    found: amounts by name, of a video the mean over its frames; None if the model cannot tell.
    summary: the same in words, and what was made of it. left: whether it was left as it is.
    """

    source: str
    target: str
    size: str = ""
    ms: float = 0.0
    error: str | None = None
    notes: tuple[str, ...] = ()
    done: bool = False
    found: Mapping[str, float] | None = None
    summary: str = ""
    left: bool = False
    scale: int = 1


def plan_jobs(inputs: Sequence[str], out: Path, recursive: bool) -> list[Job]:
    """`make_plan` without what is passed over."""
    return make_plan(inputs, out, recursive).jobs


def run_jobs(
    jobs: Sequence[Job], restorer: PhotoRestorer | None, options: Options, quiet: bool = False
) -> list[Result]:
    """Restore all; an input that fails is reported and the next one goes on.

    restorer: None: photos are only enlarged.
    """
    results: list[Result] = []
    with Progress(len(jobs), quiet) as progress:
        for job in jobs:
            try:
                result = _restore_one(job, restorer, options, progress)
            except restore_video.Interrupted:
                raise
            except PellucidError as error:
                result = _failed(job, str(error))
            except OSError as error:  # permissions, a name that is too long, a disk that vanished
                result = _failed(job, str(error.strerror or error))
            except MemoryError:
                result = _failed(job, "not enough memory; lower it with fewer --threads or --steps")
            results.append(result)
            progress.finish(_line(result), failed=result.error is not None)
    return results


def _failed(job: Job, reason: str) -> Result:
    """A failure in one line that names the input."""
    line = " ".join(reason.split())
    if str(job.source) not in line:
        line = f"{job.source}: {line}"
    return Result(str(job.source), str(job.target), error=line)


def _restore_one(
    job: Job, restorer: PhotoRestorer | None, options: Options, progress: Progress
) -> Result:
    target = job.target
    there = target.exists() and not options.overwrite
    if there and os.path.samefile(job.source, target):
        raise PhotoError(f"{job.source} is its own result; use --overwrite to replace it")
    if there and (not options.compare or job.sheet.exists() or video.is_video(job.source)):
        return Result(str(job.source), str(target), done=True)
    if video.is_video(job.source):
        if restorer is None or options.enlarger is not None:
            raise PhotoError(f"{job.source}: videos are restored but not enlarged; leave it out")
        if not isinstance(restorer, Restorer):
            raise PhotoError(f"{job.source}: --zero-shot takes photos; leave it out for videos")
        how = restore_video.How(restorer, options.strength, options.frames, options.choice)
        done = restore_video.restore_one(job.source, target, how, options.clip, progress)
        return Result(
            str(job.source),
            str(target),
            done.size,
            done.ms,
            notes=done.notes,
            found=rounded(done.found.amounts),
            summary=done.found.describe(),
            left=0 < done.found.frames == done.found.left,
        )
    if options.compare and job.sheet.exists() and not options.overwrite:
        raise PhotoError(f"{job.source}: {job.sheet} exists; use --overwrite to replace it")
    photo = read_photo(job.source)
    before = as_large_as_shown(photo.pixels) if options.compare else None
    if target.suffix.lower() not in SUFFIXES:
        raise PhotoError(f"cannot write {target.suffix or 'a name without suffix'}")
    enlarger = options.enlarger
    if enlarger is not None:
        check_sides(target.suffix.lower(), photo.pixels.shape, enlarger.scale)
    start = time.perf_counter()
    if restorer is not None:
        restorer.restore_photo(photo, options.strength, progress.tiles, options.choice)
    left = options.choice.leaves(photo.found)
    if enlarger is not None:
        enlarger.enlarge_photo(photo, progress.tiles)
        left = False
    ms = 1e3 * (time.perf_counter() - start)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoError(f"{target.parent}: cannot make folder ({error.strerror})") from error
    copied = left and is_format_of(target, job.source)
    if not there and copied:
        write_atomically(target, job.source.read_bytes())  # coding it again would change it
    elif not there:  # else only its sheet is missing
        photo.save(target, options.quality)
    notes = photo.notes_of_copy if copied else photo.notes
    if before is not None:
        try:
            sheet = before_after(before, as_large_as_shown(photo.pixels), photo.orientation)
            write_atomically(job.sheet, sheet)
        except (PhotoError, RuntimeError) as error:  # the photo itself is restored and written
            notes = (*notes, f"no before/after sheet ({error})")
    height, width = photo.pixels.shape[:2]
    return Result(
        str(job.source),
        str(target),
        f"{width}x{height}",
        round(ms, 1),
        notes=notes,
        found=None if photo.found is None else rounded(photo.found.amounts),
        summary="" if photo.found is None else options.choice.describe(photo.found),
        left=left,
        scale=1 if enlarger is None else enlarger.scale,
    )


def is_format_of(target: Path, source: Path) -> bool:
    """Whether a photo's own bytes may stand under the target's name."""
    with source.open("rb") as file:
        return holds_already(file.read(HEAD_BYTES), target.suffix.lower(), source.name)


def rounded(amounts: Mapping[str, float]) -> dict[str, float] | None:
    """Amounts for a report; None where there are none."""
    return {name: round(amount, 3) for name, amount in amounts.items()} or None


def _line(result: Result) -> str:
    if result.error is not None:
        return f"FAILED  {result.error}"
    if result.done:
        return f"done    {result.source}  -> {result.target} (there already; --overwrite redoes it)"
    notes = "".join(f"\n        note: {note}" for note in result.notes)
    line_end = f"  {result.summary}" if result.summary else ""
    what = "as is  " if result.left else "ok     "
    took = f"{result.ms:.0f} ms"
    size = result.size if result.scale == 1 else f"{result.size} (x{result.scale})"
    return f"{what} {result.source}  {size}{line_end}  {took}  -> {result.target}{notes}"


def print_summary(
    results: Sequence[Result], as_json: bool, passed_over: Sequence[Path] = ()
) -> None:
    """passed_over: files in the folders that are no pictures pellucid reads."""
    failed = sum(r.error is not None for r in results)
    done = sum(r.done for r in results)
    left = sum(r.left for r in results)
    restored = len(results) - failed - done - left
    if as_json:
        record = {
            "restored": restored,
            "left": left,
            "already_done": done,
            "failed": failed,
            "passed_over": [*map(str, passed_over)],
        }
        print(json.dumps(record | {"files": [asdict(r) for r in results]}, indent=1))
        return
    already = f", {done} already done" if done else ""
    as_they_are = f", {left} left as they are" if left else ""
    print(f"{restored} restored{as_they_are}{already}, {failed} failed")
    if passed_over:
        print(describe_passed_over(passed_over))
