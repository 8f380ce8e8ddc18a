"""The scene code in torch: what a student knows about the whole picture beyond its receptive field.

Same definition as `pellucid.scene` (numpy): for R, G, B and min(R, G, B), the mean over a coarse
picture of piecewise-linear hats on KNOTS, i.e. a soft histogram. Exposure, colour cast and airlight
can be read off it, and because it is one vector for the whole picture, tiles agree.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.scene import KNOTS
from pellucid.scene import SCENE_SIZE as SCENE_SIZE

POOL = 4


def measure_scene(image: Tensor) -> Tensor:
    """Scene code of pictures in [0, 1]: (B, 3, H, W) -> (B, SCENE_SIZE). H, W multiples of POOL."""
    coarse = F.avg_pool2d(image, POOL).clamp(0.0, 1.0)  # (B, 3, H/4, W/4)
    signals = torch.cat([coarse, coarse.amin(dim=1, keepdim=True)], dim=1)  # (B, 4, h, w)
    # A hat on knots a < b < c is a difference of two ramps; with the ramps' means taken first, the
    # picture is read once a knot and no (B, 4, 10, h, w) tensor is ever made.
    ramps = [
        ((signals - low) * (1.0 / (high - low))).clamp(0.0, 1.0).mean(dim=(2, 3))  # (B, 4)
        for low, high in zip(KNOTS[:-1], KNOTS[1:], strict=True)
    ]
    ones = torch.ones_like(ramps[0])
    above = torch.stack([ones, *ramps, torch.zeros_like(ones)], dim=2)  # (B, 4, knots + 1)
    return (above[..., :-1] - above[..., 1:]).flatten(1)  # (B, 40)
