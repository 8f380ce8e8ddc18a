"""A web model run by onnxruntime-web in Node: the page's own engine, on WebAssembly."""

import re
import shutil
import struct
import subprocess
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..thresholds import ExportError

PROGRAM = Path(__file__).with_name("run.mjs")
LEAST_NODE = 18


def find_node() -> str:
    """Path of Node. Raises ExportError with the way to get it."""
    found = shutil.which("node")
    if found is None:
        raise ExportError(
            f"web files are proved with Node, which is not installed; install Node {LEAST_NODE} or "
            "newer (https://nodejs.org, or apt install nodejs), or leave the format web away"
        )
    return found


class NodeRunner:
    """(1, 3, H, W) in [0, 1] -> same, any sides: measured whole, restored whole.

    One thread, which is what a page has that is not isolated. folder: of the model's files.
    engine: of onnxruntime-web's. The process ends with this object.
    """

    def __init__(self, folder: Path, engine: Path, multiple: int) -> None:
        self._multiple = multiple
        self._process = subprocess.Popen(
            [find_node(), str(PROGRAM), str(engine), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._trouble: list[bytes] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._read(1)  # it has opened the files, or is over

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        height, width = image.shape[2:]
        bottom, right = -height % self._multiple, -width % self._multiple
        padded = np.pad(image, ((0, 0), (0, 0), (0, bottom), (0, right)), mode="edge")
        rows, cols = padded.shape[2:]
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(struct.pack("<II", rows, cols))
            self._process.stdin.write(np.ascontiguousarray(padded, "<f4").tobytes())
            self._process.stdin.flush()
        except OSError:
            raise self._failure() from None
        restored = np.frombuffer(self._read(padded.nbytes), "<f4").reshape(padded.shape)
        return restored[:, :, :height, :width].astype(np.float32)

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()
        self._listener.join()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def __del__(self) -> None:
        if hasattr(self, "_listener"):
            self.close()

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if len(data) < size:
            raise self._failure()
        return data

    def _listen(self) -> None:
        assert self._process.stderr is not None
        self._trouble += self._process.stderr

    def _failure(self) -> ExportError:
        self._process.wait()
        self._listener.join()
        lines = b"".join(self._trouble).decode("utf-8", "replace").strip().splitlines()
        # Node shows the source first, which may be one line of 50 kB.
        reason = next((line for line in lines if re.match(r"\w*Error\b", line)), "no word from it")
        return ExportError(f"onnxruntime-web in Node failed: {reason.strip()[:300]}")
