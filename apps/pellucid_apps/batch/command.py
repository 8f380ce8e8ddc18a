"""`pellucid batch`: a million photos, on this machine or on many."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from pellucid import PellucidError
from pellucid.degradations import read_choice

from ..choice import FIX_HELP, IGNORE_HELP
from ..progress import hours
from .engines import find_engine
from .estimate import describe, estimate
from .folders import open_folder
from .meter import Meter
from .plan import Plan, Shard, finished_rows, make_plan
from .pool import Engine, Pool
from .rows import (
    DONE,
    SKIPPED,
    UNWRITTEN,
    Journal,
    Row,
    check_report,
    read_journal,
    write_report,
)
from .settings import Settings, model_files

OK, SOME_FAILED, INTERRUPTED = 0, 1, 130
_SHARE_COUNTS_FROM = 100  # photos: 1 % of fewer is no photo at all


@dataclass(frozen=True)
class Limit:
    """How many photos may fail: a count, or a share of those done."""

    count: int | None = None
    share: float | None = None

    @staticmethod
    def parse(text: str | None) -> "Limit":
        if text is None:
            return Limit()
        try:
            if text.endswith("%"):
                share = float(text[:-1]) / 100
                if 0.0 <= share <= 1.0:
                    return Limit(share=share)
            elif int(text) >= 0:
                return Limit(int(text))
        except ValueError:
            pass
        raise typer.BadParameter(f"--max-failures must be such as 1% or 50, got {text!r}")

    def is_passed(self, failed: int, done: int) -> bool:
        if self.share is not None:
            return failed > self.share * max(done, _SHARE_COUNTS_FROM)
        return self.count is not None and failed > self.count


def batch(
    source: Annotated[str, typer.Argument(metavar="IN", help="Folder or address (s3://...).")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder or address for results.")],
    engine: Annotated[str, typer.Option(help="local, ray or dask.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a running Ray or Dask cluster (default: one here).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Photos at a time (default: one a core).")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of a worker.")] = 1,
    shard: Annotated[str, typer.Option(help="Part i/n of the photos, i from 0.")] = "0/1",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from an earlier run.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="With --resume: photos that failed, too.")
    ] = False,
    max_failures: Annotated[
        str | None, typer.Option(help="Stop when more have failed, such as 1% or 50.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="A row a photo: .parquet, .csv or .jsonl.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count, and estimate from 20 photos.")
    ] = False,
    model: Annotated[str, typer.Option("--model", "-m", help="Bundled name or a file.")] = "tiny",
    steps: Annotated[
        int | None, typer.Option(min=1, max=3, help="Passes; each costs as much.")
    ] = None,
    strength: Annotated[float, typer.Option(min=0.0, max=1.0, help="0 input .. 1 restored.")] = 1.0,
    fix: Annotated[str | None, typer.Option(help=FIX_HELP)] = None,
    ignore: Annotated[str | None, typer.Option(help=IGNORE_HELP)] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG, WebP, AVIF quality.")] = 95,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results.")] = False,
    photo_timeout: Annotated[float, typer.Option(min=1.0, help="Seconds for one photo.")] = 600.0,
) -> None:
    """Restore all photos below IN into OUT, as `pellucid restore -r` does, by many workers.

    A photo that crashes costs itself; a run that is killed goes on with --resume. The page
    docs/cluster.md has Ray, Dask, Slurm, Kubernetes and object stores.
    """
    part, limit = Shard.parse(shard), Limit.parse(max_failures)
    if address is not None and engine == "local":
        raise typer.BadParameter("--address is of a cluster; add --engine ray or --engine dask")
    if retry and not resume:
        raise typer.BadParameter("--retry needs --resume")
    run = find_engine(engine)
    given, results = open_folder(source), open_folder(out)
    if given.address == results.address or _same_folder(source, out):
        raise typer.BadParameter("OUT must be another folder than IN")
    if "://" not in source and not Path(source).is_dir():
        raise typer.BadParameter(f"{source}: no such folder")
    digest, files = model_files(model)
    read_choice(fix, ignore)
    settings = Settings(
        source=_absolute(source),
        out=_absolute(out),
        model=model,
        steps=steps,
        strength=strength,
        quality=quality,
        fix=fix,
        ignore=ignore,
        threads=threads,
        overwrite=overwrite,
        timeout_s=photo_timeout,
        run=str(part),
        model_digest=digest,
        model_files=files,
    )
    report = _report_path(report, out, part)
    check_report(report)
    journal = report.with_suffix(".jsonl")
    if journal.exists() and not resume and not dry_run:
        raise PellucidError(
            f"{journal} has the rows of an earlier run; go on from it with --resume, "
            "or give --report another name"
        )
    finished = finished_rows(read_journal(journal), settings.digest, retry) if resume else {}
    plan = make_plan(given, results, part, overwrite, finished)
    mean_bytes = plan.total_bytes / len(plan.names) if plan.total_bytes else 1.0
    pool = Pool(workers or _cores() // threads or 1, address, mean_bytes)
    print(describe(plan), flush=True)
    if dry_run:
        if plan.names:
            print(estimate(plan, settings, pool.workers))
        raise typer.Exit(OK)
    results.clear_scratch(settings.run)
    try:
        code = _run(run, plan, settings, pool, limit, journal)
    finally:
        results.clear_scratch(settings.run)
        write_report(journal, report)
    print(f"report: {report}")
    raise typer.Exit(code)


def _run(
    engine: Engine, plan: Plan, settings: Settings, pool: Pool, limit: Limit, journal: Path
) -> int:
    """Restore what is planned; the exit code."""
    stopped = ""
    with Journal(journal) as rows, Meter(len(plan.names)) as meter, _term_as_interrupt():
        for name in plan.skipped:
            rows.add(Row(name, SKIPPED, notes=("its result was there",)))
        try:
            with closing(engine(plan.names, settings, pool)) as answers:
                for row in answers:
                    rows.add(row)
                    meter.add(row)
                    if limit.is_passed(meter.failed, meter.done):
                        stopped = "more photos failed than --max-failures allows"
                    elif row.status == UNWRITTEN and os.strerror(errno.ENOSPC) in row.error:
                        stopped = "no space is left for results"
                    if stopped:
                        break
        except KeyboardInterrupt:
            stopped = "interrupted"
    counts = ", ".join(f"{count:,} {status}" for status, count in meter.counts.most_common())
    done = f"{meter.done:,} photos in {hours(meter.elapsed)}: {counts or 'nothing to do'}"
    print(done)
    if stopped:
        left = len(plan.names) - meter.done
        print(f"stopped: {stopped}; {left:,} are left, --resume goes on", file=sys.stderr)
    if stopped == "interrupted":
        return INTERRUPTED
    failed = meter.failed + sum(n for status, n in plan.earlier.items() if status not in DONE)
    return SOME_FAILED if stopped or failed else OK


def _report_path(given: Path | None, out: str, part: Shard) -> Path:
    """Each shard has a report of its own: rows-0-of-8.parquet."""
    home = Path() if "://" in out else Path(out)
    path = given or home / "rows.jsonl"
    return path if part.count == 1 else path.with_stem(f"{path.stem}-{part}")


def _absolute(text: str) -> str:
    """Workers have working folders of their own."""
    return text if "://" in text else os.path.abspath(text)


def _same_folder(source: str, out: str) -> bool:
    return "://" not in source + out and Path(source).resolve() == Path(out).resolve()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


@contextmanager
def _term_as_interrupt() -> Iterator[None]:
    """Slurm and Kubernetes send SIGTERM some seconds before SIGKILL: end as after Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
