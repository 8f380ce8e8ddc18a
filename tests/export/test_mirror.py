"""Mirrored kernels are a mirrored picture."""

import pytest
import torch
from export_fakes import small_student

from pellucid_export.mirror import mirror
from pellucid_teacher.macs import count_macs


@pytest.mark.parametrize("size", [(16, 16), (32, 48)])
def test_mirrored_kernels_are_a_mirrored_picture(size: tuple[int, int]) -> None:
    model = small_student()
    pictures = 2 * torch.rand(1, 6, *size, generator=torch.Generator().manual_seed(0)) - 1
    code = torch.rand(1, model.config.code_width)
    expected = model.detail(pictures.flip(3), code).flip(3)
    turned = mirror(model)
    assert not torch.allclose(model.detail(pictures, code), expected, atol=1e-3)
    assert torch.allclose(turned.detail(pictures, code), expected, atol=1e-5)
    assert count_macs(turned, (1, 3, 64, 64)) == count_macs(model, (1, 3, 64, 64))
