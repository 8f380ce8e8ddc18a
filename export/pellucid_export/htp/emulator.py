"""Run an int8 ONNX file on Qualcomm's HTP emulator, if the package that holds it is installed.

`onnxruntime-qnn` (proprietary Qualcomm licence, optional: pip install 'pellucid[htp]') contains the
HTP back end built for x86-64 Linux, which compiles and executes a graph as the Hexagon processor
would. It answers the question that a phone answers with silence: does every op run on the NPU?
What it is not: a clock. Its speed says nothing about a phone's.

The emulator runs in a process of its own, because it writes to stdout, holds global state, and ends
the process on some graphs.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pellucid.errors import PellucidError
from pellucid.session import open_session, session_options

from ..thresholds import agreement_db

PROVIDER = "QNNExecutionProvider"
MARK = "pellucid-htp: "


class HTPError(PellucidError):
    """The emulator is not installed, or gave no answer."""


@dataclass(frozen=True)
class HTPReport:
    """What the emulator did with a file.

    whole: the graph compiled and ran with fallback to the CPU disabled.
    accepted, refused: op type -> nodes that the HTP takes, and that would fall back.
    agreement_db: PSNR (peak 1) of the first output against ONNX Runtime's CPU kernels on the same
                  file and input; None where nothing ran.
    reason: the emulator's own words where `whole` is false.
    """

    whole: bool
    accepted: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    agreement_db: float | None = None
    reason: str = ""

    @property
    def share(self) -> float:
        """Accepted nodes over all nodes, 0..1; 0 where the graph did not compile at all."""
        total = sum(self.accepted.values()) + sum(self.refused.values())
        return sum(self.accepted.values()) / total if total else 0.0

    @property
    def lines(self) -> list[str]:
        if self.whole:
            return [
                f"HTP emulator: all {sum(self.accepted.values())} nodes run on the HTP, "
                f"{self.agreement_db:.1f} dB against the CPU's kernels"
            ]
        fallen = ", ".join(f"{op} x{n}" for op, n in sorted(self.refused.items()))
        lines = [f"HTP emulator: refused ({self.reason})"]
        return [*lines, f"would fall back to the CPU: {fallen}"] if fallen else lines

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share}


def missing() -> str | None:
    """Why the emulator cannot be used here, with the fix; None if it can."""
    if importlib.util.find_spec("onnxruntime_qnn") is None:
        return "onnxruntime-qnn is not installed: pip install 'pellucid[htp]' (Linux, x86-64)"
    return None


def check(
    path: Path, feeds: dict[str, NDArray[np.float32]] | None = None, timeout_s: float = 300.0
) -> HTPReport:
    """Compile and run `path` with CPU fallback disabled; if refused, list what would fall back.

    feeds: input name -> array; by default noise in [0, 1] for every input. Raises HTPError if the
    package is missing, the file has free dimensions, or the emulator gives no answer.
    """
    reason = missing()
    if reason is not None:
        raise HTPError(reason)
    feeds = _noise(path) if feeds is None else feeds
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "feeds.npz"
        np.savez(arrays, **feeds)  # type: ignore[arg-type]
        command = [sys.executable, "-m", __name__, str(path.resolve()), str(arrays)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                cwd=folder,
                env=_environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise HTPError(f"{path}: the HTP emulator took over {timeout_s:.0f} s") from error
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            return HTPReport(**json.loads(line.removeprefix(MARK)))
    last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
    raise HTPError(f"{path}: the HTP emulator ended with code {done.returncode}: {last[-300:]}")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def _noise(path: Path) -> dict[str, NDArray[np.float32]]:
    session = open_session(path)
    rng = np.random.default_rng(0)
    feeds = {}
    for port in session.get_inputs():
        if not all(isinstance(size, int) for size in port.shape):
            raise HTPError(
                f"{path}: input {port.name} has free sizes {port.shape}; the HTP takes fixed ones, "
                "export with --size WxH"
            )
        feeds[port.name] = rng.random(port.shape).astype(np.float32)
    return feeds


# -- inside the emulator's process


def _session(path: str, strict: bool) -> Any:
    import onnxruntime_qnn

    devices = [d for d in onnxruntime.get_ep_devices() if d.ep_name == PROVIDER]
    options = session_options(1)
    if strict:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.add_provider_for_devices(devices, {"backend_path": onnxruntime_qnn.get_qnn_htp_path()})
    return onnxruntime.InferenceSession(path, options)


def _assignment(session: Any) -> tuple[dict[str, int], dict[str, int]]:
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts = accepted if part.ep_name == PROVIDER else refused
        counts.update(node.op_type for node in part.get_nodes())
    return dict(accepted), dict(refused)


def _emulate(path: str, arrays: str) -> HTPReport:
    import onnxruntime_qnn

    onnxruntime.register_execution_provider_library(PROVIDER, onnxruntime_qnn.get_library_path())
    feeds = dict(np.load(arrays))
    try:
        session = _session(path, strict=True)
        (got, *_) = session.run(None, feeds)
    except Exception as error:  # the runtime raises its own types, which it does not export
        strict_words = str(error).splitlines()[0][:300]
    else:
        (expected, *_) = open_session(Path(path)).run(None, feeds)
        return HTPReport(True, *_assignment(session), agreement_db(got, expected))
    try:
        accepted, refused = _assignment(_session(path, strict=False))
    except Exception:  # it does not even compile in parts
        accepted, refused = {}, {}
    return HTPReport(False, accepted, refused, None, strict_words)


if __name__ == "__main__":
    sys.stdout.write("\n" + MARK + json.dumps(asdict(_emulate(*sys.argv[1:3]))) + "\n")
