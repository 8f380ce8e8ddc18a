"""A worker process seen from outside: asked for photos, started again when it dies."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
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


class Child:
    """One worker process. `restore` always gives a row; `kill` may come from another thread."""

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

    def restore(self, name: str) -> Row:
        """Raises PellucidError if no worker can be started, or after `kill`."""
        attempt = 0
        while True:
            attempt += 1
            kills = _out_of_memory_kills()
            answer = self._ask(name)
            if answer:
                return replace(Row.from_json(answer), attempts=attempt)
            if self._stopped:
                raise PellucidError("stopped")
            code = self._forget()
            row = self._row_of_death(name, code, _out_of_memory_kills() > kills)
            most = _ATTEMPTS_IF_KILLED if code == KILLED and not self._late else _ATTEMPTS
            if attempt >= most:
                return replace(row, attempts=attempt, settings=self._settings.digest)

    def kill(self) -> None:
        """End the worker now, whatever it does; its unfinished result never appears."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Let the worker end; it has no photo at hand."""
        process = self._process
        if process is not None:
            assert process.stdin is not None and process.stdout is not None
            with suppress(OSError):
                process.stdin.close()
            process.stdout.close()
            process.wait()
        if self._models is not None:
            shutil.rmtree(self._models, ignore_errors=True)

    def _ask(self, name: str) -> str:
        """The worker's line about a photo; empty if it died of it, or was too slow."""
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(self._settings.timeout_s, self._end_late)
        timer.daemon, self._late = True, False
        timer.start()
        try:
            process.stdin.write(json.dumps(name) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):  # a broken pipe
            return ""
        finally:
            timer.cancel()
        return line if line.endswith("\n") else ""

    def _end_late(self) -> None:
        self._late = True
        if self._process is not None:
            self._process.kill()

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
        return subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            # libvips and OpenMP read theirs when they are loaded.
            env=os.environ | {"OMP_NUM_THREADS": threads, "VIPS_CONCURRENCY": threads},
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
