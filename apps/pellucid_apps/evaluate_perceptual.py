"""ST-LPIPS, a learned perceptual distance that small shifts do not disturb (Ghildyal & Liu, 2022).

Only the trained weights of the pip package `stlpips_pytorch` (BSD-2) are used. They come inside its
wheel: nothing is downloaded. The network is written here: the package's own modules import three
libraries it does not declare, and its blur is under a non-commercial licence.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Distance = Callable[[NDArray[Any], NDArray[Any]], float]  # (H, W, 3) in [0, 1], twice -> 0 if equal

MISSING = "no ST-LPIPS column: pip install 'pellucid[perceptual]'"
SMALLEST = 24  # px; shorter sides vanish inside the network

_WEIGHTS = "weights/vST0.0/alex_shift_tolerant.pth"
_LAYERS = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")


def open_st_lpips() -> Distance | None:
    """The distance, AlexNet trunk; None where the package or torch is not installed."""
    found = importlib.util.find_spec("stlpips_pytorch")  # looks, but runs none of its code
    if found is None or found.origin is None or importlib.util.find_spec("torch") is None:
        return None
    import torch

    state: dict[str, Tensor] = torch.load(
        Path(found.origin).parent / _WEIGHTS, map_location="cpu", weights_only=True
    )

    @torch.no_grad()
    def distance(a: NDArray[Any], b: NDArray[Any]) -> float:
        return st_lpips(state, _tensor(a), _tensor(b))

    return distance


def st_lpips(state: "dict[str, Tensor]", a: "Tensor", b: "Tensor") -> float:
    """Distance of (1, 3, H, W) pictures in [-1, 1]: w·(â - b̂)², averaged, summed over layers."""
    total = 0.0
    for index, (x, y) in enumerate(zip(_features(state, a), _features(state, b), strict=True)):
        difference = (_unit_length(x) - _unit_length(y)) ** 2
        weights = state[f"lin{index}.model.1.weight"]  # (1, C, 1, 1)
        total += float((difference * weights).sum(dim=1).mean())
    return total


def _features(state: "dict[str, Tensor]", picture: "Tensor") -> "list[Tensor]":
    """Activations of AlexNet's five layers, blurred before each stride so that shifts cancel."""
    import torch.nn.functional as F

    x = (picture - state["scaling_layer.shift"]) / state["scaling_layer.scale"]
    found = []
    for index, name in enumerate(_LAYERS):
        if index in (1, 2):
            x = _blur_down(F.max_pool2d(x, 3, stride=1))
        weight, bias = state[f"net.{name}.weight"], state[f"net.{name}.bias"]
        x = F.conv2d(x, weight, bias, padding=(2, 2, 1, 1, 1)[index])
        if index == 0:
            x = _blur_down(x)
        x = F.relu(x)
        found.append(x)
    return found


def _blur_down(x: "Tensor") -> "Tensor":
    """Binomial 3x3 at stride 2, edges reflected by 2 (Zhang, 2019; the shift-tolerant padding)."""
    import torch
    import torch.nn.functional as F

    axis = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype)
    kernel = torch.outer(axis, axis).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])


def _unit_length(x: "Tensor") -> "Tensor":
    return x / ((x**2).sum(dim=1, keepdim=True).sqrt() + 1e-10)


def _tensor(picture: NDArray[Any]) -> "Tensor":
    import torch

    if min(picture.shape[:2]) < SMALLEST:
        raise ValueError(f"ST-LPIPS needs sides of at least {SMALLEST} px, got {picture.shape[:2]}")
    values = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
    return torch.from_numpy(values) * 2.0 - 1.0
