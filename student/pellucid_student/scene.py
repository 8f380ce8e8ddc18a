"""The scene code in torch: what a student knows about the whole picture beyond its receptive field.

Same definition as `pellucid.scene` (numpy), which says what it is for. Because it is one vector for
the whole picture, tiles agree.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.scene import BAND as BAND
from pellucid.scene import KNOTS, TEXTURE_KNOTS
from pellucid.scene import SCENE_SIZE as SCENE_SIZE

POOL = 4
# R - G and B - G carry colour noise; rain and snow are grey and stay in the mean.
PLANES = ((1 / 3, 1 / 3, 1 / 3), (1.0, -1.0, 0.0), (0.0, -1.0, 1.0))
HAAR = (
    ((0.25, 0.25), (0.25, 0.25)),
    ((0.5, -0.5), (0.5, -0.5)),
    ((0.5, 0.5), (-0.5, -0.5)),
    ((0.5, -0.5), (-0.5, 0.5)),
)


def measure_scene(image: Tensor) -> Tensor:
    """Scene code of pictures in [0, 1]: (B, 3, H, W) -> (B, SCENE_SIZE). H, W multiples of BAND."""
    image = image.clamp(0.0, 1.0)
    coarse = F.avg_pool2d(image, POOL)  # (B, 3, H/4, W/4)
    signals = torch.cat([coarse, coarse.amin(dim=1, keepdim=True)], dim=1)  # (B, 4, h, w)
    return torch.cat([soft_histogram(signals, KNOTS).flatten(1), measure_texture(image)], dim=1)


def measure_texture(image: Tensor) -> Tensor:
    """Texture part of the scene code, (B, 3, H, W) in [0, 1] -> (B, TEXTURE_SIGNALS * knots)."""
    planes = F.conv2d(image, image.new_tensor(PLANES)[:, :, None, None])  # luma, R - G, B - G
    luma = planes[:, :1]
    mean = F.avg_pool2d(luma, POOL)
    peaks = torch.cat([F.max_pool2d(luma, POOL) - mean, mean + F.max_pool2d(-luma, POOL)], dim=1)
    parts = [soft_histogram(peaks, TEXTURE_KNOTS)]
    for count in (3, 3, 1):  # colour is looked at in two scales, luma in three
        levels = haar(planes[:, :count], count)  # (B, 4P, h, w)
        planes, details = levels[:, :count], levels[:, count:].abs()
        parts.append(soft_histogram(details[:, 0::count], TEXTURE_KNOTS))
        if count == 3:
            red, blue = details[:, 1::3], details[:, 2::3]  # (B, 3, h, w) each
            both = soft_histogram(torch.cat([red, blue], dim=1), TEXTURE_KNOTS)
            parts.append((both[:, :3] + both[:, 3:]) / 2.0)
    return torch.cat(parts, dim=1).flatten(1)


def haar(planes: Tensor, count: int) -> Tensor:
    """One Haar level, (B, P, H, W) -> (B, 4P, h, w): P means, then P each across, down, diagonal.

    A plain convolution and no tensor of more than four dimensions, which phones would refuse.
    count: P as a number, for converters that trace.
    """
    one = planes.new_tensor([[float(i == j) for j in range(count)] for i in range(count)])
    kernel = planes.new_tensor(HAAR)[:, None, None] * one[None, :, :, None, None]  # (4, P, P, 2, 2)
    return F.conv2d(planes, kernel.flatten(0, 1), stride=2)


def soft_histogram(signals: Tensor, knots: tuple[float, ...]) -> Tensor:
    """Mean of every hat on `knots`: (B, S, h, w) -> (B, S, len(knots)).

    A hat on knots a < b < c is a difference of two ramps; with the ramps' means taken first, the
    picture is read once a knot and no (B, S, knots, h, w) tensor is ever made.
    """
    ramps = [
        ((signals - low) * (1.0 / (high - low))).clamp(0.0, 1.0).mean(dim=(2, 3))  # (B, S)
        for low, high in zip(knots[:-1], knots[1:], strict=True)
    ]
    ones = torch.ones_like(ramps[0])
    above = torch.stack([ones, *ramps, torch.zeros_like(ones)], dim=2)  # (B, S, knots + 1)
    return above[..., :-1] - above[..., 1:]
