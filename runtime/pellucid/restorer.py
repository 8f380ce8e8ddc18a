"""Restorer: one model, any picture."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from .blend import Blend, to_type
from .card import ModelCard
from .engine_choice import model_digest, open_engine
from .errors import ModelError, PhotoError
from .estimator import with_amounts
from .guards import Shown, keep_colour, shown_part
from .image.exif import without_thumbnail
from .image.header import EXIF
from .image.light import restore_coded
from .image.photo import Photo, full_scale, read_photo
from .steps import MOST_STEPS, measure_of, mix, refine
from .tiles import Tiling, plan

MODELS = Path(__file__).parent / "models"
FOREIGN_OVERLAP = 64  # px, for models that do not tell their receptive field
# Peak working memory of a pass for one pixel of its window, measured on the bundled models.
BYTES_PER_PIXEL = 290
FLOAT_SLACK = 0.5  # resampling overshoots [0, 1]; more than this is another scale

Array = NDArray[Any]
Progress = Callable[[int, int], None]


class Restorer:
    """Restores pictures with a bundled model or any exported file.

    model: a bundled name ("tiny") or the path of an .onnx file or an OpenVINO .xml file.
    steps: calls of the model, 1 to 3; each costs as much again (steps.py).
    threads: CPU threads; None picks a number that leaves a laptop usable.
    memory_mb: working memory of the network; larger pictures go through tiles, with equal result.
    engine: "onnxruntime", "openvino", or "auto": OpenVINO for .xml files only.

        >>> restore = Restorer()
        >>> restore("rain.jpg").save("dry.jpg")

    One call at a time: the session is not shared between threads.
    """

    def __init__(
        self,
        model: str | Path = "tiny",
        *,
        steps: int = 1,
        threads: int | None = None,
        memory_mb: int = 360,
        engine: str = "auto",
    ) -> None:
        if memory_mb < 50:
            raise ModelError(f"memory_mb must be at least 50, got {memory_mb}")
        if not 1 <= steps <= MOST_STEPS:
            raise ModelError(f"steps must be 1 to {MOST_STEPS}, got {steps}")
        path = find_model(model)
        self._engine = open_engine(path, threads, engine)
        self.digest = model_digest(path)
        self.steps = steps
        card = self._engine.card
        if card.scale != 1:
            raise ModelError(
                f"{card.id} makes pictures {card.scale} times as large; Restorer takes models that "
                "keep the size. pellucid.engine.Engine runs it on a whole picture"
            )
        if card.steps > 1 and steps > 1:
            raise ModelError(f"{card.id} makes {card.steps} steps by itself; leave steps away")
        if self._engine.takes_state and steps > 1:
            raise ModelError(f"{card.id} makes one step a frame; leave steps away")
        self._window_pixels = memory_mb * 1_000_000 // BYTES_PER_PIXEL
        self.exact_tiles = card.receptive_field is not None
        reach = FOREIGN_OVERLAP if card.receptive_field is None else card.receptive_field
        self._tiling = plan(reach, card.tile_multiple, self._window_pixels)

    @property
    def card(self) -> ModelCard:
        """What the model says about itself."""
        return self._engine.card

    @overload
    def __call__(self, image: str | Path | bytes, strength: float = 1.0) -> Photo: ...
    @overload
    def __call__(self, image: Array, strength: float = 1.0) -> Array: ...
    def __call__(self, image: str | Path | bytes | Array, strength: float = 1.0) -> Photo | Array:
        """Restore a picture.

        A path or a file's bytes give a Photo, with metadata, to `.save()`. An array gives an array
        of the same shape and type: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA; uint8, uint16 or float
        in [0, 1]. strength 0..1 blends from the input to the restored picture.
        """
        if isinstance(image, np.ndarray):
            pixels = image.copy()
            self.restore_pixels(pixels, strength)
            return pixels
        if not isinstance(image, str | Path | bytes):
            raise PhotoError(
                f"expected an array, a path or a file's bytes, got {type(image).__name__}; "
                "numpy.asarray makes an array of a PIL image"
            )
        return self.restore_photo(read_photo(image), strength)

    def restore_photo(
        self, photo: Photo, strength: float = 1.0, progress: Progress | None = None
    ) -> Photo:
        """Restore a photo in place and return it. Metadata stay, but for EXIF's thumbnail: it would
        go on showing the degraded picture in file browsers."""
        told = restore_coded(
            photo.pixels,
            photo.metadata,
            lambda pixels: self.restore_pixels(pixels, strength, progress),
        )
        photo.notes += tuple(note for note in told if note not in photo.notes)
        if EXIF in photo.metadata:
            photo.metadata[EXIF] = without_thumbnail(photo.metadata[EXIF])
        return photo

    def restore_pixels(
        self,
        pixels: Array,
        strength: float = 1.0,
        progress: Progress | None = None,
        scene: NDArray[np.float32] | None = None,
        state: Array | None = None,
    ) -> None:
        """Restore an array in place, tile by tile; `progress(done, total)` is told of each tile.

        scene: (scene_size,), of a stream of frames (temporal.py); None measures it on the picture.
        It is the first call's, later ones measure what they see.
        state: the last result as it would look now, like `pixels` (chain.py); for files that take
        one and only for them.
        Black bars, pixels at alpha 0 and pictures of one flat colour stay as they are; what is grey
        in a colour picture stays grey (guards.py).
        Working in place is what lets a 108-megapixel photo pass in under a gigabyte.
        Raises PhotoError for arrays that are no picture.
        """
        _check_pixels(pixels, strength)
        if strength == 0.0:
            return
        _check_state(pixels, state)
        with shown_part(pixels) as shown:
            if shown is not None:
                last = None if state is None else state[shown.rows, shown.cols]
                self._restore_shown(shown, strength, progress, scene, last)

    def _restore_shown(
        self,
        shown: Shown,
        strength: float,
        progress: Progress | None,
        scene: NDArray[np.float32] | None,
        state: Array | None,
    ) -> None:
        """All calls, in place; `restore_pixels` says the rest."""
        colour, grey = shown.colour, shown.grey

        def measure(picture: Array) -> NDArray[np.float32]:
            return self._with_amounts(measure_of(picture, shown.visible), picture)

        scene = measure(colour) if scene is None else self._with_amounts(scene, colour)
        if self.steps == 1:
            self._call(colour, grey, scene, state, strength, progress)
            return
        given = colour.copy()

        def tell(call: int) -> Progress | None:
            if progress is None:
                return None
            steps, told = self.steps, progress
            return lambda done, total: told(call * total + done, steps * total)

        def restore(picture: Array, scene: NDArray[np.float32], call: int) -> Array:
            self._call(picture, grey, scene, None, 1.0, tell(call))
            return picture

        self._call(colour, grey, scene, state, 1.0, tell(0))
        estimate = refine(given, colour, self.steps, restore, measure)
        colour[...] = estimate if strength == 1.0 else mix(given, estimate, strength)

    def _with_amounts(self, scene: NDArray[np.float32], colour: Array) -> NDArray[np.float32]:
        """What the model takes: `scene`, with the amounts measured on the picture if they lack."""
        return with_amounts(scene, self.card.scene_size, colour, self._engine.estimator)

    def _call(
        self,
        colour: Array,
        grey: bool,
        scene: NDArray[np.float32],
        state: Array | None,
        strength: float,
        progress: Progress | None,
    ) -> None:
        """One call of the network, in place, (H, W, 3 or 1); `restore_pixels` says the rest."""
        height, width = colour.shape[:2]
        tiling = self._tiling
        if height * width <= self._window_pixels:  # the whole picture is one tile
            side = -(-max(height, width) // tiling.multiple) * tiling.multiple
            tiling = Tiling(side, 0, tiling.multiple)
        rows, cols = list(tiling.spans(height)), list(tiling.spans(width))
        # Original rows of the windows at hand: those above have been replaced in the picture.
        tallest = max(row.reach_stop - row.reach_start for row in rows)
        strip = np.empty((tallest, *colour.shape[1:]), colour.dtype)
        # Half of the overlap: what lies nearer to a window's edge than that is not trusted.
        soft = not self.exact_tiles and len(rows) * len(cols) > 1
        feather = Blend(colour, rows, cols, tiling.margin // 2) if soft else None
        done, total = 0, len(rows) * len(cols)
        for index, row in enumerate(rows):
            bottom = row.reach_stop - row.reach_start
            strip[row.inside.start : bottom] = colour[row.start : row.reach_stop]
            for number, col in enumerate(cols):
                window = strip[:bottom, col.reach_start : col.reach_stop]
                last = None
                if state is not None:
                    reach = slice(row.reach_start, row.reach_stop)
                    last = _planes(state[reach, col.reach_start : col.reach_stop])
                restored = self._restore_window(window, grey, scene, strength, last)
                if feather is not None:
                    feather.add(index, number, restored)
                else:
                    core = to_type(restored[row.inside, col.inside], colour.dtype)
                    colour[row.start : row.stop, col.start : col.stop] = core
                del restored  # the next pass reuses its memory
                done += 1
                if progress is not None:
                    progress(done, total)
            if feather is not None:
                feather.finish(index)
            if index + 1 < len(rows):
                needed = rows[index + 1].reach_start - row.reach_start
                above = strip[needed : row.inside.stop]
                strip[: len(above)] = above

    def _restore_window(
        self,
        window: Array,
        grey: bool,
        scene: NDArray[np.float32],
        strength: float,
        state: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        """One window restored, (h, w, 3 or 1) in [0, 1]; state (1, 3, h, w)."""
        image = _planes(window)
        restored = self._engine.run(image, scene, state)[0]
        if strength != 1.0:
            restored = image[0] + np.float32(strength) * (restored - image[0])
        if grey:
            restored = keep_colour(image[0], restored)[: window.shape[2]]
        return np.asarray(restored.transpose(1, 2, 0))


def find_model(model: str | Path) -> Path:
    """File of a bundled model by name, or of a given path."""
    given = Path(model)
    if given.suffix in (".onnx", ".xml") or given.is_file():
        if not given.is_file():
            raise ModelError(f"{given}: no such model file")
        return given
    path = MODELS / f"allinone-{model}.onnx"
    names = bundled_names()
    if str(model) in names:
        return path
    near = difflib.get_close_matches(str(model), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ModelError(
        f"no model named {str(model)!r}; {hint}bundled: {', '.join(names) or 'none'}; "
        "or give the path of an .onnx or .xml file"
    )


def bundled_names() -> list[str]:
    """Names of the models that come with pellucid."""
    stems = (path.stem.removeprefix("allinone-") for path in MODELS.glob("allinone-*.onnx"))
    return sorted(name for name in stems if not name.endswith("-frames"))


def _check_pixels(pixels: Array, strength: float) -> None:
    if not 0.0 <= strength <= 1.0:
        raise PhotoError(f"strength must be between 0 and 1, got {strength}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise PhotoError(
            f"expected (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, got shape {pixels.shape}"
        )
    if 0 in pixels.shape:
        raise PhotoError(f"the picture is empty: shape {pixels.shape}")
    if pixels.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise PhotoError(f"expected uint8, uint16 or float in [0, 1], got {pixels.dtype}")
    if np.issubdtype(pixels.dtype, np.floating):
        low, high = float(pixels.min()), float(pixels.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise PhotoError("the picture holds NaN or infinite values")
        if low < -FLOAT_SLACK or high > 1.0 + FLOAT_SLACK:
            raise PhotoError(
                f"expected floats in [0, 1], got {low:.4g} to {high:.4g}; divide by the value of "
                "white, such as 255, or clip"
            )


def _check_state(pixels: Array, state: Array | None) -> None:
    expected = (*pixels.shape[:2], 1 if pixels.ndim == 2 else min(pixels.shape[2], 3))
    if state is not None and (state.shape != expected or state.dtype != pixels.dtype):
        raise PhotoError(
            f"expected a state like the picture, {expected} {pixels.dtype}, "
            f"got {state.shape} {state.dtype}"
        )


def _planes(window: Array) -> NDArray[np.float32]:
    """(h, w, 3 or 1) of any type -> (1, 3, h, w) in [0, 1]."""
    image = np.empty((1, 3, *window.shape[:2]), np.float32)
    white = np.float32(full_scale(window.dtype))
    np.divide(window.transpose(2, 0, 1), white, out=image[0], casting="same_kind")
    return image
