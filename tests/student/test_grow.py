"""Growth keeps what the small network computes, and lets every new unit learn."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pellucid_student.layers import fold
from pellucid_student.net2net import grow_from
from pellucid_student.plain_unet import PICO, PlainUNet, PlainUNetConfig
from pellucid_student.steps import restore
from pellucid_student.weights import Provenance, begin_from, save_student

LARGER = PlainUNetConfig((32, 48, 48), (2, 1, 3), (2, 1), code_width=40)


def small() -> PlainUNet:
    torch.manual_seed(0)
    model = PlainUNet(PICO)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    return model.eval()


def folded(model: PlainUNet) -> PlainUNet:
    deployed = fold(model)
    assert isinstance(deployed, PlainUNet)
    return deployed


def picture() -> torch.Tensor:
    return 2 * torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1)) - 1


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("config", [PICO, LARGER])
def test_the_grown_network_restores_the_same(config: PlainUNetConfig, steps: int) -> None:
    model = small()
    large = PlainUNet(config).eval()
    grow_from(folded(model), large)
    before = restore(model, picture(), steps)
    after = restore(large, picture(), steps)
    assert (before - picture()).abs().max() > 0.05, "a network that does nothing shows nothing"
    assert torch.allclose(before, after, atol=1e-5)


def test_new_units_get_gradients() -> None:
    large = PlainUNet(LARGER)
    grow_from(folded(small()), large)
    restored = large(picture())
    restored.square().mean().backward()
    gradient = large.head.weight.grad
    assert gradient is not None
    assert (gradient[:, PICO.widths[0] :].abs().amax(dim=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize(
    "config",
    [
        replace(LARGER, widths=(16, 16, 48)),
        replace(LARGER, code_width=16),
        replace(LARGER, degradations=LARGER.degradations[::-1]),
        PlainUNetConfig((32, 48, 48, 48), (1, 1, 1, 1), (1, 1, 1), 40, 48),
    ],
)
def test_nothing_may_shrink(config: PlainUNetConfig, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_student(path, small(), Provenance("pico", "drawn", 0, "CC0-1.0"))
    with pytest.raises(ValueError, match=r"small\.safetensors: cannot grow"):
        begin_from(PlainUNet(config), path)
