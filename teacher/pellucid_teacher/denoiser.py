"""The one contract that processes, networks and students share.

A denoiser is anything that is called as ``denoiser(x_t, condition, time)`` and returns an estimate
of the process's target (the residual for DiffUIR and RDDM, the clean image for ResShift).
Processes never import a network and networks never import a process: they meet here.
"""

from typing import Protocol

import torch
from torch import Tensor


class Denoiser(Protocol):
    """Callable estimate of a diffusion process's target.

    x_t:       (B, 3, H, W) state of the process, images scaled to [-1, 1].
    condition: (B, 3, H, W) degraded image I_in in [-1, 1].
    time:      (B,) float time value; its scale is the process's (DiffUIR: 1000·ᾱ_t).
    returns:   (B, 3, H, W).
    """

    def __call__(self, x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor: ...


def noise_like(picture: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal noise of the shape and kind of `picture`. generator: on its device."""
    return torch.randn(picture.shape, generator=generator, device=picture.device).to(picture)
