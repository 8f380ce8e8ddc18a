"""Large pictures lie in a file without a name instead of in memory.

Such an array is a `numpy.memmap`; whoever works through it in strips calls `release` behind each,
so that only the strip at hand counts as memory. The file is in the system's folder for temporary
files (TMPDIR) and is gone with the array.
"""

import mmap
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PhotoError

IN_MEMORY_BYTES = 100_000_000  # a photo of 33 megapixels with 8 bits a channel

Array = NDArray[Any]


def empty_picture(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array to be filled, in memory if it is small. PhotoError if there is no room on disk."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile(prefix="pellucid") as file:
            _reserve(file.fileno(), size)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise PhotoError(
            f"no room for {size / 1e9:.1f} GB in {tempfile.gettempdir()} "
            f"({error.strerror or error}); TMPDIR names another folder"
        ) from error


def copy_picture(pixels: Array) -> Array:
    """A copy that lies where `empty_picture` puts it."""
    copied = empty_picture(pixels.shape, pixels.dtype)
    for band in bands(pixels):
        copied[band] = pixels[band]
        release(copied, pixels)
    return copied


def bands(pixels: Array, size: int = 8 << 20) -> list[slice]:
    """Slices of rows of about `size` bytes, from the top."""
    row = max(1, pixels[:1].nbytes)
    rows = max(1, size // row)
    return [slice(top, min(top + rows, len(pixels))) for top in range(0, len(pixels), rows)]


def release(*pixels: Array) -> None:
    """Give the memory of what was read or written back to the system; the file keeps the values."""
    for array in pixels:
        base: Any = array
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
            base.madvise(mmap.MADV_DONTNEED)


def _reserve(descriptor: int, size: int) -> None:
    """Make room before it is used: a disk that fills up later would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
