"""MIL ops that work element by element, and reductions. Names and parameters are the MIL spec's.

Source: coremltools' op definitions (converters/mil/mil/ops/defs, iOS15 to iOS18).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Op = Callable[..., Tensor | tuple[Tensor, ...]]


def ints(value: Tensor) -> list[int]:
    return [int(v) for v in value.reshape(-1).tolist()]


def per_channel(value: Tensor, x: Tensor, axis: int = 1) -> Tensor:
    """A vector shaped so that it broadcasts along `axis` of x; a scalar as it is."""
    if value.ndim == 0:
        return value
    return value.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def unary(f: Callable[[Tensor], Tensor]) -> Op:
    def op(x: Tensor) -> Tensor:
        return f(x)

    return op


def binary(f: Callable[[Tensor, Tensor], Tensor]) -> Op:
    def op(x: Tensor, y: Tensor) -> Tensor:
        return f(x, y)

    return op


def clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x, alpha), beta)


def log(x: Tensor, epsilon: float | Tensor = 1e-45) -> Tensor:
    return torch.log(x + epsilon)


def rsqrt(x: Tensor, epsilon: float | Tensor = 1e-12) -> Tensor:
    return torch.rsqrt(x + epsilon)


def leaky_relu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, alpha * x)


def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, per_channel(alpha, x) * x)


def softmax(x: Tensor, axis: int | Tensor = -1) -> Tensor:
    return torch.softmax(x, int(axis))


def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(cond.bool(), a, b)


def reduction(f: Callable[[Tensor, list[int], bool], Tensor]) -> Op:
    def op(x: Tensor, axes: Tensor | None = None, keep_dims: bool | Tensor = False) -> Tensor:
        return f(x, list(range(x.ndim)) if axes is None else ints(axes), bool(keep_dims))

    return op


OPS: dict[str, Op] = {
    "add": binary(torch.add),
    "sub": binary(torch.sub),
    "mul": binary(torch.mul),
    "real_div": binary(torch.div),
    "floor_div": binary(torch.floor_divide),
    "mod": binary(torch.remainder),
    "pow": binary(torch.pow),
    "maximum": binary(torch.maximum),
    "minimum": binary(torch.minimum),
    "equal": binary(torch.eq),
    "not_equal": binary(torch.ne),
    "greater": binary(torch.gt),
    "greater_equal": binary(torch.ge),
    "less": binary(torch.lt),
    "less_equal": binary(torch.le),
    "logical_and": binary(torch.logical_and),
    "logical_or": binary(torch.logical_or),
    "logical_not": unary(torch.logical_not),
    "abs": unary(torch.abs),
    "ceil": unary(torch.ceil),
    "exp": unary(torch.exp),
    "floor": unary(torch.floor),
    "identity": unary(lambda x: x),
    "round": unary(torch.round),
    "sign": unary(torch.sign),
    "sqrt": unary(torch.sqrt),
    "square": unary(torch.square),
    "tanh": unary(torch.tanh),
    "relu": unary(torch.relu),
    "relu6": unary(F.relu6),
    "sigmoid": unary(torch.sigmoid),
    "silu": unary(F.silu),
    "softplus": unary(F.softplus),
    "reduce_mean": reduction(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "reduce_sum": reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "reduce_max": reduction(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "reduce_min": reduction(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
} | {
    op.__name__: op
    for op in (
        clip,
        log,
        rsqrt,
        leaky_relu,
        prelu,
        softmax,
        select,
    )
}
