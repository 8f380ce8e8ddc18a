"""libvips (LGPL-2.1, a shared library inside pyvips' wheel): pixels of files in and out.

Chosen because it reads what OpenCV ruins (planar, float and WhiteIsZero TIFF, AVIF of 10 bits),
tells of damage as an error, and hands a picture over in strips of rows.
"""

import os
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import PhotoError
from .scratch import empty_picture, give_back

Array = NDArray[Any]


class Output(Protocol):
    """What is written to: an open file, or something that passes on to one."""

    def write(self, data: Any, /) -> int: ...
    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


_STRIP_BYTES = 1 << 17
_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32, "double": np.float64}
_NOT_READ = {"cmyk": "CMYK is for print; save it as an RGB picture first"}
_UNSUPPORTED = ("not configured", "not support", "nsupported", "not implemented", "out of range")


@cache
def pyvips() -> Any:
    """The package, loaded when first needed. PhotoError, with the fix, if it does not load."""
    # Its threads hold strips of their own, and files are decoded by one of them anyway.
    os.environ.setdefault("VIPS_CONCURRENCY", "1")
    try:
        import pyvips
    except Exception as error:  # a broken installation raises whatever its loader raises
        raise PhotoError(
            f"libvips does not load ({error}); pip install --force-reinstall 'pyvips[binary]'"
        ) from error
    pyvips.cache_set_max(0)  # it would hold pictures that are long written
    return pyvips


def can(operation: str) -> bool:
    """Whether this libvips has an operation: "jxlload_source", say."""
    return bool(pyvips().type_find("VipsOperation", operation))


def open_picture(loader: str, source: bytes | int, **options: object) -> Any:
    """A picture whose pixels are not decoded yet, from bytes or a file's descriptor."""
    vips = pyvips()
    try:
        made = (
            vips.Source.new_from_descriptor(source)
            if isinstance(source, int)
            else vips.Source.new_from_memory(source)
        )
        return vips.Operation.call(f"{loader}_source", made, access="sequential", **options)
    except (vips.Error, UnicodeDecodeError) as error:
        raise unreadable(error) from error


def field_of(picture: Any, field: str, default: Any) -> Any:
    """A field of a picture. Its fields are not listed: names in a damaged file may be no text."""
    return picture.get(field) if picture.get_typeof(field) else default


def read_pixels(picture: Any) -> Array:
    """(H, W) or (H, W, C) of a picture that `open_picture` gave; large ones lie in a scratch file.

    Raises PhotoError for kinds of pixels that pellucid does not restore, and for damage.
    """
    if picture.interpretation in _NOT_READ:
        raise PhotoError(_NOT_READ[picture.interpretation])
    if picture.format not in _TYPES:
        raise PhotoError(
            f"pixels of type {picture.format} are not supported; save as 8 or 16 bits or float"
        )
    if picture.bands > 4:
        raise PhotoError(f"a picture of {picture.bands} channels is not supported; save it as RGB")
    stored = np.dtype(_TYPES[picture.format])
    kept = np.dtype(np.float32) if stored == np.float64 else stored
    width, height, bands = picture.width, picture.height, picture.bands
    shape = (height, width) if bands == 1 else (height, width, bands)
    pixels = empty_picture(shape, kept)
    rows = max(1, _STRIP_BYTES // (width * bands * stored.itemsize))
    try:
        region = pyvips().Region.new(picture)
        for top in range(0, height, rows):
            count = min(rows, height - top)
            strip = np.frombuffer(region.fetch(0, top, width, count), stored)
            pixels[top : top + count] = strip.reshape(count, *shape[1:])
            give_back()
    except (pyvips().Error, UnicodeDecodeError) as error:
        raise unreadable(error) from error
    return pixels


def write_pixels(
    saver: str,
    pixels: Array,
    file: Output,
    blobs: dict[str, bytes] | None = None,
    **options: object,
) -> None:
    """Encode (H, W) or (H, W, C) into an open file, at its place. PhotoError if it cannot be.

    blobs: metadata for libvips to write; without them it writes none.
    """
    vips = pyvips()
    height, width = pixels.shape[:2]
    bands = 1 if pixels.ndim == 2 else pixels.shape[2]
    kind = {np.dtype(t): name for name, t in _TYPES.items()}[pixels.dtype]
    # As flat bytes: cffi would take the first side of an array for its length.
    flat = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    picture = vips.Image.new_from_memory(flat.data, width, height, bands, kind)
    grey, deep = bands < 3, kind == "ushort"
    space = ("grey16" if deep else "b-w") if grey else ("rgb16" if deep else "srgb")
    picture = picture.copy(interpretation="multiband" if kind == "float" and not grey else space)
    for name, blob in (blobs or {}).items():
        if blob:
            picture.set_type(vips.GValue.blob_type, name, blob)
    failed: list[OSError] = []
    target = _target(file, failed)
    keep = "all" if blobs else "none"
    try:
        vips.Operation.call(f"{saver}_target", picture, target, keep=keep, **options)
    except vips.Error as error:
        if failed:
            raise failed[0] from error
        raise PhotoError(f"libvips cannot write this picture: {_one_line(str(error))}") from error


@cache
def srgb_profile() -> bytes:
    """libvips' own profile of sRGB."""
    return bytes(pyvips().Operation.call("profile_load", "srgb"))


def _target(file: Output, failed: list[OSError]) -> Any:
    """A libvips target on an open file. What the disk says is kept in `failed`."""
    start = file.tell()

    def write(data: Any) -> int:
        try:
            return file.write(data)
        except OSError as error:
            failed.append(error)
            return -1

    def seek(offset: int, whence: int) -> int:
        return file.seek(offset + start if whence == os.SEEK_SET else offset, whence) - start

    target = pyvips().TargetCustom()
    target.on_write(write)
    target.on_read(file.read)
    target.on_seek(seek)
    target.on_end(lambda: 0)
    return target


def unreadable(error: Exception) -> PhotoError:
    """One sentence for an error of libvips: not supported, or damaged."""
    if isinstance(error, UnicodeDecodeError):
        # The message quotes a damaged file's bytes, at which pyvips stumbles before it has cleared
        # them: without this the next error would hold them too.
        pyvips().vips_lib.vips_error_clear()
        return PhotoError("it is damaged and cannot be decoded")
    reason = _one_line(str(error))
    if any(word in str(error) for word in _UNSUPPORTED):
        return PhotoError(f"this kind of file is not supported ({reason}); save it as PNG or TIFF")
    return PhotoError(f"it is damaged and cannot be decoded ({reason})")


def _one_line(text: str) -> str:
    """What a loader said: the first line that names it, without libvips' own frame."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("unable to ")]
    return (said or lines or ["no reason given"])[0].removeprefix("VipsJpeg: ")
