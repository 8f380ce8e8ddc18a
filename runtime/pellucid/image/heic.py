"""HEIC, what phones take: through pi-heif, which is optional. libvips' wheel has no HEVC."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PhotoError
from .avif import read_avif
from .exif import set_upright
from .header import EXIF, ICC, XMP, Header

MISSING = "HEIC needs pi-heif: pip install 'pellucid[heic]'; or save the photo as JPEG first"


def decode_heic(
    data: bytes, check_size: Callable[[int, int], None]
) -> tuple[NDArray[Any], Header, tuple[str, ...]]:
    """Pixels (H, W, 3 or 4) uint8 or uint16, turned upright; header; notes."""
    try:
        import pi_heif
    except ImportError as error:
        raise PhotoError(MISSING) from error
    try:
        # Ten bits stay ten: without this they are cut to eight.
        file = pi_heif.open_heif(data, convert_hdr_to_8bit=False)
        check_size(*file.size)
        picture = np.asarray(file)
        info = file.info
    except PhotoError:
        raise
    except Exception as error:  # libheif's errors come as several kinds
        raise PhotoError(f"the HEIC is damaged and cannot be decoded ({error})") from error
    notes: tuple[str, ...] = ()
    if len(file) > 1:
        notes = ("only its main picture is restored; the further ones inside are not kept",)
    elif info.get("depth_images") or info.get("aux") or b"urn:com:apple" in data[: 1 << 16]:
        notes = ("its depth and gain maps are not kept",)
    blocks = dict(read_avif(data).metadata)
    for block, name in ((EXIF, "exif"), (XMP, "xmp"), (ICC, "icc_profile")):
        if info.get(name):
            blocks[block] = bytes(info[name])
    if EXIF in blocks:
        blocks[EXIF] = set_upright(blocks[EXIF].removeprefix(b"Exif\0\0"))
    return np.ascontiguousarray(picture), replace(Header("heic"), metadata=blocks), notes
