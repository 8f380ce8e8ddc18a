"""Raw files of cameras: developed by LibRaw through rawpy, which is optional."""

import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

from numpy.typing import NDArray

from ..errors import PhotoError
from .directory import read_block, write_block
from .exif import set_upright
from .header import EXIF, Header
from .tiff import read_tiff

_DNG_TAGS = range(50706, 52600)  # would make a reader take the result for raw
MISSING = "raw files need rawpy: pip install 'pellucid[raw]'; or develop it to TIFF or JPEG first"


def decode_raw(
    data: bytes, check_size: Callable[[int, int], None]
) -> tuple[NDArray[Any], Header, tuple[str, ...]]:
    """(H, W, 3) uint16, sRGB-coded and upright, with the camera's white balance; header; notes."""
    try:
        import rawpy
    except ImportError as error:
        raise PhotoError(MISSING) from error
    try:
        with rawpy.imread(BytesIO(data)) as file:
            check_size(file.sizes.width, file.sizes.height)
            pixels = file.postprocess(
                use_camera_wb=True,
                no_auto_bright=True,
                output_bps=16,
                output_color=rawpy.ColorSpace.sRGB,
                gamma=(2.4, 12.92),
            )
    except PhotoError:
        raise
    except Exception as error:  # rawpy's errors have no public base class
        raise PhotoError(f"LibRaw cannot develop this raw file ({error})") from error
    exif = _exif(data)
    notes = ("developed with the camera's white balance",)
    if not exif:
        return pixels, Header("raw"), (*notes, "its EXIF is not kept")
    return pixels, Header("raw", metadata={EXIF: exif}), notes


def _exif(data: bytes) -> bytes:
    """EXIF of a raw file that is laid out as a TIFF; empty for others. LibRaw tells none."""
    try:
        # Some makers put a number of their own in place of TIFF's 42.
        tiff = b"II*\0" + data[4:] if data[:2] == b"II" else data
        tags = read_block(read_tiff(tiff).metadata[EXIF])
    except (struct.error, KeyError):
        return b""
    return set_upright(write_block({t: v for t, v in tags.items() if t not in _DNG_TAGS}))
