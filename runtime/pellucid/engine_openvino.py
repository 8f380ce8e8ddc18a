"""OpenVINO around an exported restorer: .onnx files and OpenVINO IR (.xml)."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .card import KEY, ModelCard, read_card
from .engine import STATE, check_size, check_state, default_threads
from .engine_openvino_frames import FrameGraphs
from .errors import ModelError, PhotoError
from .estimator import KEY as ESTIMATOR_KEY
from .estimator import Estimator, open_estimator, with_amounts
from .multiple import find_multiple, pad
from .scene import measure_scene
from .session import session_options
from .thumbnail import GRID, MAPS, WINDOW, Place, WholePath, open_whole_path
from .thumbnail import KEY as THUMBNAIL_KEY

if TYPE_CHECKING:
    import openvino

SCENE = "scene"


class OpenVinoEngine:
    """A restorer graph on an OpenVINO device, with the interface of `Engine`.

    device: "CPU", "GPU", "NPU", ... as OpenVINO names them.
    precision: INFERENCE_PRECISION_HINT. Without "f32", CPUs with AMX compute in bfloat16.
    Raises ModelError if openvino is absent or the file is no such model.
    One call at a time, like ONNX Runtime's engine.
    """

    def __init__(
        self, path: Path, threads: int | None = None, device: str = "CPU", precision: str = "f32"
    ) -> None:
        try:
            import openvino
        except ImportError as error:
            raise ModelError(
                "the engine openvino is not installed: pip install 'pellucid[openvino]'"
            ) from error
        if threads is not None and threads < 1:
            raise ModelError(f"threads must be at least 1, got {threads}")
        self._device = device
        self._threads = threads or default_threads()
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if device == "CPU":  # other devices refuse the setting
            self._settings["INFERENCE_NUM_THREADS"] = self._threads
        self._core = openvino.Core()
        try:
            self._model: openvino.Model = self._core.read_model(path)
        except Exception as error:  # OpenVINO raises plain RuntimeError
            raise ModelError(f"{path}: not a model OpenVINO can load ({_reason(error)})") from error
        self._metadata = metadata_of(self._model)
        self.card: ModelCard = read_card(self._metadata, path.stem)
        self.takes_state = _check_ports(self._model, path)
        self._no_scene = None
        if self.card.scene_size > 0:
            self._no_scene = open_port(openvino, self._model, SCENE, [1, self.card.scene_size])
        self.takes_scene = self._no_scene is not None
        if THUMBNAIL_KEY in self._metadata:
            open_port(openvino, self._model, MAPS, [1, 6, GRID, GRID])
            open_port(openvino, self._model, WINDOW, [1, 4])
        pictures = 2 if self.takes_state else 1
        self._frames = FrameGraphs(self._model, pictures, self._compile, device == "CPU")
        self._request: Any = None

    @cached_property
    def estimator(self) -> Estimator | None:
        """As `Engine.estimator`, by ONNX Runtime on the CPU whatever the device is."""
        options = session_options(self._threads)
        return open_estimator(self._metadata, self.card.degradations, options)

    @cached_property
    def whole_path(self) -> WholePath | None:
        """As `Engine.whole_path`, by ONNX Runtime on the CPU."""
        return open_whole_path(self._metadata, session_options(self._threads))

    def run(
        self,
        image: NDArray[np.float32],
        scene: NDArray[np.float32] | None,
        state: NDArray[np.float32] | None = None,
        place: Place | None = None,
    ) -> NDArray[np.float32]:
        """(1, 3, H, W) -> (1, 3, sH, sW), s the card's scale; scene (scene_size,) or None to
        measure it; state (1, 3, H, W) for files that take one; place as of `Engine.run`."""
        check_state(self.card, self.takes_state, state is not None)
        try:
            if self._request is None:  # live video never needs this graph
                self._request = self._compile(self._model)
            pixels = image[0].transpose(1, 2, 0)
            scene = self._scene_of(pixels, scene)
            place = place or self._whole(pixels, scene)
            fed = pad(image, self.size_multiple, (2, 3))
            last = None if state is None else pad(state, self.size_multiple, (2, 3))
            restored = self._infer(self._request, fed, scene, last, place)
        except Exception as error:
            raise self._failed(error, image.shape[3], image.shape[2]) from error
        if self.size_multiple > 1:
            restored = restored[..., : image.shape[2], : image.shape[3]]
        check_size(self.card, image.shape[2:], restored.shape)
        return np.asarray(restored, dtype=np.float32)

    @cached_property
    def size_multiple(self) -> int:
        """As `Engine.size_multiple`."""
        free = self._model.input(0).get_partial_shape().is_dynamic
        return find_multiple(self._takes) if free and KEY not in self._metadata else 1

    def _takes(self, side: int) -> bool:
        blank = np.zeros((1, 3, side, side), np.float32)
        try:
            request = self._request = self._request or self._compile(self._model)
            made = self._infer(request, blank, None, blank if self.takes_state else None)
        except Exception:  # of whatever kind: this size is not taken
            return False
        return made.shape == blank.shape

    def run_frame(
        self,
        frame: NDArray[np.uint8],
        scene: NDArray[np.float32] | None = None,
        state: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """(H, W, 3) RGB -> (sH, sW, 3), s the card's scale; scene as in `run`, state (H, W, 3) for
        files that take one.

        Types, layout, scaling, clipping and rounding are part of the graph. Raises PhotoError for
        anything else than such a frame.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or frame.size == 0:
            raise PhotoError(f"expected an (H, W, 3) uint8 frame, got {frame.shape} {frame.dtype}")
        size = (frame.shape[0], frame.shape[1])
        check_state(self.card, self.takes_state, state is not None)
        fed = pad(frame, self.size_multiple, (0, 1))
        last = None if state is None else pad(state, self.size_multiple, (0, 1))[None]
        try:
            scene = self._scene_of(frame, scene)
            request = self._frames.request((fed.shape[0], fed.shape[1]))
            restored = self._infer(request, fed[None], scene, last, self._whole(frame, scene))[0]
        except Exception as error:
            raise self._failed(error, size[1], size[0]) from error
        if self.size_multiple > 1:
            restored = restored[: size[0], : size[1]]
        check_size(self.card, size, (1, 3, *restored.shape[:2]))
        return np.asarray(restored, np.uint8)

    def expect_frames(self, size: tuple[int, int] | None = None) -> None:
        """Get ready for frames of any size, or begin to in the background for frames of (H, W)."""
        if size is None:
            self._frames.for_any_size()
        else:
            multiple = self.size_multiple
            self._frames.expect((size[0] + -size[0] % multiple, size[1] + -size[1] % multiple))

    def _scene_of(
        self, pixels: NDArray[Any], scene: NDArray[np.float32] | None
    ) -> NDArray[np.float32] | None:
        """What is fed: `scene`, completed, or else the graph's default, measured here if the
        default says so (negative entries)."""
        if scene is not None:
            return with_amounts(scene, self.card.scene_size, pixels, self.estimator)
        if self._no_scene is None or self._no_scene.min() >= 0.0:
            return self._no_scene
        return with_amounts(measure_scene(pixels), self.card.scene_size, pixels, self.estimator)

    def _whole(self, pixels: NDArray[Any], scene: NDArray[np.float32] | None) -> Place | None:
        """The place of a picture that is the whole one; None for files that take none."""
        if self.whole_path is None or scene is None:
            return None
        return Place.of(self.whole_path.maps(pixels, scene), 0, 0, pixels.shape[:2])

    def _compile(self, model: "openvino.Model") -> Any:
        compiled = self._core.compile_model(model, self._device, self._settings)
        return compiled.create_infer_request()

    def _infer(
        self,
        request: Any,
        picture: NDArray[Any],
        scene: NDArray[np.float32] | None,
        state: NDArray[Any] | None,
        place: Place | None = None,
    ) -> NDArray[Any]:
        feeds: list[NDArray[Any]] = [np.ascontiguousarray(picture)]
        if state is not None:
            feeds.append(np.ascontiguousarray(state))
        if self.takes_scene and scene is not None:
            feeds.append(np.ascontiguousarray(scene.reshape(1, -1), np.float32))
        if place is not None:
            feeds += [place.maps, place.window]
        # The result is copied: the next call would write over it.
        result = request.infer(feeds, share_inputs=True, share_outputs=False)
        return np.asarray(result[0])

    def _failed(self, error: Exception, width: int, height: int) -> ModelError:
        return ModelError(
            f"{self.card.id} failed on a {width}x{height} picture on OpenVINO's {self._device}: "
            f"{_reason(error)}"
        )


