"""Doctor: packages, their versions, packages that clash, engines and what they can reach."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from pellucid.profiling.plugins import plugin_modules

from .check import Finding, ask

_OPTIONAL = {  # module: (distribution, what it is for, how to get it)
    "torch": ("torch", "training and export", "pip install 'pellucid[train]'"),
    "onnx": ("onnx", "export", "pip install 'pellucid[export]'"),
    "nncf": ("nncf", "int8 for OpenVINO", "pip install 'pellucid[export]'"),
    "openvino": ("openvino", "second engine", "pip install 'pellucid[openvino]'"),
    "coremltools": ("coremltools", "Core ML files", "pip install 'pellucid[coreml]'"),
    "pi_heif": ("pi-heif", "HEIC photos", "pip install 'pellucid[heic]'"),
    "rawpy": ("rawpy", "raw files of cameras", "pip install 'pellucid[raw]'"),
    "av": ("av", "videos", "pip install 'pellucid[video]'"),
    "pyvirtualcam": ("pyvirtualcam", "virtual camera", "pip install 'pellucid[virtualcam]'"),
}
# Distributions that write the same module: the last one installed wins, in parts.
_OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_ONNXRUNTIME = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-rocm",
    "onnxruntime-silicon",
)
_DRIVER_S = 20.0  # for OpenVINO to ask the drivers of GPU and NPU

Versions = Callable[[str], str]


def installed(name: str) -> str:
    """Version of a distribution; "" if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def packages(versions: Versions = installed) -> Iterator[Finding]:
    """What is needed, then what is useful."""
    yield _needed("numpy", ("numpy",), versions)
    yield _needed("onnxruntime", _ONNXRUNTIME, versions)
    yield _needed("opencv-python", _OPENCV, versions)
    yield _needed("pyvips", ("pyvips",), versions)
    for module, (name, use, fix) in _OPTIONAL.items():
        if module == "coremltools" and sys.platform == "win32":
            continue  # there is none
        if find_spec(module) is None:
            yield Finding("note", f"{name} is absent: no {use}", fix)
        elif old := _too_old(name, versions(name)):
            yield Finding("note", f"{name} {versions(name)} is older than {old}: {use}", fix)
        else:
            yield Finding("ok", f"{name} {versions(name)}: {use}")


def _needed(usual: str, names: tuple[str, ...], versions: Versions) -> Finding:
    """One of `names`, all of which bring the module that pellucid needs; several clash."""
    found = [name for name in names if versions(name)]
    installed = ", ".join(f"{name} {versions(name)}" for name in found)
    if not found:  # perhaps without metadata; the main job tells whether it works
        return Finding("note", f"{usual}: not found among the packages", f"pip install {usual}")
    if len(found) > 1:
        again = f"pip uninstall -y {' '.join(found)} && pip install {found[0]}"
        return Finding("note", f"{installed}: they overwrite each other", again)
    if old := _too_old(usual, versions(found[0])):
        return Finding(
            "note", f"{installed} is older than {old}", f"pip install '{found[0]}>={old}'"
        )
    return Finding("ok", installed)


def _too_old(name: str, found: str) -> str:
    """The least version that pellucid's own metadata asks for, if `found` is older; else ""."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement

        asked = [Requirement(text) for text in requires("pellucid") or ()]
        for one in asked:
            if one.name == name and found and not one.specifier.contains(found, prereleases=True):
                return str(one.specifier).removeprefix(">=")
    except (ImportError, PackageNotFoundError, InvalidRequirement):
        pass  # run from a source tree, or without packaging: nothing to compare with
    return ""


def engines() -> Iterator[Finding]:
    """ONNX Runtime's providers and OpenVINO's devices."""
    try:
        import onnxruntime

        providers = ", ".join(onnxruntime.get_available_providers())
        yield Finding("ok", f"ONNX Runtime providers: {providers}")
    except Exception as error:  # a broken installation raises whatever its loader raises
        again = "pip install --force-reinstall onnxruntime"
        yield Finding("FAIL", f"ONNX Runtime does not load ({error})", again)
    if plugins := plugin_modules():
        yield Finding("ok", f"plug-ins of ONNX Runtime, for profile: {', '.join(plugins)}")
    if find_spec("openvino") is not None:
        yield openvino_devices()


def openvino_devices(seconds: float = _DRIVER_S) -> Finding:
    """What OpenVINO can compile for here, as it names its devices."""

    def devices() -> list[str]:
        import openvino

        return list(openvino.Core().available_devices)

    try:
        found = ask(devices, seconds)
    except TimeoutError as error:
        fix = "update the drivers of GPU and NPU; --engine onnxruntime works without them"
        return Finding("note", f"OpenVINO's search for devices hangs ({error})", fix)
    except Exception as error:  # a broken installation raises whatever its loader raises
        again = "pip install --force-reinstall openvino"
        return Finding("note", f"OpenVINO does not load ({error})", again)
    return Finding("ok", f"OpenVINO devices: {', '.join(found) or 'none'}")
