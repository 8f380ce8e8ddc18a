"""Compressed weights and 8-bit activations: what is decoded is what was meant."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from mil_cases import Array, Case, check, convert

from pellucid_export.coreml.mil import ops_weights as mil_ops_weights
from pellucid_export.coreml.mil.values import MLProgramError, unpack_bits

RNG = np.random.default_rng(9)
Q = RNG.integers(-128, 128, (4, 1, 1), dtype=np.int8)
ZERO = np.array([-3, 0, 5, 100], np.int8)
SCALE = np.array([0.01, 0.02, 0.5, 1.0], np.float32)


def packed(numbers: Array, bits: int) -> Array:
    """Numbers -> bytes, lowest bit first: the opposite of what is under test, by Python's ints."""
    total = sum(int(n) << (bits * i) for i, n in enumerate(numbers.reshape(-1)))
    size = math.ceil(numbers.size * bits / 8)
    return np.frombuffer(total.to_bytes(size, "little"), np.uint8)


def added(name: str, expected: Array, **given: Any) -> Case:
    return Case(
        name,
        lambda mb, x: mb.add(x=x, y=getattr(mb, name.partition("-")[0])(**given)),
        lambda x: x + expected,
    )


def columns(values: Array) -> Array:
    return values.reshape(4, 1, 1)


INDICES = RNG.integers(0, 64, (4, 6, 8)).astype(np.uint8)
LUT = RNG.standard_normal(64).astype(np.float32)
MASK = RNG.integers(0, 2, (4, 6, 8)).astype(np.uint8)
KEPT = RNG.standard_normal(int(MASK.sum())).astype(np.float32)
SPARSE = np.zeros(MASK.shape, np.float32)
SPARSE[MASK.astype(bool)] = KEPT

PACKED = [
    added(
        "constexpr_affine_dequantize",
        (Q.astype(np.float32) - columns(ZERO.astype(np.float32))) * columns(SCALE),
        quantized_data=Q,
        zero_point=ZERO,
        scale=SCALE,
        axis=0,
    ),
    added(
        "constexpr_lut_to_dense",
        LUT[INDICES],
        indices=packed(INDICES, 6),
        lut=LUT,
        shape=np.array(INDICES.shape, np.uint32),
    ),
    added(
        "constexpr_cast",
        SCALE.astype(np.float16).astype(np.float32).reshape(4, 1, 1),
        source_val=SCALE.astype(np.float16).reshape(4, 1, 1),
        output_dtype="fp32",
    ),
    Case(
        "quantize",
        lambda mb, x: mb.dequantize(
            input=mb.quantize(
                input=x, scale=np.float32(0.01), zero_point=np.uint8(10), output_dtype="uint8"
            ),
            scale=np.float32(0.01),
            zero_point=np.uint8(10),
        ),
        lambda x: ((np.rint(x / np.float32(0.01)) + 10).clip(0, 255) - 10) * np.float32(0.01),
    ),
    Case(
        "quantize-channels",
        lambda mb, x: mb.cast(
            x=mb.quantize(input=x, scale=SCALE, zero_point=ZERO, output_dtype="int8", axis=1),
            dtype="fp32",
        ),
        lambda x: (np.rint(x / columns(SCALE)) + columns(ZERO)).clip(-128, 127).astype(np.float32),
    ),
]

BLOCKS = RNG.integers(-8, 8, (4, 6, 8)).astype(np.int8)
BLOCK_SCALE = RNG.uniform(0.1, 1, (4, 2, 1)).astype(np.float32)
BLOCK_OFFSET = RNG.integers(-3, 4, (4, 2, 1)).astype(np.int8)
TABLES = RNG.standard_normal((2, 1, 1, 4, 1)).astype(np.float32)  # one palette for two channels
NARROW = RNG.integers(0, 4, (4, 6, 8)).astype(np.uint8)


def typed(kind: str, values: Array) -> Any:
    """Values in one of MIL's types below a byte, which numpy knows as a tagged whole byte."""
    types = pytest.importorskip("coremltools.converters.mil.mil.types")
    return values.astype(types.nptype_from_builtin(types.string_to_builtin(kind)))


def blockwise(mb: Any, x: Any) -> Any:
    given = {"data": typed("int4", BLOCKS), "offset": typed("int4", BLOCK_OFFSET)}
    return mb.add(x=x, y=mb.constexpr_blockwise_shift_scale(scale=BLOCK_SCALE, **given))


def grouped_palette(mb: Any, x: Any) -> Any:
    return mb.add(x=x, y=mb.constexpr_lut_to_dense(indices=typed("uint2", NARROW), lut=TABLES))


PLAIN = [
    Case(
        "constexpr_blockwise_shift_scale",
        blockwise,
        lambda x: (
            x + (BLOCKS.astype(np.float32) - BLOCK_OFFSET.repeat(3, 1)) * BLOCK_SCALE.repeat(3, 1)
        ),
    ),
    Case(
        "constexpr_lut_to_dense-groups",
        grouped_palette,
        lambda x: (
            x + np.stack([TABLES[channel // 2, 0, 0, NARROW[channel], 0] for channel in range(4)])
        ),
    ),
]
ALL = [("iOS17", case) for case in PACKED] + [("iOS18", case) for case in PLAIN]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Array]]:
    return {
        opset: convert(cases, tmp_path_factory.mktemp(opset), opset)
        for opset, cases in (("iOS17", PACKED), ("iOS18", PLAIN))
    }


@pytest.mark.parametrize(("opset", "case"), ALL, ids=[case.name for _, case in ALL])
def test_as_meant(opset: str, case: Case, outputs: dict[str, dict[str, Array]]) -> None:
    check(case, outputs[opset])


def test_no_op_is_left_untested() -> None:
    covered = {case.name.partition("-")[0] for _, case in ALL} | {"dequantize"}
    assert covered >= mil_ops_weights.OPS.keys()


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
def test_numbers_of_any_width_survive_packing(bits: int) -> None:
    numbers = RNG.integers(0, 1 << bits, 37)
    np.testing.assert_array_equal(unpack_bits(packed(numbers, bits), bits, 37), numbers)


def test_too_few_bytes_are_told() -> None:
    with pytest.raises(MLProgramError, match="2 bytes cannot hold 3 numbers of 6 bits"):
        unpack_bits(np.zeros(2, np.uint8), 6, 3)


def test_halves_round_to_even_and_ends_saturate() -> None:
    x = torch.tensor([0.5, 1.5, -0.5, 2.5, 300.0, -300.0])
    got = mil_ops_weights.quantize(x, torch.tensor(1.0), "int8")
    assert got.tolist() == [0, 2, 0, 2, 127, -128]


def test_vector_palette_fills_along_its_axis() -> None:
    """The MIL documentation's own example (constexpr_lut_to_dense, case 2.1)."""
    indices = torch.tensor([[[0, 0], [1, 0]], [[1, 1], [0, 0]]])
    a, b = [1.0, 2.0, 3.0], [10.0, 20.0, 30.0]
    lut = torch.tensor([a, b]).reshape(1, 1, 1, 2, 3)
    got = mil_ops_weights.constexpr_lut_to_dense(indices, lut, vector_axis=1)
    assert got.shape == (2, 6, 2)
    assert got[0, :, 0].tolist() == a + b
    assert got[1, :, 1].tolist() == b + a
