"""Every elementwise op and reduction, written by coremltools, against numpy's closed forms."""

from typing import Any

import numpy as np
import pytest
from mil_cases import Array, Case, check, convert

from pellucid_export.coreml.mil import ops_elementwise as mil_ops_elementwise


def sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)), np.float32)


def softplus(x: Array) -> Array:
    return np.asarray(np.log1p(np.exp(x)), np.float32)


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
A4 = ALPHA.reshape(1, 4, 1, 1)

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
    Case("logical_not", lambda mb, x: mb.logical_not(x=mb.less(x=x, y=0.5)), lambda x: x >= 0.5),
    unary("abs", np.abs, on_signed=True),
    unary("ceil", np.ceil, on_signed=True),
    unary("exp", np.exp, on_signed=True),
    unary("floor", np.floor, on_signed=True),
    unary("identity", lambda x: x),
    unary("round", np.rint, on_signed=True),
    unary("sign", np.sign, on_signed=True),
    unary("sqrt", np.sqrt),
    unary("square", np.square, on_signed=True),
    unary("tanh", np.tanh, on_signed=True),
    unary("clip", lambda x: np.clip(x, -0.5, 1.0), True, alpha=-0.5, beta=1.0),
    unary("log", lambda x: np.log(x + 1e-2), epsilon=1e-2),
    unary("rsqrt", lambda x: 1 / np.sqrt(x + 1e-2), epsilon=1e-2),
    unary("relu", lambda x: np.maximum(x, 0), on_signed=True),
    Case(
        "relu6",
        lambda mb, x: mb.relu6(x=mb.mul(x=signed(mb, x), y=10.0)),
        lambda x: np.clip(s(x) * 10, 0, 6),
    ),
    unary("sigmoid", sigmoid, on_signed=True),
    unary("silu", lambda x: x * sigmoid(x), on_signed=True),
    unary("softplus", softplus, on_signed=True),
    unary("leaky_relu", lambda x: np.where(x >= 0, x, 0.1 * x), True, alpha=0.1),
    unary("prelu", lambda x: np.where(x >= 0, x, A4 * x), True, alpha=ALPHA),
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
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Array]:
    return convert(CASES, tmp_path_factory.mktemp("elementwise"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_as_numpy(case: Case, outputs: dict[str, Array]) -> None:
    check(case, outputs)


def test_no_op_is_left_untested() -> None:
    assert {case.name for case in CASES} >= mil_ops_elementwise.OPS.keys()
