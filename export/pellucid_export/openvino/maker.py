"""OpenVINO IR: float32, float16 weights, int8 by NNCF; 8-bit pictures in and out if asked for."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pellucid.engine_openvino_frames import with_byte_ports
from pellucid.size import Size

from ..card import KEY
from ..onnx.file import Run, from_levels, to_levels, whole_picture_graphs
from ..onnx.maker import SUFFIX, OnnxMaker, tail
from ..sensitivity import layer_of
from ..source import ExportSource
from ..thresholds import ExportError

if TYPE_CHECKING:
    import openvino

# Only convolutions gain from int8. Their inputs stay quantised through ReLU by NNCF's own rules.
QUANTISED_TYPE = "Convolution"


class OpenVinoMaker:
    """Writes openvino/openvino_model.xml and .bin, the names optimum-intel looks for.

    OpenVINO has no inputs with defaults, and a second input would have to be fed by every program.
    So what is optional is a constant of that name, "measure it", which pellucid's runtime turns
    into an input when it loads the file. All others see one input, and their compiler folds it.
    """

    def __init__(self, source: ExportSource, onnx_maker: OnnxMaker) -> None:
        try:
            import nncf
            import openvino
        except ImportError as error:
            raise ExportError(
                f"OpenVINO files need {error.name}: pip install 'pellucid[export]'"
            ) from error
        self._openvino: Any = openvino
        self._nncf: Any = nncf
        self._source = source
        self._onnx = onnx_maker
        self._converted: dict[Size | None, openvino.Model] = {}

    def place(self, precision: str, size: Size | None) -> Path:
        name = f"openvino_model{tail(SUFFIX[precision], size, self._source.image_io)}.xml"
        return Path("openvino") / name

    def make(self, precision: str, size: Size | None, keep: tuple[str, ...], folder: Path) -> Path:
        if precision == "fp16":
            _ = self._source.half_restoration  # refuses what float16 cannot hold
        model = self._float_model(size, folder)
        if precision == "w8a8":
            model = self._quantised(model, size, keep)
        if self._source.image_io:
            model = self._with_image_ports(model)
        model = self._with_defaults_held(model)
        model.input(0).set_names({"input"})  # tracing may have left a second name
        model.output(0).set_names({"output"})
        for key in ("id", "license", "version"):
            model.set_rt_info(str(self._source.card[key]), ["model_info", key])
        model.set_rt_info(json.dumps(self._source.card), ["model_info", KEY])
        for key, graph in whole_picture_graphs(self._source.student).items():
            model.set_rt_info(graph, ["model_info", key])
        path = folder / self.place(precision, size).name
        self._openvino.save_model(model, path, compress_to_fp16=precision == "fp16")
        return path

    def runner(self, path: Path, size: Size | None, threads: int) -> Run:
        # Without the hint, CPUs with AMX compute in bfloat16, 40 dB from float32.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        compiled = self._openvino.Core().compile_model(path, "CPU", settings)
        image_io = self._source.image_io

        def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
            out = compiled([to_levels(image) if image_io else image])[0]
            return from_levels(out) if image_io else np.array(out, np.float32)

        return run

    def _float_model(self, size: Size | None, folder: Path) -> "openvino.Model":
        """The traced float32 graph with `input` and the optional inputs; its constants keep the
        names of torch's tensors."""
        if size not in self._converted:
            path = folder / "float.onnx"
            traced = onnx.ModelProto()
            traced.CopyFrom(self._onnx.traced("fp32", size, image_io=False))
            optional = self._source.restoration.defaults
            held = [tensor for tensor in traced.graph.initializer if tensor.name not in optional]
            del traced.graph.initializer[:]
            traced.graph.initializer.extend(held)
            onnx.save(traced, path)
            self._converted[size] = self._openvino.convert_model(path)
            path.unlink()
        return self._converted[size].clone()

    def _quantised(
        self, model: "openvino.Model", size: Size | None, keep: tuple[str, ...]
    ) -> "openvino.Model":
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet

        nncf = self._nncf
        quantised = self._source.sensitivity.shifts.keys() - set(keep)
        kept, others = [], set()
        for op in model.get_ops():
            if op.get_type_name() != QUANTISED_TYPE:
                others.add(op.get_type_name())
            elif layer_of(_weight_name(op)) not in quantised:
                kept.append(op.get_friendly_name())
        ignored = nncf.IgnoredScope(
            names=kept, types=sorted(others - {"Relu", "Result"}), validate=False
        )
        pictures, defaults = self._source.calibration(size), self._defaults
        return nncf.quantize(
            model,
            nncf.Dataset(pictures, lambda picture: {"input": picture} | defaults),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(pictures),
            # Its default range estimator averages over pictures and cuts off the rare bright ones.
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
            ),
            ignored_scope=ignored,
        )

    @property
    def _defaults(self) -> dict[str, NDArray[np.float32]]:
        defaults = self._source.restoration.defaults.items()
        return {name: np.asarray(value.numpy(), np.float32) for name, value in defaults}

    def _with_image_ports(self, model: "openvino.Model") -> "openvino.Model":
        """uint8 NHWC RGB ports; scaling, rounding and layout become part of the graph."""
        ov, ops = self._openvino, self._openvino.opset13
        restored = model.output(0).get_node().input_value(0)
        levels = ops.round(ops.multiply(restored, np.float32(255.0)), "half_to_even")
        levels.output(0).set_names({"output"})
        model = ov.Model([levels.output(0)], model.get_parameters(), model.get_friendly_name())
        return with_byte_ports(model)

    def _with_defaults_held(self, model: "openvino.Model") -> "openvino.Model":
        """What is optional as constants that keep their names."""
        ops = self._openvino.opset13
        for name, value in self._defaults.items():
            port = model.input(name)
            held = ops.constant(value, self._openvino.Type.f32, name=name)
            for target in port.get_target_inputs():
                target.replace_source_output(held.output(0))
            model.remove_parameter(port.get_node())
            port.set_names(set())
            held.output(0).set_names({name})
        model.validate_nodes_and_infer_types()
        return model


def _weight_name(op: Any) -> str:
    """Name of the constant behind a convolution's second input, through conversions."""
    node = op.input_value(1).get_node()
    while node.get_type_name() != "Constant" and node.get_input_size():
        node = node.input_value(0).get_node()
    return str(node.get_friendly_name())
