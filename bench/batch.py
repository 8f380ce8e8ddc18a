"""Photos a second of `pellucid batch` by engine, beside plain processes; photos lost by kills.

    python bench/batch.py throughput --photos 2000
    python bench/batch.py kills --kills 20

Ratios within one run are what counts: other work on the machine changes the rest.
"""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated

import numpy as np
import typer

from pellucid import Photo, read_photo
from pellucid_apps.batch.engines import find_engine
from pellucid_apps.batch.pool import Pool, Rows
from pellucid_apps.batch.rows import DONE, Row, read_journal
from pellucid_apps.batch.settings import Settings
from pellucid_apps.batch.worker import Worker
from pellucid_apps.demo import SAMPLES

app = typer.Typer(no_args_is_help=True)
SIDE = 128
MARK = "PELLUCID_BENCH_RUN"


@dataclass(frozen=True)
class Run:
    """Between a twentieth and nineteen twentieths of the rows, of an engine or of plain processes.

    rate: photos a second. cpu_ms: of all its processes, for a photo. whole: photos a second with
    the start. rss_mb: of the driver, early and late.
    """

    engine: str
    rate: float
    cpu_ms: float
    whole: float
    rss_mb: tuple[float, float] = (0.0, 0.0)


def make_photos(folder: Path, count: int) -> list[str]:
    """Parts of the bundled degraded photos, so that there is something to restore."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    whole = [read_photo(path).pixels for path in sorted((SAMPLES / "degraded").iterdir())]
    names = [f"p{number:06d}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        pixels = whole[number % len(whole)]
        top, left = (int(rng.integers(side - SIDE)) for side in pixels.shape[:2])
        part = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
        Photo(part, {}).save(folder / name)
    return names


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds() -> float:
    """CPU time so far of all living processes of this run, found by the mark that they inherit."""
    mark, ticks = os.environ[MARK].encode(), 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes():
                counters = (entry / "stat").read_text().rpartition(")")[2].split()
                ticks += int(counters[11]) + int(counters[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def plain(names: Sequence[str], settings: Settings, pool: Pool) -> Rows:
    """Two plain processes that know nothing of each other, a pipe of rows each."""
    context = multiprocessing.get_context("spawn")
    rows: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    parts = [
        context.Process(target=plain_part, args=(names[n :: pool.workers], settings, rows))
        for n in range(pool.workers)
    ]
    for part in parts:
        part.start()
    for _ in names:
        yield Row.from_json(rows.get())
    for part in parts:
        part.join()


def plain_part(
    names: Sequence[str], settings: Settings, rows: "multiprocessing.SimpleQueue[str]"
) -> None:
    worker = Worker(settings)
    for name in names:
        rows.put(worker.restore(name).to_json())
    worker.close()


@app.command(hidden=True)
def one(engine: str, source: Path, out: Path, workers: int) -> None:
    """One engine in this process; prints its Run."""
    names = sorted(path.name for path in source.iterdir())
    settings = Settings(str(source), str(out), "pico")
    begun, marks = time.perf_counter(), []
    run = plain if engine == "plain" else find_engine(engine)
    pool = Pool(workers, mean_bytes=fmean((source / name).stat().st_size for name in names))
    at = (len(names) // 20, len(names) - len(names) // 20)
    for count, row in enumerate(run(names, settings, pool), 1):
        assert row.status in DONE, row
        if count in at:
            marks.append((time.perf_counter(), cpu_seconds(), rss_mb()))
    assert count == len(names)
    (t0, cpu0, rss0), (t1, cpu1, rss1) = marks
    between = at[1] - at[0]
    found = Run(
        engine,
        between / (t1 - t0),
        1e3 * (cpu1 - cpu0) / between,
        count / (time.perf_counter() - begun),
        (rss0, rss1),
    )
    print(json.dumps(asdict(found)))


def call(engine: str, source: Path, out: Path, workers: int) -> Run:
    command = [sys.executable, __file__, "one", engine, str(source), str(out), str(workers)]
    environment = os.environ | {MARK: uuid.uuid4().hex}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return Run(**json.loads(done.stdout.splitlines()[-1]))


@app.command()
def throughput(
    photos: Annotated[int, typer.Option(min=100)] = 2000,
    workers: Annotated[int, typer.Option(min=1)] = 2,
    engines: str = "local,dask,ray",
    rounds: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Engines and plain processes with the same photos, in turns.

    On cores that nobody else uses the two ratios agree; on shared ones only that of CPU time holds.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        make_photos(home / "in", photos)
        after = call("plain", home / "in", home / "plain", workers)
        for number in range(rounds):
            for engine in engines.split(","):
                before = after
                run = call(engine, home / "in", home / f"{engine}{number}", workers)
                after = call("plain", home / "in", home / f"plain{engine}{number}", workers)
                rate, cpu = fmean((before.rate, after.rate)), fmean((before.cpu_ms, after.cpu_ms))
                print(
                    f"{engine:5} {run.rate:6.1f} photos/s ({run.whole:.1f} with its start), plain "
                    f"{before.rate:.1f} and {after.rate:.1f}: {run.rate / rate:.2f}; CPU "
                    f"{run.cpu_ms:.2f} ms a photo, plain {cpu:.2f}: {cpu / run.cpu_ms:.2f}; "
                    f"driver {run.rss_mb[0]:.0f} -> {run.rss_mb[1]:.0f} MB",
                    flush=True,
                )


@app.command()
def kills(
    count: Annotated[int, typer.Option("--kills", min=1)] = 20,
    photos: Annotated[int, typer.Option(min=10)] = 1000,
    engine: str = "local",
    seed: int = 0,
) -> None:
    """Kill workers and drivers at random moments, going on with --resume; count what is lost."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        names = set(make_photos(home / "in", photos))
        out = home / "out"
        command = [sys.executable, "-m", "pellucid_apps", "batch", str(home / "in"), str(out)]
        command += ["-m", "pico", "--workers", "2", "--engine", engine, "--resume"]
        environment = os.environ | {MARK: uuid.uuid4().hex}
        done = drivers = workers = 0
        while True:
            driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
            while driver.poll() is None and done < count:
                time.sleep(chance.uniform(0.2, 2.0))
                if chance.random() < 0.5:
                    driver.kill()
                    drivers += driver.wait() == -signal.SIGKILL
                else:
                    workers += kill_a_worker(chance, environment[MARK].encode())
                done = drivers + workers
            if driver.wait() == 0:
                break
        found = {row.name: row.status for row in read_journal(out / "rows.jsonl")}
        there = {path.name for path in out.iterdir()} & names
        bad = [name for name, status in found.items() if status not in DONE]
        left = [path for path in out.rglob("*") if path.name not in names | {"rows.jsonl"}]
        print(
            f"{drivers} drivers and {workers} workers killed: {len(names - there)} photos lost, "
            f"{len(names - found.keys())} rows lost, {len(bad)} failed, {len(left)} files left over"
        )


def kill_a_worker(chance: random.Random, mark: bytes) -> bool:
    """SIGKILL to one process of this run that restores."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_worker = b"pellucid_apps.batch.worker" in (entry / "cmdline").read_bytes()
            if is_worker and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    with suppress(OSError, IndexError):
        os.kill(chance.choice(found), signal.SIGKILL)
        return True
    return False


if __name__ == "__main__":
    app()
