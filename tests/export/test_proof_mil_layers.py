"""Layers, pictures and shapes, written by coremltools, against torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mil_cases import Array, Case, check, convert

from pellucid_export.coreml.mil import ops_image as mil_ops_image
from pellucid_export.coreml.mil import ops_layers as mil_ops_layers
from pellucid_export.coreml.mil import ops_shape as mil_ops_shape

RNG = np.random.default_rng(5)


def values(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def by_torch(f: Callable[[Any], torch.Tensor]) -> Callable[[Array], Array]:
    return lambda x: f(torch.from_numpy(x)).numpy()


def case(name: str, expected: Callable[[Any], torch.Tensor], label: str = "", **given: Any) -> Case:
    return Case(name + label, lambda mb, x: getattr(mb, name)(x=x, **given), by_torch(expected))


def t(array: Array) -> torch.Tensor:
    return torch.from_numpy(array)


W, B, DW = values(5, 4, 3, 3), values(5), values(4, 1, 3, 3)
WT, WG = values(4, 3, 3, 3), values(4, 2, 2, 2)  # (C_in, C_out / groups, kh, kw)
L, LB, M = values(7, 8), values(7), values(8, 3)
EVEN, ODD = [1, 1, 2, 2], [0, 1, 2, 0]  # top, bottom, left, right

LAYERS = [
    case("conv", lambda x: F.conv2d(x, t(W)), weight=W, pad_type="valid"),
    case(
        "conv",
        lambda x: F.conv2d(x, t(W), t(B), 2, (1, 2)),
        "_custom",
        weight=W,
        bias=B,
        pad_type="custom",
        pad=EVEN,
        strides=[2, 2],
    ),
    case(
        "conv",
        lambda x: F.conv2d(F.pad(x, (2, 0, 0, 1)), t(W), t(B)),
        "_uneven",
        weight=W,
        bias=B,
        pad_type="custom",
        pad=ODD,
    ),
    # 6 and 8 at stride 2, kernel 3: one row and one column are missing; same puts them last.
    case(
        "conv",
        lambda x: F.conv2d(F.pad(x, (0, 1, 0, 1)), t(W), stride=2),
        "_same",
        weight=W,
        pad_type="same",
        strides=[2, 2],
    ),
    case(
        "conv",
        lambda x: F.conv2d(F.pad(x, (1, 0, 1, 0)), t(W), stride=2),
        "_same_lower",
        weight=W,
        pad_type="same_lower",
        strides=[2, 2],
    ),
    case(
        "conv",
        lambda x: F.conv2d(x, t(DW), dilation=2, padding=2, groups=4),
        "_depthwise",
        weight=DW,
        pad_type="custom",
        pad=[2, 2, 2, 2],
        dilations=[2, 2],
        groups=4,
    ),
    case(
        "conv_transpose",
        lambda x: F.conv_transpose2d(x, t(WT), t(B[:3]), 2),
        weight=WT,
        bias=B[:3],
        pad_type="valid",
        strides=[2, 2],
    ),
    case(
        "conv_transpose",
        lambda x: F.conv_transpose2d(x, t(WT), None, 2, 1, output_padding=1),
        "_output_shape",
        weight=WT,
        pad_type="custom",
        pad=[1, 1, 1, 1],
        strides=[2, 2],
        output_shape=[1, 3, 12, 16],
    ),
    case(
        "conv_transpose",
        lambda x: F.conv_transpose2d(x, t(WG), None, 2, groups=2),
        "_groups",
        weight=WG,
        pad_type="valid",
        strides=[2, 2],
        groups=2,
    ),
    case("linear", lambda x: F.linear(x, t(L), t(LB)), weight=L, bias=LB),
    case("matmul", lambda x: x @ t(M), y=M),
    case("matmul", lambda x: x.mT @ t(M[:6]), "_transposed", y=M[:6], transpose_x=True),
    case(
        "avg_pool",
        lambda x: F.avg_pool2d(x, 2),
        kernel_sizes=[2, 2],
        strides=[2, 2],
        pad_type="valid",
    ),
    case(
        "avg_pool",
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=True),
        "_padded",
        kernel_sizes=[3, 3],
        strides=[2, 2],
        pad_type="custom",
        pad=[1, 1, 1, 1],
    ),
    case(
        "avg_pool",
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        "_excluded",
        kernel_sizes=[3, 3],
        strides=[2, 2],
        pad_type="custom",
        pad=[1, 1, 1, 1],
        exclude_padding_from_average=True,
    ),
    case(
        "avg_pool",
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        "_ceil",
        kernel_sizes=[3, 3],
        strides=[2, 2],
        pad_type="custom",
        pad=[1, 1, 1, 1],
        ceil_mode=True,
    ),
    case(
        "max_pool",
        lambda x: F.max_pool2d(x, 3, 2, 1),
        kernel_sizes=[3, 3],
        strides=[2, 2],
        pad_type="custom",
        pad=[1, 1, 1, 1],
    ),
    case(
        "max_pool",
        lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
        "_ceil",
        kernel_sizes=[3, 3],
        strides=[2, 2],
        pad_type="valid",
        ceil_mode=True,
    ),
]


def resized(size: tuple[int, int], align: bool) -> Callable[[Any], torch.Tensor]:
    return lambda x: F.interpolate(x, size, mode="bilinear", align_corners=align)


def padded(mode: str) -> Callable[[Array], Array]:
    return lambda x: np.pad(x, ((0, 0), (0, 0), (0, 1), (2, 0)), mode=mode)  # type: ignore[call-overload]


def resize(mode: str, expected: Callable[[Any], torch.Tensor], size: tuple[int, int]) -> Case:
    given = {"target_size_height": size[0], "target_size_width": size[1], "sampling_mode": mode}
    return case("resize_bilinear", expected, "_" + mode, **given)


IMAGES = [
    Case("pad", lambda mb, x: mb.pad(x=x, pad=ODD, mode="reflect"), padded("reflect")),
    Case("pad_replicate", lambda mb, x: mb.pad(x=x, pad=ODD, mode="replicate"), padded("edge")),
    case(
        "pad", lambda x: F.pad(x, (2, 0, 0, 1), value=0.7), "_constant", pad=ODD, constant_val=0.7
    ),
    case("crop", lambda x: x[:, :, 1:-2, 3:-1], crop_height=[1, 2], crop_width=[3, 1]),
    case(
        "upsample_nearest_neighbor",
        lambda x: x.repeat_interleave(2, 2).repeat_interleave(3, 3),
        scale_factor_height=2,
        scale_factor_width=3,
    ),
    case(
        "resize_nearest_neighbor",
        lambda x: F.interpolate(x, (9, 5), mode="nearest"),
        target_size_height=9,
        target_size_width=5,
    ),
    case(
        "upsample_bilinear",
        resized((12, 16), True),
        scale_factor_height=2,
        scale_factor_width=2,
        align_corners=True,
    ),
    case(
        "upsample_bilinear",
        resized((12, 16), False),
        "_half_pixel",
        scale_factor_height=2,
        scale_factor_width=2,
        align_corners=False,
    ),
    resize("UNALIGN_CORNERS", resized((9, 5), False), (9, 5)),
    resize("STRICT_ALIGN_CORNERS", resized((9, 5), True), (9, 5)),
    resize("ALIGN_CORNERS", resized((9, 5), True), (9, 5)),
    # At a whole factor, the default mode keeps every source pixel and puts means between.
    resize("DEFAULT", lambda x: x, (6, 8)),
]

INDEX = np.array([[2, 0], [5, 3]], np.int32)

SHAPES = [
    Case(
        "cast",
        lambda mb, x: mb.cast(x=mb.mul(x=x, y=9.0), dtype="int32"),
        lambda x: (x * 9).astype(np.int32),
    ),
    case("reshape", lambda x: x.reshape(1, 2, 12, 8), shape=[0, 2, -1, 0]),
    case("transpose", lambda x: x.permute(0, 2, 3, 1), perm=[0, 2, 3, 1]),
    case("expand_dims", lambda x: x[..., None], axes=[-1]),
    case("squeeze", lambda x: x[0], axes=[0]),
    Case(
        "concat",
        lambda mb, x: mb.concat(values=(x, x), axis=1),
        lambda x: np.concatenate((x, x), 1),
    ),
    Case(
        "concat_interleaved",
        lambda mb, x: mb.concat(values=(x, mb.mul(x=x, y=2.0)), axis=1, interleave=True),
        lambda x: np.stack((x, 2 * x), 2).reshape(1, 8, 6, 8),
    ),
    Case("stack", lambda mb, x: mb.stack(values=(x, x), axis=2), lambda x: np.stack((x, x), 2)),
    Case(
        "split",
        lambda mb, x: mb.split(x=x, num_splits=2, axis=1)[1],
        lambda x: x[:, 2:],
    ),
    Case(
        "split_sizes",
        lambda mb, x: mb.split(x=x, split_sizes=[3, 5], axis=3)[0],
        lambda x: x[..., :3],
    ),
    case(
        "slice_by_index",
        lambda x: x[0, 1:, :, -5:-1:2],
        begin=[0, 1, 0, -5],
        end=[0, 0, 0, -1],
        stride=[1, 1, 1, 2],
        end_mask=[False, True, True, False],
        begin_mask=[False, False, True, False],
        squeeze_mask=[True, False, False, False],
    ),
    case("slice_by_size", lambda x: x[:, 1:3, :, 2:], begin=[0, 1, 0, 2], size=[1, 2, -1, -1]),
    case("gather", lambda x: x[:, :, t(INDEX).long()], indices=INDEX, axis=2),
    case("tile", lambda x: x.repeat(1, 2, 1, 3), reps=[1, 2, 1, 3]),
    case("reverse", lambda x: x.flip(1, 3), axes=[1, 3]),
    case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), upscale_factor=2),
    case("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), downscale_factor=np.uint32(2)),
    # With one output channel both channel orders agree; space_to_depth must undo depth_to_space.
    Case(
        "shape",
        lambda mb, x: mb.cast(x=mb.shape(x=x), dtype="fp32"),
        lambda x: np.array(x.shape, np.float32),
    ),
    Case(
        "fill_like",
        lambda mb, x: mb.fill_like(ref_tensor=x, value=0.5),
        lambda x: np.full_like(x, 0.5),
    ),
]

TABLES = {"layers": LAYERS, "images": IMAGES, "shapes": SHAPES}
ALL = [(name, case) for name, cases in TABLES.items() for case in cases]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Array]]:
    return {name: convert(cases, tmp_path_factory.mktemp(name)) for name, cases in TABLES.items()}


@pytest.mark.parametrize(("table", "case"), ALL, ids=[case.name for _, case in ALL])
def test_as_torch(table: str, case: Case, outputs: dict[str, dict[str, Array]]) -> None:
    check(case, outputs[table])


# Tested in test_proof_mil_direct.py.
DIRECT = {"fill", "resize_bilinear"}


def test_no_op_is_left_untested() -> None:
    known = mil_ops_layers.OPS.keys() | mil_ops_image.OPS.keys() | mil_ops_shape.OPS.keys()
    assert {case.name for _, case in ALL} | DIRECT >= known
