"""Large pictures lie in a file without a name instead of in memory.

Pages of it that were touched count as this process's memory until they are given back, which a
thread does all the time while there is such an array: the file keeps the values, so code that works
on the picture need not know. The file is in the system's folder for temporary files (TMPDIR) and is
gone with the array.
"""

import contextlib
import mmap
import os
import tempfile
import threading
import time
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PhotoError

IN_MEMORY_BYTES = 100_000_000  # a photo of 33 megapixels with 8 bits a channel

_TRIM_EVERY_S = 0.005
_LOCK = threading.Lock()

Array = NDArray[Any]
_MAPS: list[weakref.ref[mmap.mmap]] = []


def empty_picture(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array to be filled, in memory if it is small. PhotoError if there is no room on disk."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile(prefix="pellucid") as file:
            _reserve(file.fileno(), size)
            pages = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise PhotoError(
            f"no room for {size / 1e9:.1f} GB in {tempfile.gettempdir()} "
            f"({error.strerror or error}); TMPDIR names another folder"
        ) from error
    trim(pages)
    return np.frombuffer(pages, dtype).reshape(shape)


def copy_picture(pixels: Array) -> Array:
    """A copy that lies where `empty_picture` puts it."""
    copied = empty_picture(pixels.shape, pixels.dtype)
    copied[...] = pixels
    return copied


def bands(pixels: Array, size: int = 8 << 20) -> list[slice]:
    """Slices of rows of about `size` bytes, from the top."""
    rows = max(1, size // max(1, pixels[:1].nbytes))
    return [slice(top, min(top + rows, len(pixels))) for top in range(0, len(pixels), rows)]


def trim(pages: mmap.mmap) -> None:
    """Have the pages of a mapped file given back as long as it is mapped."""
    if not hasattr(mmap, "MADV_DONTNEED"):  # Windows trims by itself
        return
    with _LOCK:
        _MAPS.append(weakref.ref(pages))
        if len(_MAPS) == 1:
            threading.Thread(target=_trim_all, name="pellucid scratch", daemon=True).start()


def _trim_all() -> None:
    while True:
        time.sleep(_TRIM_EVERY_S)
        with _LOCK:
            _MAPS[:] = [known for known in _MAPS if known() is not None]
            if not _MAPS:
                return
        give_back()


def give_back() -> None:
    """Give back all pages now, where many are touched faster than a thread on a busy machine is
    woken."""
    for known in list(_MAPS):
        pages = known()
        if pages is not None:
            with contextlib.suppress(ValueError):  # closed meanwhile
                pages.madvise(mmap.MADV_DONTNEED)


def _reserve(descriptor: int, size: int) -> None:
    """Make room before it is used: a disk that fills up later would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
