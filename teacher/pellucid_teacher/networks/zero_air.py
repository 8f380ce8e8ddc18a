"""The networks that ZeroAIR's published code (TAO, ICML 2024) learns for one picture, and the VGG
features that it compares by."""

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MISSING = "the published losses need VGG's weights: pip install 'pellucid[perceptual]'"


class Adapter(nn.Module):
    """G, the degradation: 3 -> 64 -> 128 -> 256 -> 3, (B, 3, H, W) in [0, 1] -> the same size."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 64, 128, 256)
        layers: list[nn.Module] = []
        for narrow, wide in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(narrow, wide, 3, padding=1), nn.LeakyReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(256, 3, 1))
        _kaiming(self)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class Critic(nn.Module):
    """D: how real each place looks, as a logit, (B, 3, H, W) -> (B, 1, H/8, W/8)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 64, 128, 256)
        layers: list[nn.Module] = []
        for narrow, wide in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(narrow, wide, 3, 2, 1), nn.LeakyReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(256, 1, 1))
        _kaiming(self)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


def _kaiming(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)


class VGGFeatures(nn.Module):
    """VGG-16 up to its fourth convolution ([:9]), frozen: (B, 3, H, W) in [0, 1] -> (B, 128, H/2,
    W/2). The weights are those inside the pip package `stlpips_pytorch` (BSD-2), trained further to
    disregard shifts; none of its code runs. Raises ValueError where it is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        found = importlib.util.find_spec("stlpips_pytorch")
        if found is None or found.origin is None:
            raise ValueError(MISSING)
        path = Path(found.origin).parent / "weights/vST0.0/vgg_shift_tolerant.pth"
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        self.layers = nn.ModuleList()
        for name in ("slice1.0", "slice1.2", "slice2.6", "slice2.8"):
            kernel = state[f"net.{name}.weight"]
            layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
            layer.load_state_dict({"weight": kernel, "bias": state[f"net.{name}.bias"]})
            self.layers.append(layer)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[None, :, None, None])
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[None, :, None, None])
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.get_buffer("mean")) / self.get_buffer("std")
        for index, layer in enumerate(self.layers):
            x = F.relu(layer(F.max_pool2d(x, 2) if index == 2 else x))
        return x
