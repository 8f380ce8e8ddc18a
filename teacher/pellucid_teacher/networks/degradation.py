"""A degradation as physics has it, few numbers and all of them for one picture.

    y = K * (g_c·u^γ) + n ,   u = t·x + (1 - t)·A ,   x, y in [0, 1]

Light meets the veil first (t: transmission on a coarse grid; A: the veil's colour), then the
sensor's exposure and curve (g, γ), then blur (K), then noise (n, one standard deviation). UP-ZeroIR
(2026, arXiv 2605.24593) found such parameters to do better than ZeroAIR's free convolutions.
"""

from math import log
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Part = Literal["light", "veil", "blur"]
ALL: tuple[Part, ...] = ("light", "veil", "blur")

KERNEL = 9  # px
GRID = 16  # cells of the transmission
DARK = 0.2  # mean luma below which a picture is taken to be under-exposed
USUAL = 0.42  # mean luma of daylight photos
LEAST_T = 0.1  # behind a thicker veil nothing is left to see
_SHARP = 8.0  # logit of the kernel's centre: 97 % of its weight
_CLEAR = 4.0  # logit of a transmission of 0.98


class PhysicalDegradation(nn.Module):
    """G: (1, 3, H, W) in [0, 1] -> the same. parts: which are there at all; the rest does nothing.

    noise: standard deviation of n, in units of white.
    """

    def __init__(self, parts: tuple[Part, ...] = ALL) -> None:
        super().__init__()
        self.parts, self.noise = parts, 0.0
        self.log_gain = nn.Parameter(torch.zeros(3), "light" in parts)
        self.log_gamma = nn.Parameter(torch.zeros(()), "light" in parts)
        self.air_logit = nn.Parameter(torch.full((3,), 2.0), "veil" in parts)
        self.clear = nn.Parameter(torch.full((1, 1, GRID, GRID), _CLEAR), "veil" in parts)
        self.kernel_logit = nn.Parameter(torch.zeros(KERNEL * KERNEL), "blur" in parts)
        with torch.no_grad():
            self.kernel_logit[KERNEL * KERNEL // 2] = _SHARP

    @property
    def gain(self) -> Tensor:
        """(1, 3, 1, 1)."""
        return self.log_gain.exp()[None, :, None, None]

    @property
    def gamma(self) -> Tensor:
        return self.log_gamma.exp()

    @property
    def air(self) -> Tensor:
        """Bright, as fog and smoke are: (1, 3, 1, 1) in 0.5 .. 1."""
        return 0.5 + 0.5 * self.air_logit.sigmoid()[None, :, None, None]

    @property
    def kernel(self) -> Tensor:
        """(9, 9), positive, of sum 1."""
        return self.kernel_logit.softmax(0).reshape(KERNEL, KERNEL)

    def transmission(self, size: torch.Size) -> Tensor:
        """(1, 1, H, W) in LEAST_T .. 1."""
        t = LEAST_T + (1.0 - LEAST_T) * self.clear.sigmoid()
        return F.interpolate(t, tuple(size[-2:]), mode="bilinear", align_corners=False)

    def forward(self, x: Tensor) -> Tensor:
        if "veil" in self.parts:
            t = self.transmission(x.shape)
            x = t * x + (1.0 - t) * self.air
        if "light" in self.parts:
            x = self.gain * x.clamp_min(1e-3) ** self.gamma
        if "blur" in self.parts:
            half = KERNEL // 2
            kernel = self.kernel.expand(3, 1, KERNEL, KERNEL)
            x = F.conv2d(F.pad(x, (half, half, half, half), mode="replicate"), kernel, groups=3)
        return x

    def undone(self, y: Tensor) -> Tensor:
        """Light and veil taken away, blur and noise left, in [0, 1]."""
        if "light" in self.parts:
            y = (y / self.gain).clamp_min(1e-3) ** (1.0 / self.gamma)
        if "veil" in self.parts:
            t = self.transmission(y.shape)
            y = (y - (1.0 - t) * self.air) / t
        return y.clamp(0.0, 1.0) if self.parts else y

    def groups(self, lr: float) -> list[dict[str, Any]]:
        """For an optimiser. A kernel's logits have farther to go than the others."""
        slow = [self.log_gain, self.log_gamma, self.air_logit, self.clear]
        learnt = [p for p in slow if p.requires_grad]
        kernel = [self.kernel_logit] if "blur" in self.parts else []
        return [{"params": learnt, "lr": lr}, {"params": kernel, "lr": 10.0 * lr}]

    def penalty(self) -> Tensor:
        """What is less likely: strong curves, uneven veils, wide kernels."""
        across = self.clear.diff(dim=2).square().mean() + self.clear.diff(dim=3).square().mean()
        return self.log_gamma.square() + across - self.kernel.max()

    @torch.no_grad()
    def begin(self, y: Tensor) -> None:
        """First guesses from the degraded picture alone."""
        self.noise = noise_of(y)
        mean = float(y.mean())
        if "light" in self.parts and mean < DARK:
            white = y.flatten(2).quantile(0.995, dim=2)[0] if y.numel() < 4e7 else y.amax((0, 2, 3))
            gain = white.mean().clamp(0.05, 1.0)  # one gain: a dark picture's colours are its own
            gamma = log(max(mean, 1e-3) / float(gain)) / log(USUAL)
            self.log_gain.fill_(float(gain.log()))
            self.log_gamma.fill_(log(min(3.0, max(1.0, gamma))))
        elif "veil" in self.parts:
            t = 1.0 - 0.95 * dark_channel(y / self.air)
            inner = ((t - LEAST_T) / (1.0 - LEAST_T)).clamp(0.02, 0.98)
            self.clear.copy_(inner.logit())

    @torch.no_grad()
    def describe(self) -> str:
        """Such as "exposure 0.21, curve 1.6, veil 0.35, blur 0.42, noise 8.0 of 255"."""
        t = LEAST_T + (1.0 - LEAST_T) * self.clear.sigmoid().mean()
        known = {
            "light": f"exposure {float(self.gain.mean()):.2f}, curve {float(self.gamma):.2f}",
            "veil": f"veil {1.0 - float(t):.2f}",
            "blur": f"blur {1.0 - float(self.kernel.max()):.2f}",
        }
        found = [known[part] for part in self.parts]
        return ", ".join([*found, f"noise {255.0 * self.noise:.1f} of 255"])


def noise_of(y: Tensor) -> float:
    """Standard deviation of white noise: the median of the finest diagonal Haar band, which edges
    hardly reach (Donoho & Johnstone, 1994)."""
    y = y[..., : y.shape[-2] // 2 * 2, : y.shape[-1] // 2 * 2]
    if y.numel() == 0:
        return 0.0
    top, bottom = y[..., ::2, :], y[..., 1::2, :]
    diagonal = (top[..., ::2] - top[..., 1::2] - bottom[..., ::2] + bottom[..., 1::2]) / 2.0
    return float(diagonal.abs().flatten().median()) / 0.6745


def dark_channel(y: Tensor) -> Tensor:
    """He et al., 2009, on the transmission's grid: (1, 3, H, W) -> (1, 1, GRID, GRID)."""
    darkest = y.amin(dim=1, keepdim=True)
    return -F.adaptive_max_pool2d(-darkest, GRID)
