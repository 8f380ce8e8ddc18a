"""One ONNX Runtime session around an exported restorer."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .card import KEY, ModelCard, read_card
from .errors import ModelError
from .estimator import Estimator, open_estimator, with_amounts
from .multiple import find_multiple, pad
from .session import first_line, open_session, session_options
from .thumbnail import MAPS, WINDOW, Place, WholePath, open_whole_path

if TYPE_CHECKING:
    import onnxruntime


STATE = "state"


def default_threads() -> int:
    """Half of the usable cores, at most 4, but both of two: a laptop stays usable."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return cores if cores <= 2 else min(4, cores // 2)


class Engine:
    """A restorer graph: float32 RGB in [0, 1], (1, 3, H, W) -> (1, 3, sH, sW), s the card's scale.

    Any ONNX file with one such input and output works; those written by pellucid carry a card.
    A file for frames has a second picture input, `state`: the last result, carried along.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ModelError(f"threads must be at least 1, got {threads}")
        self._threads = threads or default_threads()
        self._session = open_session(path, self._threads, path)
        self._metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self.card: ModelCard = read_card(self._metadata, path.stem)
        self._input, self._output, self.takes_state = _picture_ports(self._session, path)
        optional = [port.name for port in self._session.get_overridable_initializers()]
        self.takes_scene = self.card.scene_size > 0 and "scene" in optional

    @cached_property
    def estimator(self) -> Estimator | None:
        """What measures the amounts of `card.degradations`; None for files without one."""
        options = session_options(self._threads)
        return open_estimator(self._metadata, self.card.degradations, options)

    @cached_property
    def whole_path(self) -> WholePath | None:
        """What makes the maps of a `Place`; None for files that take none."""
        return open_whole_path(self._metadata, session_options(self._threads))

    @cached_property
    def size_multiple(self) -> int:
        """What the sides of pictures must be multiples of; `run` pads. Pellucid's own files take
        any size; others are tried."""
        return 1 if KEY in self._metadata or self._fixed_size() else find_multiple(self._takes)

    def _takes(self, side: int) -> bool:
        import onnxruntime

        quiet = onnxruntime.RunOptions()
        quiet.log_severity_level = 4  # failures are what is looked for
        blank = np.zeros((1, 3, side, side), np.float32)
        feeds = {self._input: blank} | ({STATE: blank} if self.takes_state else {})
        try:
            made = self._session.run([self._output], feeds, quiet)[0]
        except Exception:  # of whatever kind: this size is not taken
            return False
        return bool(made.shape == blank.shape)

    def _fixed_size(self) -> str:
        """What to tell of a graph that takes one size only; empty for others."""
        height, width = self._session.get_inputs()[0].shape[2:]
        if not isinstance(height, int) or not isinstance(width, int):
            return ""
        return f"it takes {width}x{height} only; export it with free height and width"

    def run(
        self,
        image: NDArray[np.float32],
        scene: NDArray[np.float32] | None,
        state: NDArray[np.float32] | None = None,
        place: Place | None = None,
    ) -> NDArray[np.float32]:
        """(1, 3, H, W) -> (1, 3, sH, sW), s the card's scale.

        scene: (scene_size,), the statistics alone, whose amounts are then measured on `image`, or
        None to measure all in the graph.
        state: (1, 3, H, W), for files that take one and only for them.
        place: of an image that is a part of a picture, for files with a `whole_path`.
        """
        check_state(self.card, self.takes_state, state is not None)
        feeds = {self._input: pad(image, self.size_multiple, (2, 3))}
        if state is not None:
            feeds[STATE] = pad(state, self.size_multiple, (2, 3))
        if scene is not None and self.takes_scene:
            pixels = image[0].transpose(1, 2, 0)
            scene = with_amounts(scene, self.card.scene_size, pixels, self.estimator)
            feeds["scene"] = scene.reshape(1, -1)
        if place is not None:
            feeds |= {MAPS: place.maps, WINDOW: place.window}
        try:
            restored = self._session.run([self._output], feeds)[0]
        except Exception as error:
            if "allocate memory" in str(error) or "bad_alloc" in str(error):
                raise MemoryError(first_line(error)) from error
            raise ModelError(
                f"{self.card.id} failed on a {image.shape[3]}x{image.shape[2]} picture: "
                f"{self._fixed_size() or first_line(error)}"
            ) from error
        if self.size_multiple > 1:
            restored = restored[..., : image.shape[2], : image.shape[3]]
        check_size(self.card, image.shape[2:], restored.shape)
        return np.asarray(restored, dtype=np.float32)


def check_state(card: ModelCard, wanted: bool, given: bool) -> None:
    """ModelError where a file for frames gets no last result, or another one gets some."""
    if wanted and not given:
        raise ModelError(
            f"{card.id} restores frames from the last one's result, not single photos; "
            "use one of the files that end in step"
        )
    if given and not wanted:
        raise ModelError(f"{card.id} restores each picture for itself; it takes no state")


def check_size(card: ModelCard, size: tuple[int, ...], made: tuple[int, ...]) -> None:
    """ModelError unless a picture of (height, width) became (1, 3, height, width) times scale."""
    height, width = (card.scale * side for side in size)
    if made != (1, 3, height, width):
        raise ModelError(
            f"{card.id} turned a {size[1]}x{size[0]} picture into an array {made}; expected "
            f"{(1, 3, height, width)}: its card says scale {card.scale}"
        )


def _picture_ports(session: "onnxruntime.InferenceSession", path: Path) -> tuple[str, str, bool]:
    """Names of the picture input and output, and whether there is a state; ModelError if there is
    not exactly one of each."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    has_state = [port.name for port in inputs[1:]] == [STATE]
    if has_state:
        inputs = inputs[:1]
    found = ", ".join(f"{p.name} {p.type} {p.shape}" for p in inputs)
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4:
        raise ModelError(
            f"{path.name}: expected one picture input (1, 3, H, W) and one output, got {found}"
        )
    if inputs[0].type != "tensor(float)" or inputs[0].shape[1] != 3:
        raise ModelError(f"{path.name}: expected float32 RGB (1, 3, H, W), got {found}")
    return inputs[0].name, outputs[0].name, has_state
