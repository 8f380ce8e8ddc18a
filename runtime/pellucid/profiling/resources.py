"""Memory and energy, where the system tells them. None anywhere else, never a guess."""

import re
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RAPL = Path("/sys/class/powercap")


def reset_peak() -> float | None:
    """Forget the process's peak memory; MiB that it holds now. Linux only."""
    try:
        _CLEAR.write_text("5")  # proc(5): resets the peak resident set size
    except OSError:
        return None
    return _status("VmRSS")


def peak_mb() -> float | None:
    """MiB, the largest resident set since `reset_peak`."""
    return _status("VmHWM")


def energy_joules(folder: Path = _RAPL) -> float | None:
    """Joules that all CPU packages have used since some start; most systems let only root read."""
    try:
        counters = list(folder.glob("intel-rapl:?/energy_uj"))
        return sum(int(path.read_text()) for path in counters) / 1e6 if counters else None
    except (OSError, ValueError):
        return None


def _status(name: str) -> float | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
