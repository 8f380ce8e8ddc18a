"""The machine's own peak: how many multiply-accumulates a second a large matrix product reaches."""

import time

import numpy as np

from .calls_onnxruntime import onnxruntime_call
from .small_onnx import matrix_product

SIZE = 1024  # 1.07 GMAC; three matrices of 4 MiB


def matrix_peak(threads: int, seconds: float = 0.5) -> float:
    """GMAC/s of the best float32 matrix product within `seconds`, in ONNX Runtime on the CPU.

    Kernels in lower precision, or on another device, can exceed it: their share is then above 1.
    """
    feed = np.random.default_rng(1).random((SIZE, SIZE), np.float32)
    call = onnxruntime_call(matrix_product(SIZE), feed, threads)
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now >= end:
            return SIZE**3 / best / 1e9
