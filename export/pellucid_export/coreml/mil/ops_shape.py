"""MIL ops that move elements without computing on them. Names and parameters are the MIL spec's."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .ops_elementwise import Op, ints

DTYPES = {
    "fp16": torch.float16,
    "fp32": torch.float32,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "int16": torch.int16,
    "uint16": torch.int32,
    "int32": torch.int32,
    "bool": torch.bool,
}


def cast(x: Tensor, dtype: str) -> Tensor:
    # Rounding to fp16 happens when the result is stored, where overflow is seen.
    return x if dtype == "fp16" and x.is_floating_point() else x.to(DTYPES[dtype])


def reshape(x: Tensor, shape: Tensor) -> Tensor:
    wanted = ints(shape)
    if 0 in wanted and len(wanted) != x.ndim:
        raise ValueError(f"a size of 0 copies the input's, which needs {x.ndim} sizes: {wanted}")
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(wanted)])


def transpose(x: Tensor, perm: Tensor) -> Tensor:
    return x.permute(ints(perm))


def expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    rank = x.ndim + axes.numel()
    for axis in sorted(a % rank for a in ints(axes)):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    if axes is None:
        return x.squeeze()
    for axis in sorted((a % x.ndim for a in ints(axes)), reverse=True):
        x = x.squeeze(axis)
    return x


def concat(
    values: list[Tensor], axis: int | Tensor = 0, interleave: bool | Tensor = False
) -> Tensor:
    values = [v.reshape(1) if v.ndim == 0 else v for v in values]
    dim = int(axis) % values[0].ndim
    if interleave:
        return torch.stack(values, dim + 1).flatten(dim, dim + 1)
    return torch.cat(values, dim)


def stack(values: list[Tensor], axis: int | Tensor = 0) -> Tensor:
    return torch.stack(values, int(axis))


def split(
    x: Tensor,
    axis: int | Tensor = 0,
    num_splits: int | Tensor | None = None,
    split_sizes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    dim = int(axis)
    if split_sizes is not None:
        return tuple(torch.split(x, ints(split_sizes), dim))
    return tuple(torch.chunk(x, int(num_splits or 1), dim))


def slice_by_index(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    """numpy slicing; a true mask entry means 'from the start', 'to the end', 'drop this axis'."""
    zeros = [0] * x.ndim
    steps = [1] * x.ndim if stride is None else ints(stride)
    from_start = zeros if begin_mask is None else ints(begin_mask)
    to_end = zeros if end_mask is None else ints(end_mask)
    drop = zeros if squeeze_mask is None else ints(squeeze_mask)
    index: list[int | slice] = []
    for axis, (first, last) in enumerate(zip(ints(begin), ints(end), strict=True)):
        if drop[axis]:
            index.append(first)
        else:
            start = None if from_start[axis] else first
            index.append(slice(start, None if to_end[axis] else last, steps[axis]))
    return torch.from_numpy(np.array(x.numpy()[tuple(index)], order="C"))


def slice_by_size(x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    for axis, (first, count) in enumerate(zip(ints(begin), ints(size), strict=True)):
        x = x.narrow(axis, first, x.shape[axis] - first if count == -1 else count)
    return x


def gather(
    x: Tensor,
    indices: Tensor,
    axis: int | Tensor = 0,
    batch_dims: int | Tensor = 0,
    validate_indices: bool | Tensor = False,
) -> Tensor:
    batch, dim = int(batch_dims), int(axis) % x.ndim
    if batch == 0:
        where = indices.long() % x.shape[dim]
        taken = torch.index_select(x, dim, where.reshape(-1))
        return taken.reshape(*x.shape[:dim], *where.shape, *x.shape[dim + 1 :])
    rows = [gather(x[i], indices[i], dim - 1, batch - 1) for i in range(x.shape[0])]
    return torch.stack(rows)


def tile(x: Tensor, reps: Tensor) -> Tensor:
    return x.repeat(ints(reps))


def reverse(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.flip(list(range(x.ndim)) if axes is None else ints(axes))


def pixel_shuffle(x: Tensor, upscale_factor: int | Tensor) -> Tensor:
    return F.pixel_shuffle(x, int(upscale_factor))


def pixel_unshuffle(x: Tensor, downscale_factor: int | Tensor) -> Tensor:
    return F.pixel_unshuffle(x, int(downscale_factor))


def shape(x: Tensor) -> Tensor:
    return torch.tensor(x.shape, dtype=torch.int32)


def fill(shape: Tensor, value: float | Tensor = 0.0) -> Tensor:
    return torch.zeros(ints(shape)) + value


def fill_like(ref_tensor: Tensor, value: float | Tensor = 0.0) -> Tensor:
    return torch.zeros(ref_tensor.shape) + value


OPS: dict[str, Op] = {
    op.__name__: op
    for op in (
        cast,
        reshape,
        transpose,
        expand_dims,
        squeeze,
        concat,
        stack,
        split,
        slice_by_index,
        slice_by_size,
        gather,
        tile,
        reverse,
        pixel_shuffle,
        pixel_unshuffle,
        shape,
        fill,
        fill_like,
    )
}
