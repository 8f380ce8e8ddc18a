"""Decoded frames as RGB arrays and back, with nothing changed but the pixels.

The array is a view into a frame that carries all the source frame's properties (fields, closed
captions); it is restored in place and converted to the encoder's format.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .source import Track, pyav

# H.273 matrix coefficients -> swscale's numbers. Unknown ones are taken as players do: by height.
_SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_HD_HEIGHT = 720


class Converter:
    """Converts the frames of one track; keeps swscale's tables between frames.

    pixel_format: the encoder's.
    """

    def __init__(self, track: Track, pixel_format: str, threads: int = 1) -> None:
        av = pyav()
        self._track, self._pixel_format, self._threads = track, pixel_format, threads
        self._to_rgb = av.video.reformatter.VideoReformatter()
        self._from_rgb = av.video.reformatter.VideoReformatter()
        flags = av.video.reformatter.Interpolation
        self._quality = (
            flags.BICUBIC | flags.ACCURATE_RND | flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP
        )
        self._space = _SWSCALE.get(track.space, 1 if track.height >= _HD_HEIGHT else 5)
        self._range = 2 if track.full_range else 1
        self._deep = track.depth > 8

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

    def to_frame(self, rgb: Any) -> Any:
        """The frame for the encoder, with the source's colour tags."""
        coded = self._from_rgb.reformat(
            rgb,
            format=self._pixel_format,
            src_colorspace=self._space,
            dst_colorspace=self._space,
            src_color_range=2,
            dst_color_range=self._range,
            interpolation=self._quality,
            threads=self._threads,
        )
        track = self._track
        coded.colorspace, coded.color_range = track.space, track.colour_range
        coded.color_primaries, coded.color_trc = track.primaries, track.transfer
        coded.pict_type = 0  # the encoder decides, not the source
        return coded
