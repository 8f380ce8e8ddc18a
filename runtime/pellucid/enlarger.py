"""Enlarger: a model whose result has more pixels than its picture, such as `sr4`."""

from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from .arrays import check_pixels, to_planes
from .blend import to_type
from .bundled import find_model
from .card import ModelCard
from .engine_choice import model_digest, open_engine
from .errors import ModelError, PhotoError
from .guards import fill_hidden, is_grey
from .image.decode import check_size
from .image.exif import with_size, without_thumbnail, xmp_with_size
from .image.header import EXIF, XMP
from .image.light import enlarge_coded
from .image.photo import Photo, full_scale, read_photo
from .image.scratch import copy_picture, empty_picture
from .restorer import Progress
from .tiles import Span, Tiling, plan

# Peak working memory of a pass for one pixel of its result, measured on sr4.
BYTES_PER_RESULT_PIXEL = 90
ALPHA_REACH = 2  # px that the bicubic kernel looks to each side

Array = NDArray[Any]


class Enlarger:
    """Enlarges pictures with a bundled model or any exported file whose card has a scale.

    model, threads, memory_mb, engine: as of `Restorer`.

        >>> enlarge = Enlarger("sr4")
        >>> enlarge("small.jpg").save("large.jpg")

    One call at a time: the session is not shared between threads.
    """

    def __init__(
        self,
        model: str | Path = "sr4",
        *,
        threads: int | None = None,
        memory_mb: int = 360,
        engine: str = "auto",
    ) -> None:
        if memory_mb < 50:
            raise ModelError(f"memory_mb must be at least 50, got {memory_mb}")
        path = find_model(model)
        self._engine = open_engine(path, threads, engine)
        self.digest = model_digest(path)
        card = self._engine.card
        if card.scale == 1:
            raise ModelError(f"{card.id} keeps the size of a picture; Restorer runs it")
        if self._engine.takes_state or card.mask:
            raise ModelError(f"{card.id} takes more than a picture; it cannot enlarge photos")
        self.scale = card.scale
        self._window_pixels = memory_mb * 1_000_000 // (BYTES_PER_RESULT_PIXEL * self.scale**2)

    @property
    def card(self) -> ModelCard:
        """What the model says about itself."""
        return self._engine.card

    @overload
    def __call__(self, image: str | Path | bytes) -> Photo: ...
    @overload
    def __call__(self, image: Array) -> Array: ...
    def __call__(self, image: str | Path | bytes | Array) -> Photo | Array:
        """Enlarge a picture: a path or a file's bytes give a Photo, an array, as `Restorer` takes
        it, one of the same type and `scale` times the sides."""
        if isinstance(image, np.ndarray):
            return self.enlarge_pixels(image)
        return self.enlarge_photo(read_photo(image))

    def enlarge_photo(self, photo: Photo, progress: Progress | None = None) -> Photo:
        """Enlarge a photo, whose pixels are replaced, and return it. Metadata stay; the pixel
        sizes in EXIF and XMP become the new ones, and EXIF's thumbnail goes."""
        photo.pixels, notes = enlarge_coded(
            photo.pixels, photo.metadata, lambda pixels: self.enlarge_pixels(pixels, progress)
        )
        photo.notes += tuple(note for note in notes if note not in photo.notes)
        height, width = photo.pixels.shape[:2]
        if XMP in photo.metadata:
            photo.metadata[XMP] = xmp_with_size(photo.metadata[XMP], width, height)
        if EXIF in photo.metadata:
            kept = without_thumbnail(photo.metadata[EXIF])
            photo.metadata[EXIF] = with_size(kept, width, height)
        return photo

    def enlarge_pixels(self, pixels: Array, progress: Progress | None = None) -> Array:
        """(H, W), (H, W, 3) or (H, W, 4) -> the same type with `scale` times the sides.

        Tile by tile, `progress(done, total)` after each; tiles equal the whole picture. Alpha is
        interpolated bicubically; what is grey stays grey. A result of over 100 MB lies in a
        temporary file (scratch.py).
        Raises TooLargeError, before anything is done, for a result over the limit of pixels.
        """
        check_pixels(pixels, 1.0)
        height, width = pixels.shape[:2]
        self._check_room(height, width)
        colour = pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]
        alpha = pixels[..., 3] if pixels.ndim == 3 and pixels.shape[2] == 4 else None
        if alpha is not None and alpha.min() == 0 and alpha.max() > 0:
            colour = copy_picture(colour)
            fill_hidden(colour, alpha > 0)
        grey = is_grey(colour)
        scale = self.scale
        result = empty_picture((scale * height, scale * width, *pixels.shape[2:]), pixels.dtype)
        rows, cols = self._spans(height, width)
        total = len(rows) * len(cols)
        for index, row in enumerate(rows):
            for number, col in enumerate(cols):
                place = _scaled(row.start, row.stop, scale), _scaled(col.start, col.stop, scale)
                made = self._enlarged(colour, row, col, grey)
                if pixels.ndim == 2:
                    result[place] = made[..., 0]
                else:
                    result[place][..., : made.shape[2]] = made
                if alpha is not None:
                    result[place][..., 3] = self._enlarged_alpha(alpha, row, col)
                if progress is not None:
                    progress(index * len(cols) + number + 1, total)
        return result

    def _check_room(self, height: int, width: int) -> None:
        try:
            check_size(self.scale * width, self.scale * height)
        except PhotoError as error:
            raise type(error)(f"enlarged x{self.scale}, {error}") from None

    def _spans(self, height: int, width: int) -> tuple[list[Span], list[Span]]:
        """The tiles' rows and columns, in pixels of what is given."""
        card = self.card
        if height * width <= self._window_pixels:
            side = -(-max(height, width) // card.tile_multiple) * card.tile_multiple
            tiling = Tiling(side, 0, card.tile_multiple)
        elif card.receptive_field is None:
            raise ModelError(
                f"{card.id} does not say how far its pixels look, so a picture of {width}x{height} "
                "cannot be cut into tiles without seams; raise memory_mb, or give a smaller one"
            )
        else:
            tiling = plan(card.receptive_field, card.tile_multiple, self._window_pixels)
        return list(tiling.spans(height)), list(tiling.spans(width))

    def _enlarged(self, colour: Array, row: Span, col: Span, grey: bool) -> Array:
        """The kept part of one tile, (s·h, s·w, 3 or 1)."""
        window = colour[row.reach_start : row.reach_stop, col.reach_start : col.reach_stop]
        made = self._engine.run(to_planes(window), None)[0]
        inner, across = row.inside, col.inside
        rows = _scaled(inner.start, inner.stop, self.scale)
        made = made[:, rows, _scaled(across.start, across.stop, self.scale)]
        if grey:
            luma = made.mean(axis=0, keepdims=True)
            made = np.broadcast_to(luma, (colour.shape[2], *luma.shape[1:]))
        return to_type(np.ascontiguousarray(made.transpose(1, 2, 0)), colour.dtype)

    def _enlarged_alpha(self, alpha: Array, row: Span, col: Span) -> Array:
        """Alpha of the kept part of one tile, bicubic, (s·h, s·w)."""
        top, left = max(0, row.start - ALPHA_REACH), max(0, col.start - ALPHA_REACH)
        window = alpha[top : row.stop + ALPHA_REACH, left : col.stop + ALPHA_REACH]
        unit = window.astype(np.float32) / np.float32(full_scale(alpha.dtype))
        size = (self.scale * window.shape[1], self.scale * window.shape[0])
        made = np.asarray(cv2.resize(unit, size, interpolation=cv2.INTER_CUBIC), np.float32)
        kept = made[
            _scaled(row.start - top, row.stop - top, self.scale),
            _scaled(col.start - left, col.stop - left, self.scale),
        ]
        return to_type(np.clip(kept, 0.0, 1.0), alpha.dtype)


def scale_of(model: str | Path, engine: str = "auto") -> int:
    """Sides of the results of a bundled model or a file over those of the pictures."""
    return open_engine(find_model(model), 1, engine).card.scale


def _scaled(start: int, stop: int, scale: int) -> slice:
    return slice(scale * start, scale * stop)
