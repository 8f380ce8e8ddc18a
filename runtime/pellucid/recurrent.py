"""A stream restored in a chain: one pass a frame, each from the last frame's result.

The sampler's calls are spread over time. A file for frames (`allinone-NAME-frames.onnx`) takes the
last result, carried along the motion, beside the frame, and goes on from there; at the first frame
of a shot there is none, so that one is restored as a photo.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .degradations import BLIND, Choice
from .motion import PreviousOutput
from .restorer import MODELS, Restorer


def find_frames(model: str | Path) -> Path | None:
    """The bundled file for frames of a bundled model's name; None if there is none."""
    path = MODELS / f"allinone-{model}-frames.onnx"
    return path if path.is_file() else None


class Chain:
    """Restores frames in order. photos: for first frames. frames: a Restorer of a file for frames.

    >>> chain = Chain(Restorer("tiny"), Restorer(find_frames("tiny")))
    >>> chain.restore(pixels, scene, anew=smoother.started_anew)
    """

    def __init__(self, photos: Restorer, frames: Restorer) -> None:
        self._photos, self._frames = photos, frames
        self.last = PreviousOutput()

    def restore(
        self,
        pixels: NDArray[Any],
        scene: NDArray[np.float32],
        anew: bool,
        choice: Choice = BLIND,
    ) -> None:
        """Restore one frame in place, (H, W, 3) RGB as for Restorer.

        scene: (scene_size,), smoothed. anew: a shot begins; another size begins one by itself.
        choice: what is restored.
        """
        state = self.last.carried_to(pixels, anew)
        if state is None:
            self._photos.restore_pixels(pixels, scene=scene, choice=choice)
        else:
            self._frames.restore_pixels(pixels, scene=scene, state=state, choice=choice)
        self.last.keep(pixels.copy())
