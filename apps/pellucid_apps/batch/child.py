"""A worker process seen from outside: asked for photos, started again when it dies."""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pellucid import PellucidError

from . import rows
from .rows import Row
from .settings import Settings
from .worker import READY

KILLED = -9  # return code of SIGKILL: the kernel out of memory, or somebody else
# A photo that crashes a worker twice does so always. A kill from outside is not its fault.
_ATTEMPTS, _ATTEMPTS_IF_KILLED = 2, 4
_STARTS = 5
_AHEAD = 1  # photos that a worker is given before it has answered, so that it never waits
_COUNT_EVERY_S = 1.0  # of processes that Linux killed; reading it takes a twentieth of a ms
# Dask has its workers give memory back at every chance; a network that takes the same buffers again
# for each photo pays a fifth of its time for that.
_TRIM = "MALLOC_TRIM_THRESHOLD_"


class Child:
    """One worker process. `restore` gives a row a photo; `kill` may come from another thread."""

    def __init__(self, settings: Settings) -> None:
        self._models: Path | None = None
        if settings.model_files:
            self._models = Path(tempfile.mkdtemp(prefix="pellucid-model-"))
            for name, data in settings.model_files.items():
                (self._models / name).write_bytes(data)
            model = self._models / Path(settings.model).name
            settings = replace(settings, model=str(model))
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self._late = False
        self._deadline = math.inf  # of the photo at hand, by time.monotonic()
        self._closed = threading.Event()
        self._kills, self._counted = 0, -math.inf
        threading.Thread(target=self._watch, daemon=True).start()

    def restore(self, names: Iterable[str]) -> Iterator[Row]:
        """A row a name, in their order. Raises PellucidError if no worker can be started, or after
        `kill`."""
        todo, given = iter(names), deque[str]()  # given to the worker and not answered
        attempt = 1
        while True:
            while len(given) <= _AHEAD and (name := next(todo, None)) is not None:
                given.append(name)
                self._give([name])
            if not given:
                return
            self._count_kills()
            if answer := self._answer():
                attempt, done = 1, attempt
                yield replace(Row.from_json(answer), name=given.popleft(), attempts=done)
                continue
            if self._stopped:
                raise PellucidError("stopped")
            code = self._forget()
            row = self._row_of_death(given[0], code, _out_of_memory_kills() > self._kills)
            self._counted = -math.inf
            most = _ATTEMPTS_IF_KILLED if code == KILLED and not self._late else _ATTEMPTS
            if attempt >= most:
                attempt, done = 1, attempt
                given.popleft()
                yield replace(row, attempts=done, settings=self._settings.digest)
            else:
                attempt += 1
            if given:
                self._give(given)

    def kill(self) -> None:
        """End the worker now, whatever it does; its unfinished result never appears."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Let the worker end; it has no photo at hand."""
        self._closed.set()
        process = self._process
        if process is not None:
            assert process.stdin is not None and process.stdout is not None
            with suppress(OSError):
                process.stdin.close()
            process.stdout.close()
            process.wait()
        if self._models is not None:
            shutil.rmtree(self._models, ignore_errors=True)

    def _give(self, names: Iterable[str]) -> None:
        """Hand names to the worker, started if need be. One that is dead is found by `_answer`."""
        process = self._process or self._start()
        assert process.stdin is not None
        with suppress(OSError, ValueError):  # a broken pipe
            process.stdin.write("".join(json.dumps(name) + "\n" for name in names))
            process.stdin.flush()

    def _answer(self) -> str:
        """The worker's line about the photo at hand; empty if it died of it, or was too slow."""
        process = self._process
        assert process is not None and process.stdout is not None
        self._late, self._deadline = False, time.monotonic() + self._settings.timeout_s
        try:
            line = process.stdout.readline()
        except (OSError, ValueError):
            return ""
        finally:
            self._deadline = math.inf
        return line if line.endswith("\n") else ""

    def _watch(self) -> None:
        """End the worker when a photo's time is over; a thread of its own. Deadlines only move
        away, so it need not be woken for each photo."""
        patience = self._settings.timeout_s
        while not self._closed.wait(min(patience, max(0.0, self._deadline - time.monotonic()))):
            if time.monotonic() >= self._deadline and self._process is not None:
                self._late, self._deadline = True, math.inf
                self._process.kill()

    def _count_kills(self) -> None:
        if time.monotonic() - self._counted > _COUNT_EVERY_S:
            self._kills, self._counted = _out_of_memory_kills(), time.monotonic()

    def _start(self) -> "subprocess.Popen[str]":
        """A worker that has loaded its model. One that dies before, killed from outside, is
        started again; one that says why it cannot is not."""
        for _ in range(_STARTS):
            process = self._process = self._open()
            assert process.stdin is not None and process.stdout is not None
            if self._stopped:
                process.kill()
            answer = ""
            with suppress(OSError):
                process.stdin.write(self._settings.to_json() + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            if answer.endswith("\n") and json.loads(answer) == READY:
                return process
            code = self._forget()
            if self._stopped:
                raise PellucidError("stopped")
            if answer.endswith("\n"):
                raise PellucidError(f"no worker can be started: {json.loads(answer)}")
        raise PellucidError(f"no worker can be started: it ends with code {code} while it loads")

    def _open(self) -> "subprocess.Popen[str]":
        threads = str(self._settings.threads)
        inherited = {name: value for name, value in os.environ.items() if name != _TRIM}
        return subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            # libvips and OpenMP read theirs when they are loaded.
            env=inherited | {"OMP_NUM_THREADS": threads, "VIPS_CONCURRENCY": threads},
        )

    def _forget(self) -> int:
        """Take leave of a dead worker; its return code."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.kill()
        code = process.wait()
        process.stdout.close()
        with suppress(OSError):
            process.stdin.close()
        self._process = None
        return code

    def _row_of_death(self, name: str, code: int, out_of_memory: bool) -> Row:
        if self._late:
            reason = f"no result after {self._settings.timeout_s:.0f} s; --photo-timeout raises it"
            return Row(name, rows.CRASHED, f"{name}: {reason}")
        if code == KILLED and out_of_memory:
            reason = "killed for its memory; use fewer --workers"
            return Row(name, rows.OUT_OF_MEMORY, f"{name}: {reason}")
        return Row(name, rows.CRASHED, f"{name}: its worker died with code {code}")


def _out_of_memory_kills() -> int:
    """Processes that Linux has killed for want of memory; 0 on other systems."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
