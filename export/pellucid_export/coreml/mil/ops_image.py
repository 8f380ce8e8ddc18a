"""MIL ops on pictures: padding, cropping, resizing. Names and parameters are the MIL spec's."""

import math

import numpy as np
import torch
from torch import Tensor

from .ops_elementwise import Op, ints

NUMPY_MODES = {"reflect": "reflect", "replicate": "edge"}


def pad(
    x: Tensor, pad: Tensor, mode: str = "constant", constant_val: float | Tensor = 0.0
) -> Tensor:
    """`pad` holds (before, after) for as many of the last dimensions as it has pairs."""
    sides = ints(pad)
    pairs = list(zip(sides[0::2], sides[1::2], strict=True))
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    if mode == "constant":
        padded = np.pad(x.numpy(), widths, constant_values=float(constant_val))
    else:
        padded = np.pad(x.numpy(), widths, mode=NUMPY_MODES[mode])  # type: ignore[call-overload]
    return torch.from_numpy(padded)


def crop(x: Tensor, crop_height: Tensor, crop_width: Tensor) -> Tensor:
    (top, bottom), (left, right) = ints(crop_height), ints(crop_width)
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def grid(mode: str, size_in: int, size_out: int) -> Tensor:
    """Positions in the input that the outputs are read from, (size_out,), in float64."""
    i = torch.arange(size_out, dtype=torch.float64)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if size_out == 1:
            return i if mode.startswith("STRICT") else i + (size_in - 1) / 2
        at = i * ((size_in - 1) / (size_out - 1))
    elif mode == "DEFAULT":
        at = i * (size_in / size_out)
    elif mode == "OFFSET_CORNERS":
        delta = max(1, size_in - 1) / size_out
        at = 0.5 * delta + i * delta
    elif mode == "UNALIGN_CORNERS":
        at = (i + 0.5) * (size_in / size_out) - 0.5
    else:
        raise ValueError(f"unknown sampling mode {mode}")
    return at.clamp(0, size_in - 1)


def interpolate(x: Tensor, axis: int, at: Tensor) -> Tensor:
    """Linear interpolation of x along `axis` at the positions `at`."""
    low = at.floor().long()
    high = (low + 1).clamp(max=x.shape[axis] - 1)
    share = (at - low).to(x.dtype).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    below, above = x.index_select(axis, low), x.index_select(axis, high)
    return below * (1 - share) + above * share


def nearest(x: Tensor, height: int, width: int) -> Tensor:
    for axis, size_out in ((-2, height), (-1, width)):
        index = torch.arange(size_out, dtype=torch.float64) * (x.shape[axis] / size_out)
        x = x.index_select(axis, index.floor().long())
    return x


def upsample_nearest_neighbor(
    x: Tensor, scale_factor_height: float | Tensor = 1, scale_factor_width: float | Tensor = 1
) -> Tensor:
    return nearest(
        x,
        math.floor(x.shape[-2] * float(scale_factor_height)),
        math.floor(x.shape[-1] * float(scale_factor_width)),
    )


def resize_nearest_neighbor(
    x: Tensor, target_size_height: int | Tensor, target_size_width: int | Tensor
) -> Tensor:
    return nearest(x, int(target_size_height), int(target_size_width))


def resize_bilinear(
    x: Tensor,
    target_size_height: int | Tensor = 1,
    target_size_width: int | Tensor = 1,
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    for axis, size in ((-2, int(target_size_height)), (-1, int(target_size_width))):
        x = interpolate(x, axis, grid(sampling_mode, x.shape[axis], size))
    return x


def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float | Tensor = 1,
    scale_factor_width: float | Tensor = 1,
    align_corners: bool | Tensor = True,
    half_pixel_centers: bool | Tensor | None = None,
) -> Tensor:
    """half_pixel_centers (from iOS16) defaults to the opposite of align_corners."""
    if align_corners:
        mode = "STRICT_ALIGN_CORNERS"
    else:
        mode = (
            "DEFAULT"
            if half_pixel_centers is not None and not half_pixel_centers
            else ("UNALIGN_CORNERS")
        )
    height = math.floor(x.shape[-2] * float(scale_factor_height))
    width = math.floor(x.shape[-1] * float(scale_factor_width))
    return resize_bilinear(x, height, width, mode)


OPS: dict[str, Op] = {
    op.__name__: op
    for op in (
        pad,
        crop,
        upsample_nearest_neighbor,
        resize_nearest_neighbor,
        resize_bilinear,
        upsample_bilinear,
    )
}
