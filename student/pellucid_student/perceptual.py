"""ST-LPIPS, a learned perceptual distance that small shifts do not disturb (Ghildyal & Liu, 2022).

Only the trained weights of the pip package `stlpips_pytorch` (BSD-2) are used. They come inside its
wheel: nothing is downloaded. The network is written here: the package's own modules import three
libraries it does not declare, and its blur is under a non-commercial licence.
"""

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

MISSING = "ST-LPIPS needs its weights: pip install 'pellucid[perceptual]'"
SMALLEST = 24  # px; shorter sides vanish inside the network

_WEIGHTS = "weights/vST0.0/alex_shift_tolerant.pth"
_LAYERS = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")


def load_st_lpips() -> dict[str, Tensor]:
    """Weights of the AlexNet trunk. Raises ValueError where the package is not installed."""
    found = importlib.util.find_spec("stlpips_pytorch")  # looks, but runs none of its code
    if found is None or found.origin is None:
        raise ValueError(MISSING)
    state: dict[str, Tensor] = torch.load(
        Path(found.origin).parent / _WEIGHTS, map_location="cpu", weights_only=True
    )
    return state


def st_lpips(state: dict[str, Tensor], a: Tensor, b: Tensor) -> Tensor:
    """Distance of (B, 3, H, W) pictures in [-1, 1]: w·(â - b̂)², averaged, summed over layers, (B,).

    Raises ValueError for sides shorter than SMALLEST.
    """
    if min(a.shape[2:]) < SMALLEST:
        raise ValueError(f"ST-LPIPS needs sides of at least {SMALLEST} px, got {tuple(a.shape)}")
    total = a.new_zeros(len(a))
    for index, (x, y) in enumerate(zip(_features(state, a), _features(state, b), strict=True)):
        difference = (_unit_length(x) - _unit_length(y)) ** 2
        weights = state[f"lin{index}.model.1.weight"].to(a.device)  # (1, C, 1, 1)
        total = total + (difference * weights).sum(dim=1).mean(dim=(1, 2))
    return total


def _features(state: dict[str, Tensor], picture: Tensor) -> list[Tensor]:
    """Activations of AlexNet's five layers, blurred before each stride so that shifts cancel."""

    def of(name: str) -> Tensor:
        return state[name].to(picture.device)

    x = (picture - of("scaling_layer.shift")) / of("scaling_layer.scale")
    found = []
    for index, name in enumerate(_LAYERS):
        if index in (1, 2):
            x = _blur_down(F.max_pool2d(x, 3, stride=1))
        x = F.conv2d(
            x, of(f"net.{name}.weight"), of(f"net.{name}.bias"), padding=(2, 2, 1, 1, 1)[index]
        )
        if index == 0:
            x = _blur_down(x)
        x = F.relu(x)
        found.append(x)
    return found


def _blur_down(x: Tensor) -> Tensor:
    """Binomial 3x3 at stride 2, edges reflected by 2 (Zhang, 2019; the shift-tolerant padding)."""
    axis = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
    kernel = torch.outer(axis, axis).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])


def _unit_length(x: Tensor) -> Tensor:
    # Inside the root, where a gradient at 0 stays finite.
    return x / ((x**2).sum(dim=1, keepdim=True) + 1e-20).sqrt()
