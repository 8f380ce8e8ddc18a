"""What a picture file says about itself, apart from its pixels."""

import mmap
from dataclasses import dataclass, field, replace

Data = bytes | mmap.mmap

# Kinds of metadata block in `Photo.metadata`.
EXIF = 0  # starts with its TIFF header, II*\0 or MM\0*
XMP = 1  # the XML text alone
ICC = 2
IRB = 100  # Photoshop image resources, where IPTC captions live
RESOLUTION = 101  # `Resolution.to_block`
COMMENT = 102  # of a JPEG; several are joined by a zero byte
TEXT = 103  # tEXt, zTXt, iTXt chunks of a PNG as they are
CICP = 104  # colour tag of H.273: primaries, transfer, matrix, full range; a byte each
GAMMA = 105  # gAMA, cHRM, sRGB, mDCV, cLLI chunks of a PNG as they are
SEGMENTS = 106  # of a JPEG as they are: extended XMP, version of an ISO gain map
MPF = 107  # index of a JPEG's further pictures, as in its APP2 segment
TRAILER = 108  # what follows a JPEG's end: gain map, motion photo, depth

BLOCK_NAMES = {
    EXIF: "EXIF",
    XMP: "XMP",
    ICC: "ICC profile",
    IRB: "IPTC caption block",
    RESOLUTION: "resolution (dpi)",
    COMMENT: "comment",
    TEXT: "text",
    CICP: "colour tag (cICP)",
    GAMMA: "gamma and primaries (gAMA, cHRM)",
    SEGMENTS: "extended XMP",
    TRAILER: "motion photo, gain map or other data after the picture",
}


@dataclass(frozen=True)
class Coding:
    """How a file codes its pixels, where a result should do the same.

    chroma: "4:4:4" or "4:2:0", of JPEG and AVIF; "" if the format has no such thing.
    bits: a channel; of AVIF 8, 10 or 12. lossless: a WebP without loss.
    """

    chroma: str = ""
    bits: int = 8
    lossless: bool = False


PLAIN = Coding()


@dataclass(frozen=True)
class Header:
    """format: jpeg, png, webp, tiff, bmp, avif, heic, jxl or raw.

    refusal: why this picture cannot be restored without harm; empty if it can.
    notes: what of it does not travel on.
    """

    format: str
    refusal: str = ""
    notes: tuple[str, ...] = ()
    metadata: dict[int, bytes] = field(default_factory=dict)
    coding: Coding = PLAIN

    def refused(self, reason: str) -> "Header":
        return replace(self, refusal=self.refusal or reason)