def metadata_of(model: "openvino.Model") -> dict[str, str]:
    """Card, estimator and what makes maps as text: below `framework` for ONNX files, below
    `model_info` for pellucid's IR."""
    found = {}
    for key in (KEY, ESTIMATOR_KEY, THUMBNAIL_KEY):
        for place in (["framework", key], ["model_info", key], [key]):
            if key not in found and model.has_rt_info(place):
                found[key] = str(model.get_rt_info(place).astype(str))
    return found


def open_port(
    ov: Any, model: "openvino.Model", name: str, shape: list[int]
) -> NDArray[np.float32] | None:
    """Make `scene`, or another optional input, the model's last input; its default value, or None
    if there is none of that name and shape.

    OpenVINO has no inputs with defaults: its reader turns ONNX's overridable initializer into a
    constant, and every tile would measure a scene of its own. Where the graph chooses between the
    given code and one that it measures, the port takes the choice's place: nothing is measured.
    """
    made = [node.output(0) for node in model.get_ordered_ops() if len(node.outputs()) == 1]
    fitting = [out for out in made if out.get_partial_shape() == ov.PartialShape(shape)]
    held = [out for out in fitting if _is_constant(out) and name in out.get_names()]
    if not held:
        return None
    choices = [out for out in fitting if out.get_node().get_type_name() in ("If", "Select")]
    place = (choices or held)[0]
    port = ov.opset13.parameter(shape, ov.Type.f32, name)
    for target in place.get_target_inputs():
        target.replace_source_output(port.output(0))
    default = np.array(held[0].get_node().data, np.float32)
    held[0].set_names(set())
    port.output(0).set_names({name})
    model.add_parameters([port])
    model.validate_nodes_and_infer_types()
    return default


def _is_constant(output: Any) -> bool:
    return bool(output.get_node().get_type_name() == "Constant")


def _check_ports(model: "openvino.Model", path: Path) -> bool:
    """Whether there is a state; ModelError unless there is one float32 picture input besides it and
    one output."""
    takes_state = len(model.inputs) == 2 and STATE in model.input(1).get_names()
    found = ", ".join(
        f"{p.get_element_type().get_type_name()} {p.get_partial_shape()}" for p in model.inputs
    )
    if len(model.inputs) != 1 + takes_state or len(model.outputs) != 1:
        raise ModelError(
            f"{path.name}: expected one picture input (1, 3, H, W) and one output, got {found}"
        )
    shape, kind = model.input(0).get_partial_shape(), model.input(0).get_element_type()
    fits = len(shape) == 4 and (shape[1].is_dynamic or shape[1].get_length() == 3)
    if not fits or kind.get_type_name() != "f32":
        raise ModelError(f"{path.name}: expected float32 RGB (1, 3, H, W), got {found}")
    return takes_state


def _reason(error: Exception) -> str:
    """The last informative line: OpenVINO names its own source files first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
