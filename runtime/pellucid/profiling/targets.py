"""A target: an engine and one of its devices."""

from dataclasses import dataclass

NO_OPENVINO = "the engine openvino is not installed: pip install 'pellucid[openvino]'"


@dataclass(frozen=True)
class Target:
    """engine: "onnxruntime", "openvino" or "coreml". device: a provider's name, OpenVINO's device,
    or Core ML's compute units.

    kind: "cpu", "gpu", "npu", or "any" of them. absent: why it cannot be used; empty where it can.
    """

    engine: str
    device: str
    kind: str
    absent: str = ""
