"""MIL layers: convolution, matrix product, pooling, normalisation. Names and parameters are the
MIL spec's.

Accumulation is in fp32 by torch. What a device accumulates in is not published.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .ops_elementwise import Op, ints, per_channel

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def paddings(
    pad_type: str,
    pad: Tensor | None,
    size: list[int],
    kernel: list[int],
    stride: list[int],
    dilation: list[int],
) -> list[tuple[int, int]]:
    """(before, after) for each spatial dimension.

    'same' makes ceil(size / stride) outputs; an odd rest goes after, with 'same_lower' before.
    """
    if pad_type == "valid":
        return [(0, 0)] * len(size)
    if pad_type == "custom":
        sides = [0] * (2 * len(size)) if pad is None else ints(pad)
        return list(zip(sides[0::2], sides[1::2], strict=True))
    pairs = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pairs.append((total // 2, total - total // 2))
    return [(b, a) for a, b in pairs] if pad_type == "same_lower" else pairs


def torch_pad(pairs: list[tuple[int, int]]) -> list[int]:
    """(before, after) a dimension, first dimension first -> F.pad's list, last dimension first."""
    return [side for pair in reversed(pairs) for side in pair]


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: int | Tensor = 1,
) -> Tensor:
    size, kernel = list(x.shape[2:]), list(weight.shape[2:])
    stride = [1] * len(size) if strides is None else ints(strides)
    dilation = [1] * len(size) if dilations is None else ints(dilations)
    pairs = paddings(pad_type, pad, size, kernel, stride, dilation)
    run = CONV[len(size)]
    if all(before == after for before, after in pairs):
        even = [before for before, _ in pairs]
        return run(x, weight, bias, stride, even, dilation, int(groups))
    return run(F.pad(x, torch_pad(pairs)), weight, bias, stride, 0, dilation, int(groups))


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Tensor | None = None,
    output_shape: Tensor | None = None,
    pad_type: str = "valid",
    strides: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: int | Tensor = 1,
) -> Tensor:
    """weight (C_in, C_out / groups, ...). Padding crops; output_shape has the last word."""
    size, kernel = list(x.shape[2:]), list(weight.shape[2:])
    stride = [1] * len(size) if strides is None else ints(strides)
    dilation = [1] * len(size) if dilations is None else ints(dilations)
    full = CONV_TRANSPOSE[len(size)](x, weight, None, stride, 0, 0, int(groups), dilation)
    if pad_type.startswith("same"):
        wanted = [n * s for n, s in zip(size, stride, strict=True)]
        spare = [f - w for f, w in zip(full.shape[2:], wanted, strict=True)]
        before = [(s + (pad_type == "same_lower")) // 2 for s in spare]
    else:
        pairs = paddings(pad_type, pad, size, kernel, stride, dilation)
        before = [first for first, _ in pairs]
        wanted = [f - sum(pair) for f, pair in zip(full.shape[2:], pairs, strict=True)]
    if output_shape is not None:
        wanted = ints(output_shape)[2:]
    # A negative pad crops, a positive one appends the zeros that a larger output_shape asks for.
    ends = [
        (-first, first + want - have)
        for first, want, have in zip(before, wanted, full.shape[2:], strict=True)
    ]
    cropped = F.pad(full, torch_pad(ends))
    return cropped if bias is None else cropped + per_channel(bias, cropped)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight, bias)


def matmul(
    x: Tensor, y: Tensor, transpose_x: bool | Tensor = False, transpose_y: bool | Tensor = False
) -> Tensor:
    return (x.mT if transpose_x else x) @ (y.mT if transpose_y else y)


def _windows(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None,
    pad_type: str,
    pad: Tensor | None,
    ceil_mode: bool,
) -> tuple[list[int], list[int], list[tuple[int, int]], list[int]]:
    """(kernel, stride, paddings, extra): extra lets the last window hang over the end, which
    ceil_mode allows as long as it begins inside the padded input."""
    size, kernel = list(x.shape[2:]), ints(kernel_sizes)
    stride = [1] * len(size) if strides is None else ints(strides)
    pairs = paddings(pad_type, pad, size, kernel, stride, [1] * len(size))
    extra = []
    for n, k, s, pair in zip(size, kernel, stride, pairs, strict=True):
        padded = n + sum(pair)
        count = math.ceil((padded - k) / s) + 1
        if (count - 1) * s >= n + pair[0]:
            count -= 1
        extra.append(max((count - 1) * s + k - padded, 0) if ceil_mode else 0)
    return kernel, stride, pairs, extra


def avg_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    exclude_padding_from_average: bool | Tensor = False,
    ceil_mode: bool | Tensor = False,
) -> Tensor:
    """Sum of each window over the number of cells that count: all padded ones, or the input's.

    What hangs over the padded input by ceil_mode never counts.
    """
    args = _windows(x, kernel_sizes, strides, pad_type, pad, bool(ceil_mode))
    kernel, stride, pairs, extra = args
    over = torch_pad([(0, e) for e in extra])
    ones = torch.ones(1, 1, *x.shape[2:])
    count = F.pad(ones, torch_pad(pairs), value=0.0 if exclude_padding_from_average else 1.0)
    channels = x.shape[1]
    window = torch.ones(channels, 1, *kernel)
    run = CONV[len(kernel)]
    total = run(F.pad(F.pad(x, torch_pad(pairs)), over), window, None, stride, groups=channels)
    return total / run(F.pad(count, over), window[:1], None, stride)


def max_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    ceil_mode: bool | Tensor = False,
) -> Tensor:
    args = _windows(x, kernel_sizes, strides, pad_type, pad, bool(ceil_mode))
    kernel, stride, pairs, extra = args
    ends = [(before, after + e) for (before, after), e in zip(pairs, extra, strict=True)]
    padded = F.pad(x, torch_pad(ends), value=float("-inf"))
    out: Tensor = MAX_POOL[len(kernel)](padded, kernel, stride)
    return out


OPS: dict[str, Op] = {
    op.__name__: op
    for op in (
        conv,
        conv_transpose,
        linear,
        matmul,
        avg_pool,
        max_pool,
    )
}
