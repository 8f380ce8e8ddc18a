"""Photos in and out, with nothing lost: EXIF, ICC profile, XMP, orientation, alpha, 16 bits.

Pixels stay as they are stored: they are not turned by the EXIF orientation, whose tag travels on
unchanged, so the result shows upright wherever the input did. They are not converted by their ICC
profile either; the profile travels on, so a wide-gamut photo stays one.
"""

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import PhotoError
from .header import Header, read_header, read_orientation

Array = NDArray[Any]

MAX_MEGAPIXELS_VARIABLE = "PELLUCID_MAX_MEGAPIXELS"
DEFAULT_MAX_MEGAPIXELS = 256.0

# file suffix -> (formats that keep alpha, 16 bits, metadata)
_KEEPS = {
    ".jpg": (False, False, True),
    ".jpeg": (False, False, True),
    ".png": (True, True, True),
    ".webp": (True, False, True),
    ".tif": (True, True, False),
    ".tiff": (True, True, False),
    ".avif": (True, False, True),
    ".bmp": (False, False, False),
}
SUFFIXES = tuple(_KEEPS)
_SUFFIX_OF_FORMAT = {"jpeg": ".jpg", "tiff": ".tif"}
_METADATA = {
    cv2.IMAGE_METADATA_EXIF: "EXIF",
    cv2.IMAGE_METADATA_ICCP: "ICC profile",
    cv2.IMAGE_METADATA_XMP: "XMP",
}


@dataclass
class Photo:
    """pixels: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA; uint8, uint16 or float32, sRGB-coded.

    metadata: raw EXIF, ICC and XMP blocks by OpenCV's metadata number.
    suffix: of the format it was read from. notes: what cannot travel on, for the user to know.
    """

    pixels: Array
    metadata: dict[int, bytes]
    suffix: str = ".png"
    notes: tuple[str, ...] = ()

    @property
    def megapixels(self) -> float:
        return float(self.pixels.shape[0] * self.pixels.shape[1] / 1e6)

    @property
    def orientation(self) -> int:
        """EXIF orientation 1..8 of the stored pixels; 1, upright, if there is none."""
        return read_orientation(self.metadata.get(cv2.IMAGE_METADATA_EXIF, b""))

    def encode(self, suffix: str | None = None, quality: int = 95) -> bytes:
        """The photo as a file's bytes; quality 1..100 for JPEG, WebP and AVIF.

        Raises PhotoError rather than dropping alpha; 16 bits are rounded where only 8 fit.
        """
        suffix = (suffix or self.suffix).lower()
        if suffix not in _KEEPS:
            names = ", ".join(SUFFIXES)
            raise PhotoError(f"cannot write {suffix or 'a name without suffix'}; use {names}")
        alpha, deep, metadata = _KEEPS[suffix]
        pixels = self.pixels
        if pixels.ndim == 3 and pixels.shape[2] == 4 and not alpha:
            raise PhotoError(f"{suffix} cannot hold this photo's transparency; write .png or .webp")
        if pixels.dtype != np.uint8 and not (deep and pixels.dtype == np.uint16):
            pixels = _to_8_bits(pixels) if not deep else _to_16_bits(pixels)
        bgr = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
        flags = {
            ".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality],
            ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality],
            ".webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
            ".avif": [cv2.IMWRITE_AVIF_QUALITY, quality],
        }.get(suffix, [])
        kept = self.metadata if metadata else {}
        try:
            ok, data = cv2.imencodeWithMetadata(
                suffix,
                np.ascontiguousarray(bgr),
                list(kept),
                [np.frombuffer(block, np.uint8) for block in kept.values()],
                flags,
            )
        except cv2.error as error:
            raise PhotoError(f"OpenCV cannot write {suffix}: {error.err}") from error
        if not ok:
            hint = "; its ICC profile may be damaged" if cv2.IMAGE_METADATA_ICCP in kept else ""
            raise PhotoError(f"OpenCV cannot write this picture as {suffix}{hint}")
        return data.tobytes()

    def save(self, path: str | Path, quality: int = 95) -> Path:
        """Write to `path`, whole or not at all: a crash or a full disk leaves no half file."""
        path = Path(path)
        write_atomically(path, self.encode(path.suffix, quality))
        return path


