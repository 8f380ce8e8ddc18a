"""The process that restores photos: one model, one photo after another, a JSON line each.

`python -m pellucid_apps.batch.worker` reads Settings as its first line and then a photo's name a
line; it answers "ready" and then a row a line. It is a process of its own so that a photo that
makes a decoder crash, or that the kernel kills for its memory, costs that photo alone.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import cv2

from pellucid import PellucidError, PhotoError, Restorer, read_photo
from pellucid.degradations import read_choice
from pellucid.errors import TooLargeError

from ..restore.command import is_format_of
from . import rows
from .folders import open_folder
from .rows import Row
from .settings import Settings

READY = "ready"


class Worker:
    """restore(name) reads, restores and writes one photo; it raises for no photo's fault."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._source, self._out = open_folder(settings.source), open_folder(settings.out)
        self._restorer = Restorer(settings.model, steps=settings.steps, threads=settings.threads)
        self._choice = read_choice(settings.fix, settings.ignore)
        self._choice.check(self._restorer.card.degradations, self._restorer.card.id)
        self._scratch = self._out.make_scratch(settings.run)
        self._given = self._scratch / "given"  # copies of what lies elsewhere

    def restore(self, name: str) -> Row:
        begun = time.perf_counter()
        self._given.mkdir()
        try:
            row = self._restore(name)
        except MemoryError:
            row = Row(name, rows.OUT_OF_MEMORY, f"{name}: not enough memory; use fewer --workers")
        except PellucidError as error:  # of the model: a size that it does not take
            row = Row(name, rows.UNDECODABLE, str(error))
        finally:
            for path in self._scratch.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        seconds = round(time.perf_counter() - begun, 4)
        return replace(row, seconds=seconds, settings=self._settings.digest)

    def close(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _restore(self, name: str) -> Row:
        """Results that were there before the run are never asked for, so one that is there now was
        written by a worker that died before it could tell."""
        if not self._settings.overwrite and self._out.has(name):
            return Row(name, rows.OK, notes=("its worker died after writing it",))
        try:
            given = self._source.fetch(name, self._given)
            size, sha256 = _fingerprint(given)
        except OSError as error:
            return Row(name, rows.UNREADABLE, f"{name}: {error.strerror or error}")
        row = Row(name, rows.OK, bytes_in=size, sha256=sha256)
        try:
            photo = read_photo(given)
            self._restorer.restore_photo(photo, self._settings.strength, None, self._choice)
        except TooLargeError as error:
            return replace(row, status=rows.TOO_LARGE, error=_with_name(name, error))
        except PhotoError as error:
            return replace(row, status=rows.UNDECODABLE, error=_with_name(name, error))
        height, width = photo.pixels.shape[:2]
        found = "" if photo.found is None else self._choice.describe(photo.found)
        row = replace(row, height=height, width=width, found=found)
        left = self._choice.leaves(photo.found)
        part = self._scratch / f"part{Path(name).suffix}"
        try:
            if copied := left and is_format_of(part, given):
                shutil.copyfile(given, part)  # coding it again would change it
            else:
                photo.save(part, self._settings.quality)
            notes = photo.notes_of_copy if copied else photo.notes
            written = part.stat().st_size
            self._out.publish(part, name)
        except (PhotoError, OSError) as error:
            return replace(row, status=rows.UNWRITTEN, error=_with_name(name, error))
        return replace(row, bytes_out=written, notes=notes)


def _fingerprint(given: Path) -> tuple[int, str]:
    """(bytes, SHA-256) of a file."""
    with given.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _with_name(name: str, error: Exception) -> str:
    """The error with the photo's name in front, once."""
    text = str(error)
    return text if name in text else f"{name}: {text}"


def _first_to_be_killed() -> None:
    """Where memory runs out, Linux shall kill this process and not the one that counts rows."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors=rows.NO_TEXT, buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    _first_to_be_killed()
    asked = os.fdopen(0, encoding="utf-8")
    settings = Settings(**json.loads(asked.readline()))
    cv2.setNumThreads(settings.threads)
    try:
        worker = Worker(settings)
    except (PellucidError, OSError) as error:
        answers.write(json.dumps(str(error)) + "\n")
        sys.exit(1)
    try:
        answers.write(json.dumps(READY) + "\n")
        for line in asked:  # ends when the parent closes it, or dies
            answers.write(worker.restore(json.loads(line)).to_json() + "\n")
    except BrokenPipeError:
        pass  # the parent died; what it had asked for is written
    finally:
        worker.close()


if __name__ == "__main__":
    main()
