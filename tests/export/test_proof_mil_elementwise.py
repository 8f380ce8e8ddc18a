"""Every elementwise op and reduction, written by coremltools, against numpy's closed forms."""

import math
from typing import Any

import numpy as np
import pytest
from mil_cases import Array, Case, check, convert

from pellucid_export.coreml.mil import ops_elementwise as mil_ops_elementwise


def sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)), np.float32)


def softplus(x: Array) -> Array:
    return np.asarray(np.log1p(np.exp(x)), np.float32)


def erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf)(x), np.float32)


def signed(mb: Any, x: Any) -> Any:
    """-1.8 .. 1.8: both sides of every activation's knee."""
    return mb.mul(x=mb.sub(x=x, y=0.5), y=4.0)


def s(x: Array) -> Array:
    return (x - np.float32(0.5)) * np.float32(4.0)


def unary(name: str, expected: Any, on_signed: bool = False, **params: Any) -> Case:
    def build(mb: Any, x: Any) -> Any:
        return getattr(mb, name)(x=signed(mb, x) if on_signed else x, **params)

    return Case(name, build, lambda x: expected(s(x) if on_signed else x))


def binary(name: str, expected: Any, y: float = 0.4) -> Case:
    return Case(
        name,
        lambda mb, x: getattr(mb, name)(x=x, y=np.float32(y)),
        lambda x: expected(x, np.float32(y)),
    )


def logical(name: str, expected: Any) -> Case:
    def build(mb: Any, x: Any) -> Any:
        return getattr(mb, name)(x=mb.less(x=x, y=0.6), y=mb.greater(x=x, y=0.3))

    return Case(name, build, lambda x: expected(x < np.float32(0.6), x > np.float32(0.3)))


def reduction(name: str, expected: Any, label: str = "", **params: Any) -> Case:
    return Case(name + label, lambda mb, x: getattr(mb, name)(x=x, **params), expected)


ALPHA = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
BETA = np.array([1.0, 0.5, 2.0, 0.1], np.float32)
A4, B4 = ALPHA.reshape(1, 4, 1, 1), BETA.reshape(1, 4, 1, 1)

