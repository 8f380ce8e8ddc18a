"""OpenVINO around an exported restorer: .onnx files and OpenVINO IR (.xml)."""

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .card import KEY, ModelCard, read_card
from .engine import STATE, check_state, default_threads
from .errors import ModelError, PhotoError

if TYPE_CHECKING:
    import openvino

SCENE = "scene"
KEPT_FRAME_SIZES = 4  # compiled graphs; a live stream moves between a few sizes


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
        self._openvino: Any = openvino
        self._device = device
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if device == "CPU":  # other devices refuse the setting
            self._settings["INFERENCE_NUM_THREADS"] = threads or default_threads()
        self._core = openvino.Core()
        try:
            self._model: openvino.Model = self._core.read_model(path)
        except Exception as error:  # OpenVINO raises plain RuntimeError
            raise ModelError(f"{path}: not a model OpenVINO can load ({_reason(error)})") from error
        self.card: ModelCard = read_card(metadata_of(self._model), path.stem)
        self.takes_state = _check_ports(self._model, path)
        self._no_scene = _open_scene_port(openvino, self._model, self.card.scene_size)
        self.takes_scene = self._no_scene is not None
        self._frames: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._request: Any = None

    def run(
        self,
        image: NDArray[np.float32],
        scene: NDArray[np.float32] | None,
        state: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """(1, 3, H, W) -> (1, 3, H, W); scene (scene_size,) or None to measure it in the graph;
        state (1, 3, H, W) for files that take one."""
        check_state(self.card, self.takes_state, state is not None)
        try:
            if self._request is None:  # live video never needs this graph
                self._request = self._compile(self._model)
            restored = self._infer(self._request, image, scene, state)
        except Exception as error:
            raise self._failed(error, image.shape[3], image.shape[2]) from error
        if restored.shape != image.shape:
            raise ModelError(
                f"{self.card.id} turned a {image.shape} array into {restored.shape}; "
                "pellucid runs models whose output has the size of their input"
            )
        return np.asarray(restored, dtype=np.float32)

    def run_frame(
        self,
        frame: NDArray[np.uint8],
        scene: NDArray[np.float32] | None = None,
        state: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """(H, W, 3) RGB -> (H, W, 3); scene as in `run`, state (H, W, 3) for files that take one.

        Types, layout, scaling, clipping and rounding are part of the graph. The first frame of a
        size compiles a graph for it. Raises PhotoError for anything else than such a frame.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or frame.size == 0:
            raise PhotoError(f"expected an (H, W, 3) uint8 frame, got {frame.shape} {frame.dtype}")
        size = (frame.shape[0], frame.shape[1])
        check_state(self.card, self.takes_state, state is not None)
        last = None if state is None else state[None]
        try:
            if size not in self._frames:
                self._frames[size] = self._compile(self._frame_model(*size))
                if len(self._frames) > KEPT_FRAME_SIZES:
                    self._frames.popitem(last=False)
            self._frames.move_to_end(size)
            restored = self._infer(self._frames[size], frame[None], scene, last)[0]
        except Exception as error:
            raise self._failed(error, size[1], size[0]) from error
        if restored.shape != frame.shape:
            raise ModelError(
                f"{self.card.id} turned a {frame.shape} frame into {restored.shape}; "
                "pellucid runs models whose output has the size of their input"
            )
        return np.asarray(restored, np.uint8)

    def _compile(self, model: "openvino.Model") -> Any:
        compiled = self._core.compile_model(model, self._device, self._settings)
        return compiled.create_infer_request()

    def _infer(
        self,
        request: Any,
        picture: NDArray[Any],
        scene: NDArray[np.float32] | None,
        state: NDArray[Any] | None,
    ) -> NDArray[Any]:
        feeds: list[NDArray[Any]] = [np.ascontiguousarray(picture)]
        if state is not None:
            feeds.append(np.ascontiguousarray(state))
        if self._no_scene is not None:
            fed = self._no_scene if scene is None else scene.reshape(self._no_scene.shape)
            feeds.append(np.ascontiguousarray(fed, np.float32))
        # The result is copied: the next call would write over it.
        result = request.infer(feeds, share_inputs=True, share_outputs=False)
        return np.asarray(result[0])

    def _frame_model(self, height: int, width: int) -> "openvino.Model":
        """uint8 NHWC in and out at one size."""
        ov, ops = self._openvino, self._openvino.opset13
        model = self._model.clone()
        pictures = 2 if self.takes_state else 1
        model.reshape(dict.fromkeys(range(pictures), [1, 3, height, width]))
        restored = model.output(0).get_node().input_value(0)
        levels = ops.multiply(ops.clamp(restored, 0.0, 1.0), np.float32(255.0))
        levels = ops.round(levels, "half_to_even")
        model = ov.Model([levels.output(0)], model.get_parameters(), model.get_friendly_name())
        return with_byte_ports(ov, model, pictures)

    def _failed(self, error: Exception, width: int, height: int) -> ModelError:
        return ModelError(
            f"{self.card.id} failed on a {width}x{height} picture on OpenVINO's {self._device}: "
            f"{_reason(error)}"
        )


def with_byte_ports(openvino: Any, model: "openvino.Model", pictures: int = 1) -> "openvino.Model":
    """uint8 NHWC ports for a graph of planes: input scaled to [0, 1], output already in levels.

    pictures: how many of the first inputs are pictures."""
    steps = openvino.preprocess.PrePostProcessor(model)
    byte, pixels, planes = openvino.Type.u8, openvino.Layout("NHWC"), openvino.Layout("NCHW")
    for taken in (steps.input(index) for index in range(pictures)):
        taken.tensor().set_element_type(byte).set_layout(pixels)
        taken.model().set_layout(planes)
        taken.preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    given = steps.output(0)
    given.model().set_layout(planes)
    given.tensor().set_element_type(byte).set_layout(pixels)
    built: openvino.Model = steps.build()
    return built


def metadata_of(model: "openvino.Model") -> dict[str, str]:
    """The card's text: below `framework` for ONNX files, below `model_info` for pellucid's IR."""
    for place in (["framework", KEY], ["model_info", KEY], [KEY]):
        if model.has_rt_info(place):
            return {KEY: str(model.get_rt_info(place).astype(str))}
    return {}


def _open_scene_port(
    ov: Any, model: "openvino.Model", scene_size: int
) -> NDArray[np.float32] | None:
    """Make `scene` the model's second input; its default value, or None if there is no scene.

    OpenVINO has no inputs with defaults: its reader turns ONNX's overridable initializer into a
    constant, and every tile would measure a scene of its own.
    """
    if scene_size == 0:
        return None
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or list(node.output(0).shape) != [1, scene_size]:
            continue
        if SCENE not in node.output(0).get_names():
            continue
        default = np.array(node.data, np.float32)
        port = ov.opset13.parameter([1, scene_size], ov.Type.f32, SCENE)
        for target in node.output(0).get_target_inputs():
            target.replace_source_output(port.output(0))
        node.output(0).set_names(set())
        port.output(0).set_names({SCENE})
        model.add_parameters([port])
        model.validate_nodes_and_infer_types()
        return default
    return None


def _check_ports(model: "openvino.Model", path: Path) -> bool:
    """Whether there is a state; ModelError unless there is one float32 picture input besides it and
    one output."""
    takes_state = len(model.inputs) == 2 and STATE in model.input(1).get_names()
    told = ", ".join(
        f"{p.get_element_type().get_type_name()} {p.get_partial_shape()}" for p in model.inputs
    )
    if len(model.inputs) != 1 + takes_state or len(model.outputs) != 1:
        raise ModelError(
            f"{path.name}: expected one picture input (1, 3, H, W) and one output, got {told}"
        )
    shape, kind = model.input(0).get_partial_shape(), model.input(0).get_element_type()
    fits = len(shape) == 4 and (shape[1].is_dynamic or shape[1].get_length() == 3)
    if not fits or kind.get_type_name() != "f32":
        raise ModelError(f"{path.name}: expected float32 RGB (1, 3, H, W), got {told}")
    return takes_state


def _reason(error: Exception) -> str:
    """The last told line: OpenVINO names its own source files first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
