"""PyAV, and how files are opened with it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import PellucidError

_PYAV_18_TEXT = {"metadata_errors": "surrogateescape"}  # what later ones do by themselves


class VideoError(PellucidError):
    """A video cannot be read, restored or written; finished parts stay for the next run."""


def pyav() -> ModuleType:
    """PyAV, or the error that tells how to get it."""
    try:
        import av
    except ImportError as error:
        raise VideoError("videos need PyAV: pip install 'pellucid[video]'") from error
    return av


def url(path: Path) -> str:
    """A path as FFmpeg takes it: one with a colon would be a protocol's address."""
    return f"file:{path}"


def text_options() -> dict[str, str]:
    """Keyword arguments of `av.open` with which texts that are not UTF-8 come back as they were."""
    return {} if int(pyav().__version__.split(".")[0]) >= 19 else _PYAV_18_TEXT


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The container for reading. Raises VideoError naming the file."""
    av = pyav()
    try:
        container = av.open(url(path), **text_options())
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(
            f"{path}: cannot read this video ({reason}); a recording that was cut off before it "
            "was closed, or not a video"
        ) from error
    with container:
        yield container