def read_photo(source: str | Path | bytes) -> Photo:
    """Read a path or a file's bytes. Raises PhotoError, one sentence, for anything unusable."""
    if isinstance(source, bytes):
        return _decode(source)
    path = Path(source)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise PhotoError(f"{path}: no such file") from None
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror or error}") from error
    try:
        return _decode(data)
    except PhotoError as error:
        raise PhotoError(f"{path}: {error}") from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write under a temporary name in the same folder, then rename. Raises PhotoError."""
    partial = ""
    try:
        descriptor, partial = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, path)
    except OSError as error:
        raise PhotoError(f"{path}: cannot write ({error.strerror or error})") from error
    finally:
        if partial:  # gone after a rename; left over after any failure, Ctrl-C included
            with contextlib.suppress(OSError):
                os.unlink(partial)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _decode(data: bytes) -> Photo:
    header = read_header(data)
    _refuse(header)
    try:
        stored, kinds, blocks = cv2.imdecodeWithMetadata(
            np.frombuffer(data, np.uint8), flags=cv2.IMREAD_UNCHANGED
        )
    except cv2.error as error:
        raise PhotoError(f"the {header.format.upper()} cannot be decoded ({error.err})") from error
    if stored is None:
        raise PhotoError(f"the {header.format.upper()} is damaged and cannot be decoded")
    metadata = {
        int(kind): block.tobytes()
        for kind, block in zip(kinds, blocks, strict=True)
        if int(kind) in _METADATA and block.size
    }
    return Photo(
        pixels=_to_rgb(np.asarray(stored)),
        metadata=metadata,
        suffix=_SUFFIX_OF_FORMAT.get(header.format, f".{header.format}"),
        notes=_notes(header, metadata),
    )


def _refuse(header: Header) -> None:
    told = os.environ.get(MAX_MEGAPIXELS_VARIABLE)
    try:
        limit = float(told) if told else DEFAULT_MAX_MEGAPIXELS
    except ValueError:
        raise PhotoError(f"{MAX_MEGAPIXELS_VARIABLE} must be a number, got {told!r}") from None
    megapixels = header.width * header.height / 1e6
    if megapixels > limit:
        raise PhotoError(
            f"{header.width}x{header.height} is {megapixels:.0f} megapixels, the limit is "
            f"{limit:.0f}; raise it with {MAX_MEGAPIXELS_VARIABLE}={megapixels:.0f}"
        )
    if not header.complete:
        raise PhotoError(f"the {header.format.upper()} is cut off: its end is missing")
    if header.frames > 1:
        raise PhotoError(
            f"holds {header.frames} or more pictures ({header.format.upper()}); "
            "save the one to restore as a file of its own"
        )


def _to_rgb(stored: Array) -> Array:
    """OpenCV's BGR order to RGB in place; one-channel pictures to (H, W)."""
    if stored.ndim == 3 and stored.shape[2] == 1:
        return stored[..., 0]
    if stored.ndim == 3 and stored.shape[2] >= 3:
        code = cv2.COLOR_BGR2RGB if stored.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        cv2.cvtColor(stored, code, dst=stored)  # in place: a second copy of 108 MP is 324 MB
    if stored.dtype == np.float64:
        return stored.astype(np.float32)
    if stored.dtype not in (np.uint8, np.uint16, np.float32):
        raise PhotoError(f"pixels of type {stored.dtype} are not supported; save as 8 or 16 bits")
    return stored


def _notes(header: Header, metadata: dict[int, bytes]) -> tuple[str, ...]:
    notes = []
    if header.gain_map:
        notes.append("its HDR gain map is not kept: the result is the standard-range picture")
    if header.format == "tiff":
        notes.append("TIFF metadata (EXIF, ICC profile) are not kept")
    if header.format == "avif" and cv2.IMAGE_METADATA_ICCP not in metadata:
        notes.append("an ICC profile in AVIF, if there is one, is not kept")
    return tuple(notes)


def _to_8_bits(pixels: Array) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint16:
        return np.asarray((pixels.astype(np.uint32) * 255 + 32767) // 65535, dtype=np.uint8)
    return np.asarray(np.rint(np.clip(pixels.astype(np.float32), 0, 1) * 255), dtype=np.uint8)


def _to_16_bits(pixels: Array) -> NDArray[np.uint16]:
    return np.asarray(np.rint(np.clip(pixels.astype(np.float32), 0, 1) * 65535), dtype=np.uint16)
