"""Which engines and devices are here, and why the others are not."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .plugins import plugin_targets
from .targets import NO_OPENVINO, Target

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
# Core ML's sets of compute units, as coremltools.ComputeUnit names them. ALL may use any of them.
_UNITS = {"CPU_ONLY": "cpu", "CPU_AND_GPU": "gpu", "CPU_AND_NE": "npu", "ALL": "any"}
_SUFFIXES = {"onnxruntime": (".onnx",), "openvino": (".onnx", ".xml"), "coreml": (".mlpackage",)}


def find_targets(wanted: str = "auto") -> list[Target]:
    """Targets of the kind wanted. "auto": all that are here; "all": also those that are not.

    A kind asked for by name, and not here, gives one absent target. Raises ModelError.
    """
    if wanted not in DEVICES:
        raise ModelError(f"the device must be one of {', '.join(DEVICES)}, got {wanted!r}")
    found = _onnxruntime() + plugin_targets() + _openvino() + _coreml()
    if wanted == "auto":
        return [target for target in found if not target.absent]
    kinds = ("cpu", "gpu", "npu") if wanted == "all" else (wanted,)
    chosen = []
    for kind in kinds:
        fit = [target for target in found if target.kind == kind and not target.absent]
        chosen += fit or [Target("any", kind.upper(), kind, _none_here(kind))]
    if wanted == "all":
        chosen += [target for target in found if target.kind == "any" and not target.absent]
        chosen += [target for target in found if target.absent]
    return chosen


def readers(path: Path, targets: Sequence[Target]) -> list[Target]:
    """Targets whose engine reads this kind of file; else, one whose failure tells the reason.

    A missing engine is such a reason, and so is a device that was not asked for.
    """
    fit = [target for target in targets if path.suffix in _SUFFIXES[target.engine]]
    if fit or path.suffix not in (".xml", ".mlpackage"):
        return fit or list(targets)
    others = _openvino() if path.suffix == ".xml" else _coreml()
    absent = [target for target in others if target.absent]
    asked = f"{path.suffix} files run on {others[0].engine}, which has no device of those asked for"
    return absent or [Target(others[0].engine, "-", "any", asked)]


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


def _coreml() -> list[Target]:
    if sys.platform != "darwin":
        return [Target("coreml", "ALL", "any", f"Core ML runs on macOS, this is {sys.platform}")]
    if find_spec("coremltools") is None:
        fix = "coremltools is not installed: pip install 'pellucid[coreml]'"
        return [Target("coreml", "ALL", "any", fix)]
    return [Target("coreml", units, kind) for units, kind in _UNITS.items()]
