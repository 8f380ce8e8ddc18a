"""The ST-LPIPS column of `pellucid eval`, on arrays; absent where its weights or torch are."""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# (H, W, 3) in [0, 1], twice -> 0 if equal, None if too small for the network
Distance = Callable[[NDArray[Any], NDArray[Any]], float | None]

MISSING = "no ST-LPIPS column: pip install 'pellucid[perceptual]'"


def open_st_lpips() -> Distance | None:
    """The distance, AlexNet trunk; None where the package or torch is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("stlpips_pytorch", "torch")):
        return None
    import torch

    from pellucid_student.perceptual import SMALLEST, load_st_lpips, st_lpips

    state = load_st_lpips()

    def tensor(picture: NDArray[Any]) -> torch.Tensor:
        values = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
        return torch.from_numpy(values) * 2.0 - 1.0

    @torch.no_grad()
    def distance(a: NDArray[Any], b: NDArray[Any]) -> float | None:
        if min(a.shape[:2]) < SMALLEST:
            return None
        return float(st_lpips(state, tensor(a), tensor(b)))

    return distance
