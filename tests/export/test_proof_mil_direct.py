"""MIL ops called directly: closed forms that one program's output cannot show."""

import pytest
import torch

from pellucid_export.coreml.mil import ops_image as mil_ops_image
from pellucid_export.coreml.mil import ops_layers as mil_ops_layers
from pellucid_export.coreml.mil import ops_shape as mil_ops_shape


def test_offset_corners_reads_within_the_picture() -> None:
    row = torch.arange(5.0).reshape(1, 1, 1, 5)
    got = mil_ops_image.resize_bilinear(row, 1, 5, "OFFSET_CORNERS")
    torch.testing.assert_close(got.flatten(), torch.tensor([0.4, 1.2, 2.0, 2.8, 3.6]))


def test_default_sampling_of_a_ramp_is_a_clamped_ramp() -> None:
    row = torch.arange(2.0).reshape(1, 1, 1, 2)
    got = mil_ops_image.resize_bilinear(row, 1, 5, "DEFAULT")  # the MIL documentation's own example
    torch.testing.assert_close(got.flatten(), torch.tensor([0.0, 0.4, 0.8, 1.0, 1.0]))


def test_align_corners_of_one_output_is_the_middle() -> None:
    row = torch.arange(5.0).reshape(1, 1, 1, 5)
    assert mil_ops_image.resize_bilinear(row, 1, 1, "ALIGN_CORNERS").item() == 2.0
    assert mil_ops_image.resize_bilinear(row, 1, 1, "STRICT_ALIGN_CORNERS").item() == 0.0


def test_upsample_without_half_pixels_is_the_default_grid() -> None:
    row = torch.arange(2.0).reshape(1, 1, 1, 2)
    got = mil_ops_image.upsample_bilinear(row, 1, 2, align_corners=False, half_pixel_centers=False)
    torch.testing.assert_close(got.flatten(), torch.tensor([0.0, 0.5, 1.0, 1.0]))


def test_an_unknown_sampling_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="NEAREST"):
        mil_ops_image.resize_bilinear(torch.zeros(1, 1, 2, 2), 4, 4, "NEAREST")


def test_gather_with_batch_dimensions() -> None:
    x = torch.arange(12).reshape(2, 2, 3)
    got = mil_ops_shape.gather(x, torch.tensor([[2, 0], [1, -1]]), axis=2, batch_dims=1)
    assert got.tolist() == [[[2, 0], [5, 3]], [[7, 8], [10, 11]]]


def test_reshape_refuses_a_copied_size_without_its_dimension() -> None:
    with pytest.raises(ValueError, match="needs 4 sizes"):
        mil_ops_shape.reshape(torch.zeros(1, 4, 6, 8), torch.tensor([0, 24, -1]))


def test_fill() -> None:
    assert mil_ops_shape.fill(torch.tensor([2, 2]), torch.tensor(3.0)).tolist() == [[3, 3], [3, 3]]


def test_conv_transpose_same_makes_size_times_stride() -> None:
    x, w = torch.ones(1, 1, 1, 3), torch.tensor([1.0, 2.0, 4.0]).reshape(1, 1, 1, 3)
    # Full output 1 2 5 2 5 2 4, wanted 6: the spare one is cut at the end, by lower in front.
    strides = torch.tensor([1, 2])
    upper = mil_ops_layers.conv_transpose(x, w, pad_type="same", strides=strides)
    lower = mil_ops_layers.conv_transpose(x, w, pad_type="same_lower", strides=strides)
    assert upper.flatten().tolist() == [1, 2, 5, 2, 5, 2]
    assert lower.flatten().tolist() == [2, 5, 2, 5, 2, 4]


@pytest.mark.parametrize("dims", [1, 3])
def test_convolutions_in_one_and_three_dimensions(dims: int) -> None:
    x, w = torch.ones(1, 2, *[4] * dims), torch.ones(3, 2, *[2] * dims)
    assert set(mil_ops_layers.conv(x, w).flatten().tolist()) == {2.0 * 2**dims}
    up = mil_ops_layers.conv_transpose(x, w.transpose(0, 1), strides=torch.tensor([2] * dims))
    assert up.shape[2:] == (8,) * dims
    assert set(up.flatten().tolist()) == {2.0}
