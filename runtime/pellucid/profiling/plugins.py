"""Execution providers that come as packages of their own and are registered with ONNX Runtime.

The convention: onnxruntime.ai/docs/execution-providers/plugin-ep-libraries/packaging.html. A module
`onnxruntime_ep_*` (and Qualcomm's, which is older than the name) tells its library and providers.
"""

import platform
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from .targets import Target

_QUALCOMM = "onnxruntime_qnn"
EMULATOR = "an emulator here, whose speed tells nothing: pellucid ready FILE --emulate runs it"
_registered: set[str] = set()  # ONNX Runtime refuses a library twice in one process


def plugin_targets() -> list[Target]:
    """A target for each device of each plug-in; one with the reason for a plug-in that fails."""
    return [target for module in plugin_modules() for target in _targets_of(module)]


def plugin_modules() -> list[str]:
    """Names of the plug-ins' modules, without importing one."""
    names = sorted(module.name for module in iter_modules())
    return [name for name in names if name.startswith("onnxruntime_ep_") or name == _QUALCOMM]


def devices_of(target: Target) -> list[Any]:
    """ONNX Runtime's devices behind a target; empty if it is built in. Registered by then."""
    import onnxruntime

    provider, _, kind = target.device.partition(":")
    devices: list[Any] = onnxruntime.get_ep_devices() if kind else []
    return [one for one in devices if one.ep_name == provider and one.device.type.name == kind]


def _targets_of(module: str) -> list[Target]:
    import onnxruntime

    if module == _QUALCOMM and platform.machine().lower() not in ("arm64", "aarch64"):
        return [Target("onnxruntime", "QNNExecutionProvider:NPU", "npu", EMULATOR)]
    try:
        plugin: Any = import_module(module)
        provider = str(plugin.get_ep_name())
        if module not in _registered:
            onnxruntime.register_execution_provider_library(module, plugin.get_library_path())
            _registered.add(module)
        kinds = {
            one.device.type.name for one in onnxruntime.get_ep_devices() if one.ep_name == provider
        }
    except Exception as error:  # a package of others; its library may lack drivers
        reason = f"{module} cannot be registered: {error}"
        return [Target("onnxruntime", module, "any", reason[:240])]
    return [Target("onnxruntime", f"{provider}:{kind}", kind.lower()) for kind in sorted(kinds)]
