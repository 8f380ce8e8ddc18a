"""`pellucid doctor`: can this machine do the main job, and if not, what to type."""

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator

import numpy as np

from pellucid import PellucidError, Photo, Restorer, read_photo

from .check import Finding
from .cpu import cpu, cpu_quota, threads
from .media import cameras, photo_codecs, video_codecs, video_job, windows
from .packages import engines, packages

_AGAIN = "pip install --force-reinstall pellucid"


def examine() -> Iterator[Finding]:
    """All findings, the main job last."""
    yield Finding("ok", f"Python {platform.python_version()} on {platform.platform()}")
    yield from packages()
    yield from engines()
    yield from cpu()
    yield from threads(os.environ, cpu_quota())
    yield from photo_codecs()
    yield from video_codecs()
    yield from cameras()
    yield windows(os.environ)
    yield from _surroundings()
    yield from video_job()
    yield _main_job()


def _surroundings() -> Iterator[Finding]:
    try:
        with tempfile.NamedTemporaryFile(dir="."):
            yield Finding("ok", "this folder can be written to")
    except OSError as error:
        yield Finding("note", f"this folder cannot be written to ({error.strerror})", "choose -o")
    encoding = sys.stdout.encoding or "ascii"
    try:
        "→ dé".encode(encoding)
    except UnicodeEncodeError:
        problem = f"the terminal's encoding is {encoding}: arrows and some file names do not print"
        yield Finding("note", problem, "set the environment variable PYTHONUTF8=1")


def _main_job() -> Finding:
    """Read, restore and write a small photo with the bundled model."""
    try:
        photo = Photo(np.full((40, 60, 3), 90, np.uint8), {})
        restored = Restorer().restore_photo(read_photo(photo.encode(".png")))
        read_photo(restored.encode(".jpg"))
    except PellucidError as error:
        return Finding("FAIL", f"restoring a photo: {error}", _AGAIN)
    except Exception as error:  # broken packages raise anything; here that is the finding
        return Finding("FAIL", f"restoring a photo: {type(error).__name__}: {error}", _AGAIN)
    return Finding("ok", "a photo was read, restored and written")


def run(print_line: Callable[[str], None] = print) -> bool:
    """Print every finding; True if the main job works."""
    failed: list[str] = []
    for finding in examine():
        print_line(finding.line())
        if finding.state == "FAIL":
            failed.append(finding.what)
    # Photos need all but PyAV; without them nothing else is worth a word.
    kind = "videos" if all("video" in what for what in failed) else "photos"
    print_line(f"pellucid cannot restore {kind} here" if failed else "all good")
    return not failed
