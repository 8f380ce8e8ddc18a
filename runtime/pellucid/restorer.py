"""Restorer: one model, any picture."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from .arrays import check_pixels, check_state, to_planes
from .blend import Blend, to_type
from .bundled import MODELS as MODELS
from .bundled import bundled_names as bundled_names
from .bundled import find_model as find_model
from .card import ModelCard
from .degradations import BLIND, Choice, Fix, Found, read_choice
from .engine_choice import model_digest, open_engine
from .errors import ModelError, PhotoError
from .estimator import Estimator, with_amounts
from .guards import Shown, hold_highlights, keep_colour, shown_part
from .image.exif import without_thumbnail
from .image.header import EXIF
from .image.light import restore_coded
from .image.photo import Photo, read_photo
from .image.scratch import IN_MEMORY_BYTES, copy_picture
from .steps import MOST_STEPS, Scene, measure_of, mix, refine
from .thumbnail import Place
from .tiles import Tiling, plan

FOREIGN_OVERLAP = 64  # px, for models that do not tell their receptive field
# Peak working memory of a pass for one pixel of its window, measured on the bundled models.
BYTES_PER_PIXEL = 290
SHARE_BESIDE_STRIPS = 0.6  # of memory_mb, for the network: strips of large pictures take the rest

Array = NDArray[Any]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Treatment:
    """What becomes of the network's answers for one picture.

    grey: only luma is restored. hold: nothing becomes white that was not. strength: the share of
    the way from the input to the restored picture.
    """

    grey: bool
    hold: bool
    strength: float


class Restorer:
    """Restores pictures with a bundled model or any exported file.

    model: a bundled name ("tiny") or the path of an .onnx file or an OpenVINO .xml file.
    steps: calls of the model, 1 to 3; each costs as much again (steps.py). None takes the card's.
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
        steps: int | None = None,
        threads: int | None = None,
        memory_mb: int = 360,
        engine: str = "auto",
    ) -> None:
        if memory_mb < 50:
            raise ModelError(f"memory_mb must be at least 50, got {memory_mb}")
        if steps is not None and not 1 <= steps <= MOST_STEPS:
            raise ModelError(f"steps must be 1 to {MOST_STEPS}, got {steps}")
        path = find_model(model)
        self._engine = open_engine(path, threads, engine)
        self.digest = model_digest(path)
        card = self._engine.card
        alone = card.steps > 1 or self._engine.takes_state
        self.steps = steps or (1 if alone else card.default_steps)
        steps = self.steps
        card.check_keeps_size()
        if card.steps > 1 and steps > 1:
            raise ModelError(f"{card.id} makes {card.steps} steps by itself; leave steps away")
        if self._engine.takes_state and steps > 1:
            raise ModelError(f"{card.id} makes one step a frame; leave steps away")
        self._window_pixels = memory_mb * 1_000_000 // BYTES_PER_PIXEL
        self.exact_tiles = card.receptive_field is not None
        reach = FOREIGN_OVERLAP if card.receptive_field is None else card.receptive_field
        self._tiling = plan(reach, card.tile_multiple, self._window_pixels)
        smaller = int(SHARE_BESIDE_STRIPS * self._window_pixels)
        self._tiling_of_large = plan(reach, card.tile_multiple, smaller)

    @property
    def card(self) -> ModelCard:
        """What the model says about itself."""
        return self._engine.card

    @property
    def estimator(self) -> Estimator | None:
        """What measures the amounts of degradations; None for a model without one."""
        return self._engine.estimator

    @overload
    def __call__(
        self,
        image: str | Path | bytes,
        strength: float = 1.0,
        *,
        fix: Fix | None = None,
        ignore: str | Iterable[str] | None = None,
    ) -> Photo: ...
    @overload
    def __call__(
        self,
        image: Array,
        strength: float = 1.0,
        *,
        fix: Fix | None = None,
        ignore: str | Iterable[str] | None = None,
    ) -> Array: ...
    def __call__(
        self,
        image: str | Path | bytes | Array,
        strength: float = 1.0,
        *,
        fix: Fix | None = None,
        ignore: str | Iterable[str] | None = None,
    ) -> Photo | Array:
        """Restore a picture.

        A path or a file's bytes give a Photo, with metadata, to `.save()`; its `found` says what
        was wrong. An array gives an array of the same shape and type: (H, W), (H, W, 3) RGB or
        (H, W, 4) RGBA; uint8, uint16 or float in [0, 1]. strength 0..1 blends from the input to
        the restored picture.

        fix: what to restore, instead of what is found: "rain,haze", {"rain": 0.5} with the amount,
        "all" for as much of each as is measured. ignore: what to leave: "blur".
        A picture in which nothing is found, and for which nothing is asked, comes back unchanged.
        Raises PellucidError for unknown names, and with a model that has no estimator.
        """
        choice = read_choice(fix, ignore)
        if isinstance(image, np.ndarray):
            pixels = image.copy()
            self.restore_pixels(pixels, strength, choice=choice)
            return pixels
        return self.restore_photo(_read(image), strength, choice=choice)

    def look(self, image: str | Path | bytes | Array | Photo) -> Found:
        """What is wrong with a picture, given as a call takes it or as a Photo; it is not changed.

        Raises ModelError with a model that has no estimator.
        """
        estimator = self.estimator
        if estimator is None:
            raise ModelError(
                f"{self.card.id} has no degradation estimator; use a bundled model, or export "
                "yours again with this pellucid"
            )
        found = self._nothing()

        def look(pixels: Array) -> bool:
            nonlocal found
            check_pixels(pixels, 1.0)
            with shown_part(pixels) as shown:
                if shown is not None:
                    found = Found.of(self.card.degradations, estimator.amounts(shown.colour))
            return False  # nothing was changed

        if isinstance(image, np.ndarray):
            look(image.copy() if image.ndim == 3 else image)  # hidden pixels are filled meanwhile
        else:
            photo = image if isinstance(image, Photo) else _read(image)
            restore_coded(photo.pixels, photo.metadata, look)
        return found

    def restore_photo(
        self,
        photo: Photo,
        strength: float = 1.0,
        progress: Progress | None = None,
        choice: Choice = BLIND,
    ) -> Photo:
        """Restore a photo in place and return it, with `found`. Metadata stay, but for EXIF's
        thumbnail: it would go on showing the degraded picture in file browsers."""
        left = False

        def restore(pixels: Array) -> bool:
            nonlocal left
            photo.found = self.restore_pixels(pixels, strength, progress, choice=choice)
            left = choice.leaves(photo.found)
            return not left

        notes = restore_coded(photo.pixels, photo.metadata, restore)
        photo.notes += tuple(note for note in notes if note not in photo.notes)
        if EXIF in photo.metadata and not left:
            photo.metadata[EXIF] = without_thumbnail(photo.metadata[EXIF])
        return photo

    def restore_pixels(
        self,
        pixels: Array,
        strength: float = 1.0,
        progress: Progress | None = None,
        scene: Scene | None = None,
        state: Array | None = None,
        choice: Choice = BLIND,
    ) -> Found | None:
        """Restore an array in place, tile by tile; `progress(done, total)` after each tile.

        scene: (scene_size,), of a stream of frames (temporal.py); None measures it on the picture.
        It is the first call's, later ones measure what they see.
        state: the last result as it would look now, like `pixels` (recurrent.py); for files that
        take one and only for them.
        choice: what is to be restored. Returns what was found; None if the model has no estimator
        or strength is 0.
        Black bars, pixels at alpha 0 and pictures of one flat colour stay as they are; what is grey
        in a colour picture stays grey; nothing becomes white that was not, unless darkness is
        restored (guards.py).
        Working in place, and on scratch files for what is large (scratch.py), lets a photo of 108
        megapixels pass in half a gigabyte.
        Raises PhotoError for arrays that are no picture.
        """
        check_pixels(pixels, strength)
        choice.check(self.card.degradations, self.card.id)
        check_state(pixels, state)
        if strength == 0.0:
            return None
        with shown_part(pixels) as shown:
            if shown is None:
                return self._nothing() if self.card.degradations else None
            last = None if state is None else state[shown.rows, shown.cols]
            if scene is None:
                scene = measure_of(shown.colour, shown.visible)
            scene = self._with_amounts(scene, shown.colour)
            found = Found.in_scene(self.card.degradations, scene)
            if not choice.leaves(found):
                hold = found is not None and not choice.brightens(found)
                treatment = _Treatment(shown.grey, hold, strength)
                self._restore_shown(shown, scene, last, choice, treatment, progress)
            return found

    def _restore_shown(
        self,
        shown: Shown,
        scene: Scene,
        state: Array | None,
        choice: Choice,
        treatment: _Treatment,
        progress: Progress | None,
    ) -> None:
        """All calls, in place; `restore_pixels` says the rest."""
        colour, strength = shown.colour, treatment.strength

        def tell(scene: Scene) -> Scene:
            return choice.tell(scene, self.card.degradations)

        if self.steps == 1:
            self._call(colour, treatment, tell(scene), state, progress)
            return
        given, whole = copy_picture(colour), replace(treatment, strength=1.0)

        def report(call: int) -> Progress | None:
            if progress is None:
                return None
            steps, each = self.steps, progress
            return lambda done, total: each(call * total + done, steps * total)

        def measure(picture: Array) -> Scene:
            return self._with_amounts(measure_of(picture, shown.visible), picture)

        def restore(picture: Array, scene: Scene, call: int) -> Array:
            self._call(picture, whole, tell(scene), None, report(call))
            return picture

        self._call(colour, whole, tell(scene), state, report(0))
        estimate = refine(given, colour, self.steps, restore, measure)
        colour[...] = estimate if strength == 1.0 else mix(given, estimate, strength)

    def _nothing(self) -> Found:
        return Found(dict.fromkeys(self.card.degradations, 0.0))

    def _with_amounts(self, scene: Scene, colour: Array) -> Scene:
        """What the model takes: `scene`, with the amounts measured on the picture if they lack."""
        return with_amounts(scene, self.card.scene_size, colour, self.estimator)

    def _call(
        self,
        colour: Array,
        treatment: _Treatment,
        scene: Scene,
        state: Array | None,
        progress: Progress | None,
    ) -> None:
        """One call of the network, in place, (H, W, 3 or 1); `restore_pixels` says the rest."""
        height, width = colour.shape[:2]
        tiling = self._tiling_of_large if colour.nbytes > IN_MEMORY_BYTES else self._tiling
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
        whole = self._engine.whole_path
        maps = None if whole is None else whole.maps(colour, scene)
        for index, row in enumerate(rows):
            bottom = row.reach_stop - row.reach_start
            strip[row.inside.start : bottom] = colour[row.start : row.reach_stop]
            for number, col in enumerate(cols):
                window = strip[:bottom, col.reach_start : col.reach_stop]
                last = None
                if state is not None:
                    reach = slice(row.reach_start, row.reach_stop)
                    last = to_planes(state[reach, col.reach_start : col.reach_stop])
                place = None
                if maps is not None:
                    place = Place.of(maps, row.reach_start, col.reach_start, (height, width))
                restored = self._restore_window(window, treatment, scene, last, place)
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
        treatment: _Treatment,
        scene: Scene,
        state: NDArray[np.float32] | None,
        place: Place | None,
    ) -> NDArray[np.float32]:
        """One window restored, (h, w, 3 or 1) in [0, 1]; state (1, 3, h, w)."""
        image = to_planes(window)
        restored = self._engine.run(image, scene, state, place)[0]
        if treatment.grey:
            restored = keep_colour(image[0], restored)
        if treatment.hold:
            restored = hold_highlights(image[0], restored)
        if treatment.strength != 1.0:
            restored = image[0] + np.float32(treatment.strength) * (restored - image[0])
        restored = restored[: window.shape[2]]
        return np.asarray(restored.transpose(1, 2, 0))


def _read(image: str | Path | bytes) -> Photo:
    if not isinstance(image, str | Path | bytes):
        raise PhotoError(
            f"expected an array, a path or a file's bytes, got {type(image).__name__}; "
            "numpy.asarray makes an array of a PIL image"
        )
    return read_photo(image)
