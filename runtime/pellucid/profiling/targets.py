"""Which engines and devices are here, and why the others are not."""

from dataclasses import dataclass
from typing import Any

from ..errors import ModelError

DEVICES = ("auto", "cpu", "gpu", "npu", "all")
_KINDS = {  # of ONNX Runtime's providers; those that are left out run nothing on this machine
    "CPUExecutionProvider": "cpu",
    "OpenVINOExecutionProvider": "cpu",
    "DnnlExecutionProvider": "cpu",
    "XnnpackExecutionProvider": "cpu",
    "CUDAExecutionProvider": "gpu",
    "TensorrtExecutionProvider": "gpu",
    "NvTensorRTRTXExecutionProvider": "gpu",
    "ROCMExecutionProvider": "gpu",
    "MIGraphXExecutionProvider": "gpu",
    "DmlExecutionProvider": "gpu",
    "WebGpuExecutionProvider": "gpu",
    "CoreMLExecutionProvider": "npu",
    "QNNExecutionProvider": "npu",
    "VitisAIExecutionProvider": "npu",
}
NO_OPENVINO = "the engine openvino is not installed: pip install 'pellucid[openvino]'"


@dataclass(frozen=True)
class Target:
    """engine: "onnxruntime" or "openvino". device: a provider's name, or OpenVINO's device.

    kind: "cpu", "gpu" or "npu". absent: why it cannot be used; empty where it can.
    """

    engine: str
    device: str
    kind: str
    absent: str = ""


def find_targets(wanted: str = "auto") -> list[Target]:
    """Targets of the kind wanted. "auto": all that are here; "all": also those that are not.

    A kind asked for by name, and not here, gives one absent target. Raises ModelError.
    """
    if wanted not in DEVICES:
        raise ModelError(f"the device must be one of {', '.join(DEVICES)}, got {wanted!r}")
    found = _onnxruntime() + _openvino()
    if wanted == "auto":
        return [target for target in found if not target.absent]
    kinds = ("cpu", "gpu", "npu") if wanted == "all" else (wanted,)
    told = []
    for kind in kinds:
        fit = [target for target in found if target.kind == kind and not target.absent]
        told += fit or [Target("any", kind.upper(), kind, _none_here(kind))]
    if wanted == "all":
        told += [target for target in found if target.absent]
    return told


def _none_here(kind: str) -> str:
    fix = {
        "cpu": "pip install onnxruntime",
        "gpu": "an ONNX Runtime build with its provider, or OpenVINO with the GPU's driver",
        "npu": "OpenVINO with the NPU's driver; without one: pellucid ready FILE",
    }
    return f"no {kind.upper()} that ONNX Runtime or OpenVINO can reach; needed: {fix[kind]}"


def _onnxruntime() -> list[Target]:
    import onnxruntime

    names = [name for name in onnxruntime.get_available_providers() if name in _KINDS]
    names.sort(key=lambda name: (name != "CPUExecutionProvider", name))
    return [Target("onnxruntime", name, _KINDS[name]) for name in names]


def _openvino() -> list[Target]:
    try:
        import openvino
    except ImportError:
        return [Target("openvino", "CPU", "cpu", NO_OPENVINO)]
    core: Any = openvino.Core()
    names = [name for name in core.available_devices if name.split(".")[0] in ("CPU", "GPU", "NPU")]
    return [Target("openvino", name, name.split(".")[0].lower()) for name in names]
