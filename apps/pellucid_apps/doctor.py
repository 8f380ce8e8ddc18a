"""`pellucid doctor`: can this machine do the main job, and if not, what to type."""

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pellucid import PellucidError, Photo, Restorer, read_photo
from pellucid.engine import default_threads

# Instruction sets that decide how fast a convolution runs, by the name in /proc/cpuinfo.
_SETS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "VNNI (int8)",
    "avx512_bf16": "bf16 dot products",
    "amx_bf16": "AMX bf16",
    "amx_int8": "AMX int8",
    "asimd": "NEON",
    "asimddp": "int8 dot products",
    "i8mm": "int8 matrix products",
}
_OPTIONAL = {
    "torch": ("training and export", "pip install 'pellucid[train]'"),
    "onnx": ("export", "pip install 'pellucid[export]'"),
    "openvino": ("second engine", "pip install 'pellucid[openvino]'"),
    "av": ("videos", "pip install 'pellucid[video]'"),
}


@dataclass(frozen=True)
class Finding:
    """state: "ok", "note" (works, could be better) or "FAIL" (the main job fails)."""

    state: str
    what: str
    fix: str = ""

    def line(self) -> str:
        return f"{self.state:5} {self.what}" + (f"\n      fix: {self.fix}" if self.fix else "")


def examine() -> Iterator[Finding]:
    """All findings, the main job last."""
    yield Finding("ok", f"Python {platform.python_version()} on {platform.platform()}")
    yield from _packages()
    yield from _cpu()
    yield from _environment()
    yield _main_job()


def _packages() -> Iterator[Finding]:
    for name in ("numpy", "onnxruntime"):
        yield _required(name)
    found = [n for n in ("opencv-python", "opencv-python-headless") if _version(n)]
    told = ", ".join(f"{n} {_version(n)}" for n in found) or "OpenCV of another package"
    clash = "pip uninstall -y opencv-python opencv-python-headless && pip install opencv-python"
    yield (
        Finding("note", f"{told}: both in one place", clash)
        if len(found) > 1
        else Finding("ok", told)
    )
    for name, (use, fix) in _OPTIONAL.items():
        if find_spec(name) is None:
            yield Finding("note", f"{name} is absent: no {use}", fix)
        else:
            yield Finding("ok", f"{name} {_version(name)}: {use}")


def _required(name: str) -> Finding:
    told = _version(name)
    return Finding("ok", f"{name} {told}") if told else Finding("note", f"{name}: version unknown")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cpu() -> Iterator[Finding]:
    cores = os.cpu_count() or 1
    yield Finding("ok", f"{cores} CPU cores, {default_threads()} used (--threads changes it)")
    flags = _cpu_flags(Path("/proc/cpuinfo"))
    if flags:
        has = [label for flag, label in _SETS.items() if flag in flags]
        yield Finding("ok", f"instruction sets: {', '.join(has) or 'none that matter'}")
    import onnxruntime

    yield Finding(
        "ok", f"ONNX Runtime providers: {', '.join(onnxruntime.get_available_providers())}"
    )
    if find_spec("openvino") is not None:
        yield _openvino_devices()


def _openvino_devices() -> Finding:
    """What OpenVINO can compile for here, as it names its devices."""
    try:
        import openvino

        devices = openvino.Core().available_devices
    except Exception as error:  # a broken installation raises whatever its loader raises
        again = "pip install --force-reinstall openvino"
        return Finding("note", f"OpenVINO does not load ({error})", again)
    return Finding("ok", f"OpenVINO devices: {', '.join(devices) or 'none'}")


def _cpu_flags(path: Path) -> set[str]:
    """Flags of the first core; empty where the file does not exist (macOS, Windows)."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return set()
    named = (line for line in lines if line.lower().startswith(("flags", "features")))
    return set(next(named, ":").split(":", 1)[1].split())


def _environment() -> Iterator[Finding]:
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is not None:
        yield Finding("note", f"OMP_NUM_THREADS={threads} slows training", "unset OMP_NUM_THREADS")
    try:
        with tempfile.NamedTemporaryFile(dir="."):
            yield Finding("ok", "this folder can be written to")
    except OSError as error:
        yield Finding("note", f"this folder cannot be written to ({error.strerror})", "choose -o")


def _main_job() -> Finding:
    """Read, restore and write a small photo with the bundled model."""
    try:
        photo = Photo(np.full((40, 60, 3), 90, np.uint8), {})
        restored = Restorer().restore_photo(read_photo(photo.encode(".png")))
        read_photo(restored.encode(".jpg"))
    except PellucidError as error:
        return Finding(
            "FAIL", f"restoring a photo: {error}", "pip install --force-reinstall pellucid"
        )
    return Finding("ok", "a photo was read, restored and written")


def run(print_line: Callable[[str], None] = print) -> bool:
    """Print every finding; True if the main job works."""
    healthy = True
    for finding in examine():
        print_line(finding.line())
        healthy = healthy and finding.state != "FAIL"
    print_line("all good" if healthy else "pellucid cannot restore photos here")
    return healthy
