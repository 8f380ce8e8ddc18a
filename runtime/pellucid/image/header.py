"""What a picture file says about itself before a single pixel is decoded.

Reading the header first lets a decompression bomb, an animation or a half-downloaded file be
refused with a sentence, before a decoder allocates gigabytes or fills the missing part with grey.
"""

from dataclasses import dataclass

import cv2

# Kinds of metadata block; the first three are OpenCV's own numbers.
EXIF = cv2.IMAGE_METADATA_EXIF  # starts with its TIFF header, II*\0 or MM\0*
XMP = cv2.IMAGE_METADATA_XMP  # the XML text alone
ICC = cv2.IMAGE_METADATA_ICCP
IRB = 100  # Photoshop image resources, where IPTC captions live
RESOLUTION = 101  # `Resolution.to_block`

BLOCK_NAMES = {
    EXIF: "EXIF",
    XMP: "XMP",
    ICC: "ICC profile",
    IRB: "IPTC caption block",
    RESOLUTION: "resolution (dpi)",
}


@dataclass(frozen=True)
class Header:
    """format: jpeg, png, webp, tiff, bmp or avif. width, height in px, 0 if not told.

    complete: False if the end of the file is missing.
    refusal: why this picture cannot be restored without harm; empty if it can.
    notes: what of it does not travel on.
    metadata: blocks found here, in place of those OpenCV finds; None where OpenCV reads them well.
    orientation: 1..8, a turn stored outside EXIF that the decoder leaves to its caller.
    resolution: block of dots per inch; empty if none is told.
    blank: bytes [start, stop) to be zeroed before decoding.
    """

    format: str
    width: int = 0
    height: int = 0
    frames: int = 1
    complete: bool = True
    refusal: str = ""
    notes: tuple[str, ...] = ()
    metadata: dict[int, bytes] | None = None
    orientation: int = 1
    blank: tuple[int, int] = (0, 0)
    resolution: bytes = b""
