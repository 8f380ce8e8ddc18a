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


def inverse(x: Tensor, epsilon: float | Tensor = 1e-4) -> Tensor:
    return 1.0 / (x + epsilon)


def log(x: Tensor, epsilon: float | Tensor = 1e-45) -> Tensor:
    return torch.log(x + epsilon)


def rsqrt(x: Tensor, epsilon: float | Tensor = 1e-12) -> Tensor:
    return torch.rsqrt(x + epsilon)


def threshold(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.maximum(x, alpha)


def clamped_relu(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.minimum(torch.where(x >= 0, x, alpha * x), beta)


def elu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x > 0, x, alpha * torch.expm1(x))


def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="none" if mode == "EXACT" else "tanh")


def leaky_relu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, alpha * x)


def linear_activation(x: Tensor, alpha: Tensor, beta: float | Tensor = 0.0) -> Tensor:
    return alpha * x + beta


def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, per_channel(alpha, x) * x)


def scaled_tanh(x: Tensor, alpha: float | Tensor = 1.0, beta: float | Tensor = 1.0) -> Tensor:
    return alpha * torch.tanh(beta * x)


def sigmoid_hard(x: Tensor, alpha: float | Tensor = 0.2, beta: float | Tensor = 0.5) -> Tensor:
    return torch.clamp(alpha * x + beta, 0.0, 1.0)


def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return per_channel(alpha, x) * F.softplus(per_channel(beta, x) * x)


def thresholded_relu(x: Tensor, alpha: float | Tensor = 1.0) -> Tensor:
    return torch.where(x >= alpha, x, torch.zeros_like(x))


def softmax(x: Tensor, axis: int | Tensor = -1) -> Tensor:
    return torch.softmax(x, int(axis))


def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(cond.bool(), a, b)


def reduction(f: Callable[[Tensor, list[int], bool], Tensor]) -> Op:
    def op(x: Tensor, axes: Tensor | None = None, keep_dims: bool | Tensor = False) -> Tensor:
        return f(x, list(range(x.ndim)) if axes is None else ints(axes), bool(keep_dims))

    return op


def reduce_prod(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((a % x.ndim for a in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def reduce_argmax(
    x: Tensor, axis: int | Tensor = -1, keep_dims: bool | Tensor = False, output_dtype: str = ""
) -> Tensor:
    return torch.argmax(x, int(axis), keepdim=bool(keep_dims))


def reduce_argmin(
    x: Tensor, axis: int | Tensor = -1, keep_dims: bool | Tensor = False, output_dtype: str = ""
) -> Tensor:
    return torch.argmin(x, int(axis), keepdim=bool(keep_dims))


def cumsum(
    x: Tensor,
    axis: int | Tensor = 0,
    exclusive: bool | Tensor = False,
    reverse: bool | Tensor = False,
) -> Tensor:
    dim = int(axis)
    source = x.flip(dim) if reverse else x
    total = source.cumsum(dim)
    if exclusive:
        total = total - source
    return total.flip(dim) if reverse else total


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
    "logical_xor": binary(torch.logical_xor),
    "logical_not": unary(torch.logical_not),
    "abs": unary(torch.abs),
    "acos": unary(torch.acos),
    "asin": unary(torch.asin),
    "atan": unary(torch.atan),
    "atanh": unary(torch.atanh),
    "ceil": unary(torch.ceil),
    "cos": unary(torch.cos),
    "cosh": unary(torch.cosh),
    "erf": unary(torch.erf),
    "exp": unary(torch.exp),
    "exp2": unary(torch.exp2),
    "floor": unary(torch.floor),
    "identity": unary(lambda x: x),
    "round": unary(torch.round),
    "sign": unary(torch.sign),
    "sin": unary(torch.sin),
    "sinh": unary(torch.sinh),
    "sqrt": unary(torch.sqrt),
    "square": unary(torch.square),
    "tan": unary(torch.tan),
    "tanh": unary(torch.tanh),
    "relu": unary(torch.relu),
    "relu6": unary(F.relu6),
    "sigmoid": unary(torch.sigmoid),
    "silu": unary(F.silu),
    "softplus": unary(F.softplus),
    "softsign": unary(F.softsign),
    "reduce_mean": reduction(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "reduce_sum": reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "reduce_max": reduction(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "reduce_min": reduction(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "reduce_prod": reduction(reduce_prod),
    "reduce_sum_square": reduction(lambda x, axes, keep: x.square().sum(axes, keepdim=keep)),
    "reduce_l1_norm": reduction(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "reduce_l2_norm": reduction(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    "reduce_log_sum": reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep).log()),
    "reduce_log_sum_exp": reduction(lambda x, axes, keep: x.logsumexp(axes, keepdim=keep)),
} | {
    op.__name__: op
    for op in (
        clip,
        inverse,
        log,
        rsqrt,
        threshold,
        clamped_relu,
        elu,
        gelu,
        leaky_relu,
        linear_activation,
        prelu,
        scaled_tanh,
        sigmoid_hard,
        softplus_parametric,
        thresholded_relu,
        softmax,
        select,
        reduce_argmax,
        reduce_argmin,
        cumsum,
    )
}
