"""What the tests of `pellucid batch` share: photos, runs in a process of their own, bad photos.

Misbehaving photos are made by a `sitecustomize` that wraps `pellucid.read_photo` in every process
of the run, whichever engine starts it:
    segv*    a crash of the decoder           once*   a kill from outside, the first time only
    hang*    a decoder that never ends        slow*   0.1 s
Names of photos that were read are kept in a file, a line each.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np
from typer.testing import CliRunner, Result

from pellucid import Photo
from pellucid_apps.batch.rows import Row, read_journal
from pellucid_apps.cli import app

PATIENCE_S = 400.0  # for a run on a busy machine; one that hangs fails its test

_SITE = """
import os, signal, time
from pathlib import Path
import pellucid

_read = pellucid.read_photo

def read_photo(source):
    if isinstance(source, Path):
        home, name = Path(os.environ["PELLUCID_TEST_HOME"]), source.name
        with (home / "read.txt").open("a", errors="backslashreplace") as file:
            file.write(name + "\\n")
        if name.startswith("segv"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.startswith("once") and not (home / name).exists():
            (home / name).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("hang"):
            time.sleep(1000)
        if name.startswith("slow"):
            time.sleep(0.1)
    return _read(source)

pellucid.read_photo = read_photo
"""


def photo(seed: int, height: int = 24, width: int = 32) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return Photo(pixels, {})


def write_photos(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        photo(number).save(folder / name)
    return folder


class Runs:
    """Runs of `pellucid batch` whose processes can all be found again by a mark. Context manager:
    none of them outlives it, whatever the test does."""

    def __init__(self, home: Path) -> None:
        self.home, self.mark = home, uuid.uuid4().hex
        self._started: list[subprocess.Popen[str]] = []
        (home / "site").mkdir()
        (home / "site" / "sitecustomize.py").write_text(_SITE)
        inherited = os.environ.get("PYTHONPATH")
        paths = [str(home / "site"), *([inherited] if inherited else [])]
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "PELLUCID_TEST_HOME": str(home),
            "PELLUCID_TEST_MARK": self.mark,
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def __enter__(self) -> "Runs":
        return self

    def __exit__(self, *_: object) -> None:
        """Processes that still run are killed, also those that they start meanwhile."""
        while ours := [int(entry.name) for entry in self._processes()]:
            for pid in ours:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for process in self._started:
            process.wait()

    def start(self, *arguments: object, **variables: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "pellucid_apps", "batch", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment | variables,
        )
        self._started.append(process)
        return process

    def run(self, *arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def here(self, *arguments: object, **variables: str) -> Result:
        """The same within this process: its workers are processes all the same."""
        environment = {**self.environment, **variables}
        return CliRunner().invoke(app, ["batch", *map(str, arguments)], env=environment)

    def names_read(self) -> list[str]:
        path = self.home / "read.txt"
        return path.read_text().split() if path.exists() else []

    def leftovers(self, patience_s: float = 20.0) -> list[str]:
        """Commands of this run's processes that are still there (Linux only)."""
        until = time.monotonic() + patience_s
        while True:
            found = [self._command(entry) for entry in self._processes()]
            if not found or time.monotonic() > until:
                return found
            time.sleep(0.1)

    def parent_of_a_worker(self) -> int:
        """Only of this run: a worker of another test may be the child of that test's pytest."""
        for entry in self._processes():
            if "pellucid_apps.batch.worker" in self._command(entry):
                with suppress(OSError):
                    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        raise AssertionError("no worker runs")

    def _processes(self) -> list[Path]:
        return [entry for entry in Path("/proc").glob("[0-9]*") if self._is_ours(entry)]

    def _command(self, entry: Path) -> str:
        with suppress(OSError):
            return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""

    def _is_ours(self, entry: Path) -> bool:
        try:
            alive = "Z" not in (entry / "stat").read_text().rpartition(")")[2][:3]
            return alive and self.mark.encode() in (entry / "environ").read_bytes()
        except OSError:
            return False


def rows_of(out: Path, report: str = "rows.jsonl") -> dict[str, Row]:
    return {row.name: row for row in read_journal(out / report)}


def files(folder: Path) -> dict[str, bytes]:
    """Contents of everything below a folder, hidden files included, but for the report."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("rows")
    }
