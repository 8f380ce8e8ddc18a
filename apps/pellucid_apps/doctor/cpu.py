"""Doctor: cores, instruction sets, threads, and systems that slow a CPU down unseen."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from pellucid.engine import default_threads

from .check import Finding

# Instruction sets that decide how fast a convolution runs: what each is called in /proc/cpuinfo,
# and by NumPy, which tells on every system but knows fewer.
_SETS = {
    "avx2": ("AVX2", "AVX2"),
    "avx512f": ("AVX-512", "AVX512F"),
    "avx512_vnni": ("VNNI (int8)", "AVX512_CLX"),
    "avx_vnni": ("AVX-VNNI (int8)", ""),
    "avx512_bf16": ("bf16 dot products", "AVX512_SPR"),
    "amx_bf16": ("AMX bf16", ""),
    "amx_int8": ("AMX int8", ""),
    "asimd": ("NEON", "NEON"),
    "asimddp": ("int8 dot products", "ASIMDDP"),
    "i8mm": ("int8 matrix products", ""),
}
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")


def cpu() -> Iterator[Finding]:
    """Cores, instruction sets, translation."""
    cores = os.cpu_count() or 1
    yield Finding("ok", f"{cores} CPU cores, {default_threads()} used (--threads changes it)")
    flags = cpu_flags(Path("/proc/cpuinfo"))
    has = [label for flag, (label, _) in _SETS.items() if flag in flags] if flags else _by_numpy()
    unseen = "" if flags else " (AMX and int8 matrix products cannot be seen on this system)"
    yield Finding("ok", f"instruction sets: {', '.join(has) or 'none that matter'}{unseen}")
    if platform.machine() == "x86_64" and sys.platform == "darwin" and _is_translated():
        yield Finding(
            "note",
            "this Python is built for Intel and translated: several times slower",
            "install an arm64 Python (python.org or Homebrew) and make the environment anew",
        )


def threads(variables: Mapping[str, str], quota: float | None) -> Iterator[Finding]:
    """variables: the environment. quota: cores that a container may use; None without a limit."""
    for name in _THREAD_VARIABLES:
        if name in variables:
            problem = f"{name}={variables[name]} slows training; restoring follows --threads alone"
            yield Finding("note", problem, f"unset {name}")
    if quota is not None and quota < default_threads():
        yield Finding(
            "note",
            f"this container may use {quota:.3g} cores, {default_threads()} threads would wait",
            f"--threads {max(1, int(quota))}, or raise the container's limit (--cpus)",
        )


def cpu_flags(path: Path) -> set[str]:
    """Flags of the first core; empty where the file does not exist (macOS, Windows)."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return set()
    named = (line for line in lines if line.lower().startswith(("flags", "features")))
    return set(next(named, ":").split(":", 1)[1].split())


def cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores of a control group's limit, version 2 or 1; None without one."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        cores = float(limit) / float(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return cores if cores > 0.0 else None  # version 1 says -1 for no limit


def _by_numpy() -> list[str]:
    """From the table behind numpy.show_runtime(), which has no public function of its own."""
    try:
        table = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):
        return []
    return [label for label, name in _SETS.values() if table.get(name)]


def _is_translated() -> bool:
    """Whether Rosetta runs this process."""
    try:
        done = subprocess.run(
            ["sysctl", "-n", "sysctl.proc_translated"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() == "1"
