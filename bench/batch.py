"""Photos a second of `pellucid batch` by engine, beside plain processes; photos lost by kills.

    python bench/batch.py throughput --photos 2000
    python bench/batch.py kills --kills 20

Ratios within one run are what counts: other work on the machine changes the rest. The driver's
memory is its resident set when a tenth of the rows is there and at the end.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pellucid import Photo
from pellucid_apps.batch.engines import find_engine
from pellucid_apps.batch.pool import Pool
from pellucid_apps.batch.rows import DONE, read_journal
from pellucid_apps.batch.settings import Settings
from pellucid_apps.batch.worker import Worker

app = typer.Typer(no_args_is_help=True)
SIDE = 64


@dataclass(frozen=True)
class Run:
    """steady: photos a second from the first row to the last; whole: from the start of the engine.
    rss_mb: of the driver, early and at the end."""

    engine: str
    steady: float
    whole: float
    rss_mb: tuple[float, float]


def make_photos(folder: Path, count: int) -> list[str]:
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"p{number:06d}.jpg" for number in range(count)]
    for name in names:
        coarse = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
        pixels = np.repeat(np.repeat(coarse, SIDE // 8, 0), SIDE // 8, 1)
        Photo(pixels, {}).save(folder / name)
    return names


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def plain(names: Sequence[str], settings: Settings) -> None:
    """One plain process's part."""
    worker = Worker(settings)
    print("ready", flush=True)
    for name in names:
        assert worker.restore(name).status in DONE
    worker.close()


@app.command(hidden=True)
def one(engine: str, source: Path, out: Path, workers: int) -> None:
    """One engine in this process; prints its Run."""
    names = sorted(path.name for path in source.iterdir())
    settings = Settings(str(source), str(out), "pico")
    if engine.startswith("part"):
        part = int(engine.removeprefix("part"))
        plain(names[part::workers], settings)
        return
    begun = time.perf_counter()
    early, first, count = 0.0, 0.0, 0
    for row in find_engine(engine)(names, settings, Pool(workers)):
        assert row.status in DONE, row
        count += 1
        first = first or time.perf_counter()
        if count == len(names) // 10:
            early = rss_mb()
    ended, late = time.perf_counter(), rss_mb()
    assert count == len(names)
    run = Run(engine, count / (ended - first), count / (ended - begun), (early, late))
    print(json.dumps(asdict(run)))


def call(engine: str, source: Path, out: Path, workers: int) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, "one", engine, str(source), str(out), str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def plain_rate(source: Path, out: Path, workers: int, count: int) -> float:
    """Photos a second of `workers` plain processes, loaded models to the last photo."""
    parts = [call(f"part{part}", source, out, workers) for part in range(workers)]
    for process in parts:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    begun = time.perf_counter()
    for process in parts:
        assert process.wait() == 0
    return count / (time.perf_counter() - begun)


@app.command()
def throughput(
    photos: Annotated[int, typer.Option(min=100)] = 2000,
    workers: Annotated[int, typer.Option(min=1)] = 2,
    engines: str = "local,dask,ray",
    rounds: Annotated[int, typer.Option(min=1, help="Each beside a new plain run.")] = 1,
) -> None:
    """Engines beside plain processes with the same photos, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        make_photos(home / "in", photos)
        for number in range(rounds):
            for engine in engines.split(","):
                before = plain_rate(home / "in", home / f"p{number}{engine}", workers, photos)
                process = call(engine, home / "in", home / f"{number}{engine}", workers)
                told, _ = process.communicate()
                assert process.returncode == 0
                run = Run(**json.loads(told.splitlines()[-1]))
                print(
                    f"{engine:6} {run.steady:7.1f} photos/s ({run.whole:.1f} with its start), "
                    f"{run.steady / before:.2f} of {workers} plain processes ({before:.1f}); "
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
        done = drivers = workers = 0
        while True:
            driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            while driver.poll() is None and done < count:
                time.sleep(chance.uniform(0.2, 2.0))
                if chance.random() < 0.5:
                    driver.kill()
                    drivers += driver.wait() == -signal.SIGKILL
                else:
                    workers += kill_a_worker(chance)
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


def kill_a_worker(chance: random.Random) -> bool:
    """SIGKILL to one process that restores."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"pellucid_apps.batch.worker" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    with suppress(OSError, IndexError):
        os.kill(chance.choice(found), signal.SIGKILL)
        return True
    return False


if __name__ == "__main__":
    app()
