"""Photos in and out, with nothing lost: EXIF, ICC, XMP, dpi, orientation, alpha, 16 bits.

Pixels stay as they are stored: they are not turned by the EXIF orientation, whose tag travels on
unchanged, so the result shows upright wherever the input did. (AVIF and HEIC keep their turn
elsewhere; those are turned upright on reading.) Pixels are not converted by their ICC profile
either: the network sees a wide-gamut photo as if it were sRGB, and the profile travels on.
"""

import contextlib
import mmap
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..degradations import Found
from ..errors import PhotoError
from .decode import DAMAGED, Decoded, decode, size_of
from .decode import MAX_MEGAPIXELS_VARIABLE as MAX_MEGAPIXELS_VARIABLE
from .encode import SUFFIXES as SUFFIXES
from .encode import encode, losses
from .exif import read_orientation
from .header import EXIF, PLAIN, Coding, Data
from .scratch import trim


@dataclass
class Photo:
    """pixels: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA; uint8, uint16 or float32, sRGB-coded.

    metadata: raw EXIF, XMP, ICC, IPTC and resolution blocks by their number in `header`.
    suffix: of the format it was read from. notes: what could not travel on, for the user to know.
    coding: chroma sampling, bits and losslessness of the file, which a result takes over.
    A picture of more than 100 MB lies in a temporary file (scratch.py).
    found: what was wrong with it, after restoring by a model that can tell.
    """

    pixels: NDArray[Any]
    metadata: dict[int, bytes]
    suffix: str = ".png"
    notes: tuple[str, ...] = ()
    coding: Coding = PLAIN
    found: Found | None = None

    @property
    def megapixels(self) -> float:
        return float(self.pixels.shape[0] * self.pixels.shape[1] / 1e6)

    @property
    def orientation(self) -> int:
        """EXIF orientation 1..8 of the stored pixels; 1, upright, if there is none."""
        return read_orientation(self.metadata.get(EXIF, b""))

    @property
    def notes_of_copy(self) -> tuple[str, ...]:
        """The notes that hold where the file is copied as it is: nothing of it is lost then."""
        return tuple(note for note in self.notes if note.startswith(DAMAGED))

    def encode(self, suffix: str | None = None, quality: int = 95) -> bytes:
        """The photo as a file's bytes; quality 1..100 for JPEG, WebP and AVIF.

        Raises PhotoError rather than dropping alpha; 16 bits are rounded where only 8 fit.
        """
        suffix = (suffix or self.suffix).lower()
        file = BytesIO()
        encode(file, self.pixels, self.metadata, suffix, quality, self.coding)
        return file.getvalue()

    def save(self, path: str | Path, quality: int = 95) -> Path:
        """Write to `path`, whole or not at all: a crash or a full disk leaves no half file.

        What the format of `path` cannot hold is added to `notes`.
        """
        path = Path(path)
        suffix = path.suffix.lower()

        def write(file: BinaryIO) -> None:
            encode(file, self.pixels, self.metadata, suffix, quality, self.coding)

        _atomically(path, write)
        lost = losses(self.pixels, self.metadata, suffix, self.coding)
        self.notes = tuple(dict.fromkeys(self.notes + lost))
        return path


def full_scale(dtype: np.dtype[Any]) -> float:
    """The value of white: 255 or 65535 for integers, 1 for floats."""
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0


def read_photo(source: str | Path | bytes) -> Photo:
    """Read a path or a file's bytes. Raises PhotoError, one sentence, for anything unusable.

    Pictures over 512 megapixels are refused by their header; the environment variable
    PELLUCID_MAX_MEGAPIXELS raises the limit.
    """
    if isinstance(source, bytes):
        return _photo(decode(source))
    path = Path(source)
    with _opened(path) as (data, descriptor):
        return _photo(decode(data, descriptor, path.name))


def picture_size(path: Path) -> tuple[int, int]:
    """(height, width) of a picture file, by its header. Raises PhotoError as `read_photo` does."""
    with _opened(path) as (data, descriptor):
        return size_of(data, descriptor, path.name)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Data, int]]:
    """A file's bytes, mapped into memory, and its descriptor. Errors name the path."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise PhotoError("the file is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                trim(mapped)
                yield mapped, file.fileno()
    except FileNotFoundError:
        raise PhotoError(f"{path}: no such file") from None
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror or error}") from error
    except PhotoError as error:
        raise type(error)(f"{path}: {error}") from None


def _photo(read: Decoded) -> Photo:
    return Photo(read.pixels, read.metadata, read.suffix, read.notes, read.coding)


def write_atomically(path: Path, *pieces: bytes | memoryview) -> None:
    """Write under a temporary name in the same folder, then rename. Raises PhotoError."""
    _atomically(path, lambda file: file.writelines(pieces))


def _atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    partial = path.parent / f".{path.name[:40]}.{secrets.token_hex(6)}"
    try:
        with partial.open("x+b") as file:  # with the permissions that any new file gets
            # Those of the file that is replaced. There may be none, or a file system without them.
            with contextlib.suppress(OSError):
                partial.chmod(stat.S_IMODE(path.stat().st_mode))
            write(file)
        os.replace(partial, path)
    except OSError as error:
        raise PhotoError(f"{path}: cannot write ({error.strerror or error})") from error
    finally:  # gone after a rename; left over after any failure, Ctrl-C included
        with contextlib.suppress(OSError):
            partial.unlink()
