"""MIL ops of compressed weights and 8-bit activations. Names and parameters are the MIL spec's.

The iOS16 forms keep their data packed in bytes and give `shape`; the iOS18 forms are plain tensors.
"""

import math

import numpy as np
import torch
from torch import Tensor

from .ops_elementwise import Op, ints, per_channel
from .values import unpack_bits

RANGES = {"int8": (-128, 127), "uint8": (0, 255)}


def quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: int | Tensor = 0,
) -> Tensor:
    """clamp(round(input / scale) + zero_point), halves to even."""
    low, high = RANGES[output_dtype]
    steps = torch.round(input / per_channel(scale, input, int(axis)))
    if zero_point is not None:
        steps = steps + per_channel(zero_point, input, int(axis))
    return steps.clamp(low, high)


def dequantize(
    input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: int | Tensor = 0
) -> Tensor:
    steps = input.float()
    if zero_point is not None:
        steps = steps - per_channel(zero_point.float(), input, int(axis))
    return steps * per_channel(scale, input, int(axis))


def constexpr_affine_dequantize(
    quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: int | Tensor = 0
) -> Tensor:
    return dequantize(quantized_data, scale, zero_point, axis)


def _spread(blocks: Tensor, shape: torch.Size) -> Tensor:
    """Repeat each block value over the elements of its block, in the leading dimensions."""
    for axis, size in enumerate(shape):
        blocks = blocks.repeat_interleave(size // blocks.shape[axis], axis)
    return blocks


def constexpr_blockwise_shift_scale(
    data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> Tensor:
    steps = data.float() if offset is None else data.float() - _spread(offset.float(), data.shape)
    return steps * _spread(scale, data.shape)


def constexpr_lut_to_dense(
    indices: Tensor,
    lut: Tensor,
    shape: Tensor | None = None,
    vector_axis: int | Tensor | None = None,
) -> Tensor:
    """Palette. iOS16: one flat table, packed indices; iOS18: (..., entries, vector) a block."""
    if shape is not None:
        sizes = ints(shape)
        bits = int(math.log2(lut.numel()))
        unpacked = unpack_bits(indices.numpy().view(np.uint8), bits, math.prod(sizes))
        return lut[torch.from_numpy(unpacked)].reshape(sizes)
    tables = _spread(lut, indices.shape)  # (*indices.shape, entries, vector)
    vector = lut.shape[-1]
    where = indices.long()[..., None, None].expand(*indices.shape, 1, vector)
    picked = tables.gather(-2, where)[..., 0, :]  # (*indices.shape, vector)
    if vector == 1:
        return picked[..., 0]
    axis = int(vector_axis if vector_axis is not None else 0) % indices.ndim
    return picked.movedim(-1, axis + 1).flatten(axis, axis + 1)


def constexpr_cast(source_val: Tensor, output_dtype: str) -> Tensor:
    return source_val


OPS: dict[str, Op] = {
    op.__name__: op
    for op in (
        quantize,
        dequantize,
        constexpr_affine_dequantize,
        constexpr_blockwise_shift_scale,
        constexpr_lut_to_dense,
        constexpr_cast,
    )
}
