"""Decoded frames as RGB arrays and back, with nothing changed but the pixels.

The array is a view into a frame that carries all the source frame's properties (fields, closed
captions); it is restored in place and converted to the encoder's format.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .encoder import Coding
from .opening import VideoError, pyav
from .source import Track

# H.273 matrix coefficients -> swscale's numbers. Unnamed ones (2, 3) are taken as players do: by
# height.
SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_UNNAMED = (2, 3)
_HD_HEIGHT = 720


class Converter:
    """Converts the frames of one track; keeps swscale's tables between frames.

    deep: False gives 8 bits whatever the source has. matrix: H.273's number of what the colours
    are coded with, named or assumed. Raises VideoError for colours that swscale would falsify.
    """

    def __init__(self, track: Track, threads: int = 1, deep: bool = True) -> None:
        av = pyav()
        self._track, self._threads = track, threads
        self._to_rgb = av.video.reformatter.VideoReformatter()
        self._from_rgb = av.video.reformatter.VideoReformatter()
        flags = av.video.reformatter.Interpolation
        self._quality = (
            flags.BICUBIC | flags.ACCURATE_RND | flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP
        )
        self.matrix = _matrix(track)
        self._space = SWSCALE[self.matrix]
        self._range = 2 if track.full_range else 1
        self._deep = deep and track.depth > 8

    def to_array(self, frame: Any) -> tuple[Any, NDArray[Any]]:
        """(frame in RGB, view of its pixels): (H, W, 3), uint8, or uint16 for over 8 bits."""
        rgb = self._to_rgb.reformat(
            frame,
            format="rgb48le" if self._deep else "rgb24",
            src_colorspace=self._space,
            dst_colorspace=self._space,
            src_color_range=self._range,
            dst_color_range=2,
            interpolation=self._quality,
            threads=self._threads,
        )
        rgb.make_writable()  # an RGB source's own buffer is still needed by its decoder
        plane = rgb.planes[0]
        kind = np.dtype("<u2" if self._deep else "u1")
        shape, step = (rgb.height, rgb.width, 3), kind.itemsize
        strides = (plane.line_size, 3 * step, step)
        return rgb, np.ndarray(shape, kind, buffer=memoryview(plane), strides=strides)

    def to_frame(self, rgb: Any, coding: Coding) -> Any:
        """The frame for the encoder, with the source's colour tags."""
        coded = self._from_rgb.reformat(
            rgb,
            format=coding.pixel_format,
            src_colorspace=self._space,
            dst_colorspace=self._space,
            src_color_range=2,
            dst_color_range=2 if coding.colour_range == 2 else 1,
            interpolation=self._quality,
            threads=self._threads,
        )
        coded.colorspace, coded.color_range = coding.space, coding.colour_range
        coded.color_primaries = self._track.primaries
        coded.color_trc = self._track.transfer
        coded.pict_type = 0  # the encoder decides, not the source
        return coded


def _matrix(track: Track) -> int:
    if track.rgb:
        return 1
    if track.space in _UNNAMED:
        return 1 if track.height >= _HD_HEIGHT else 6
    if track.space not in SWSCALE:
        raise VideoError(
            f"colours are coded with matrix {track.space} of ITU-T H.273, which FFmpeg's scaler "
            "does not know; convert the video to BT.709 first"
        )
    return track.space