CASES = [
    binary("add", np.add),
    binary("sub", np.subtract),
    binary("mul", np.multiply),
    binary("real_div", np.divide),
    binary("floor_div", np.floor_divide, 0.25),
    binary("mod", np.mod, 0.25),
    binary("pow", np.power, 1.7),
    binary("maximum", np.maximum),
    binary("minimum", np.minimum),
    binary("equal", np.equal),
    binary("not_equal", np.not_equal),
    binary("greater", np.greater),
    binary("greater_equal", np.greater_equal),
    binary("less", np.less),
    binary("less_equal", np.less_equal),
    logical("logical_and", np.logical_and),
    logical("logical_or", np.logical_or),
    logical("logical_xor", np.logical_xor),
    Case("logical_not", lambda mb, x: mb.logical_not(x=mb.less(x=x, y=0.5)), lambda x: x >= 0.5),
    unary("abs", np.abs, on_signed=True),
    unary("acos", np.arccos),
    unary("asin", np.arcsin),
    unary("atan", np.arctan, on_signed=True),
    unary("atanh", np.arctanh),
    unary("ceil", np.ceil, on_signed=True),
    unary("cos", np.cos, on_signed=True),
    unary("cosh", np.cosh, on_signed=True),
    unary("erf", erf, on_signed=True),
    unary("exp", np.exp, on_signed=True),
    unary("exp2", np.exp2, on_signed=True),
    unary("floor", np.floor, on_signed=True),
    unary("identity", lambda x: x),
    unary("round", np.rint, on_signed=True),
    unary("sign", np.sign, on_signed=True),
    unary("sin", np.sin, on_signed=True),
    unary("sinh", np.sinh, on_signed=True),
    unary("sqrt", np.sqrt),
    unary("square", np.square, on_signed=True),
    unary("tan", np.tan),
    unary("tanh", np.tanh, on_signed=True),
    unary("clip", lambda x: np.clip(x, -0.5, 1.0), True, alpha=-0.5, beta=1.0),
    unary("inverse", lambda x: 1 / (x + 1e-2), epsilon=1e-2),
    unary("log", lambda x: np.log(x + 1e-2), epsilon=1e-2),
    unary("rsqrt", lambda x: 1 / np.sqrt(x + 1e-2), epsilon=1e-2),
    unary("threshold", lambda x: np.maximum(x, 0.3), True, alpha=0.3),
    unary("relu", lambda x: np.maximum(x, 0), on_signed=True),
    Case(
        "relu6",
        lambda mb, x: mb.relu6(x=mb.mul(x=signed(mb, x), y=10.0)),
        lambda x: np.clip(s(x) * 10, 0, 6),
    ),
    unary("sigmoid", sigmoid, on_signed=True),
    unary("silu", lambda x: x * sigmoid(x), on_signed=True),
    unary("softplus", softplus, on_signed=True),
    unary("softsign", lambda x: x / (1 + np.abs(x)), on_signed=True),
    unary(
        "clamped_relu",
        lambda x: np.minimum(np.where(x >= 0, x, 0.1 * x), 1.0),
        True,
        alpha=0.1,
        beta=1.0,
    ),
    unary("elu", lambda x: np.where(x > 0, x, 0.7 * np.expm1(x)), True, alpha=0.7),
    unary("gelu", lambda x: x * (1 + erf(x / np.float32(2**0.5))) / 2, on_signed=True),
    unary("leaky_relu", lambda x: np.where(x >= 0, x, 0.1 * x), True, alpha=0.1),
    unary("linear_activation", lambda x: 0.3 * x + 2, True, alpha=0.3, beta=2.0),
    unary("prelu", lambda x: np.where(x >= 0, x, A4 * x), True, alpha=ALPHA),
    unary("scaled_tanh", lambda x: 1.5 * np.tanh(0.7 * x), True, alpha=1.5, beta=0.7),
    unary("sigmoid_hard", lambda x: np.clip(0.3 * x + 0.4, 0, 1), True, alpha=0.3, beta=0.4),
    unary("softplus_parametric", lambda x: A4 * softplus(B4 * x), True, alpha=ALPHA, beta=BETA),
    unary("thresholded_relu", lambda x: np.where(x >= 0.3, x, 0), True, alpha=0.3),
    unary("softmax", lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True), True, axis=1),
    Case(
        "select",
        lambda mb, x: mb.select(cond=mb.less(x=x, y=0.5), a=x, b=signed(mb, x)),
        lambda x: np.where(x < 0.5, x, s(x)),
    ),
    reduction("reduce_mean", lambda x: x.mean((2, 3)), axes=[2, 3], keep_dims=False),
    reduction("reduce_mean", lambda x: x.mean(1, keepdims=True), "_keep", axes=[1], keep_dims=True),
    reduction("reduce_sum", lambda x: x.sum(-1), axes=[-1]),
    reduction("reduce_max", lambda x: x.max((1, 3)), axes=[1, 3]),
    reduction("reduce_min", lambda x: x.min(1, keepdims=True), axes=[1], keep_dims=True),
    reduction("reduce_prod", lambda x: x.prod((1, 3)), axes=[1, 3]),
    reduction("reduce_sum_square", lambda x: (x**2).sum(2), axes=[2]),
    reduction("reduce_l1_norm", lambda x: np.abs(x).sum(2), axes=[2]),
    reduction("reduce_l2_norm", lambda x: np.sqrt((x**2).sum(2)), axes=[2]),
    reduction("reduce_log_sum", lambda x: np.log(x.sum(2)), axes=[2]),
    reduction("reduce_log_sum_exp", lambda x: np.log(np.exp(x).sum(2)), axes=[2]),
    reduction("reduce_argmax", lambda x: x.argmax(1), axis=1, keep_dims=False),
    reduction("reduce_argmin", lambda x: x.argmin(3), axis=3, keep_dims=False),
    reduction("cumsum", lambda x: x.cumsum(3), axis=3),
    reduction(
        "cumsum",
        lambda x: np.flip(np.flip(x, 2).cumsum(2), 2) - x,
        "_back",
        axis=2,
        exclusive=True,
        reverse=True,
    ),
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Array]:
    return convert(CASES, tmp_path_factory.mktemp("elementwise"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_as_numpy(case: Case, outputs: dict[str, Array]) -> None:
    check(case, outputs)


def test_no_op_is_left_untested() -> None:
    assert {case.name for case in CASES} >= mil_ops_elementwise.OPS.keys()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (
            "TANH_APPROXIMATION",
            lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        ),
        ("SIGMOID_APPROXIMATION", lambda x: x * sigmoid(1.702 * x)),
    ],
)
def test_gelu_approximations(mode: str, expected: Any) -> None:
    torch = pytest.importorskip("torch")
    x = np.linspace(-3, 3, 25, dtype=np.float32)
    got = mil_ops_elementwise.gelu(torch.from_numpy(x), mode).numpy()
    np.testing.assert_allclose(got, expected(x), rtol=1e-5, atol=1e-6)
