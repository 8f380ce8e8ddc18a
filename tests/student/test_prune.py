"""Pruning: what carries nothing goes first, and the result reloads from config and weights."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid_student.layers import RepConv
from pellucid_student.objective import Restore
from pellucid_student.plain_unet import PlainUNet, PlainUNetConfig
from pellucid_student.validation import ValidationCrops
from pellucid_student.weights import Provenance, load_student, save_student

pytest.importorskip("torch_pruning", reason="pip install 'pellucid[prune]'")
from pellucid_student.prune import macs, prune, size

WIDE = PlainUNetConfig((32, 64, 48), (1, 1, 1), (1, 1), code_width=16)


def student() -> PlainUNet:
    torch.manual_seed(0)
    model = PlainUNet(WIDE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def restored(model: PlainUNet) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    image = 2 * torch.rand(1, 3, 16, 24, generator=generator) - 1
    with torch.no_grad():
        restored: torch.Tensor = model(image)
    return restored


def test_channels_that_carry_nothing_cost_nothing() -> None:
    """Every second channel of level 1, in and out, is zero: removing half changes no pixel."""
    model: Any = student()
    dead = torch.arange(0, 64, 2)
    with torch.no_grad():
        model.down[0].weight[dead] = 0
        model.down[0].bias[dead] = 0
        model.bias[1].weight[dead] = 0
        model.bias[1].bias[dead] = 0
        model.down[1].weight[:, dead] = 0
        model.up[0].weight[dead] = 0
        model.up[1].weight[:, dead] = 0
        model.up[1].bias[dead] = 0
        for block in (model.encoder[1][0], model.decoder[1][0]):
            for conv in (block.conv1, block.conv2):
                assert isinstance(conv, RepConv) and conv.point is not None
                conv.weight[dead], conv.weight[:, dead] = 0, 0
                conv.point[dead], conv.point[:, dead] = 0, 0
                assert conv.scale is not None
                conv.scale[dead], conv.bias[dead] = 0, 0
    half = PlainUNetConfig((32, 32, 48), (1, 1, 1), (1, 1), code_width=16)
    done = prune(model, (macs(half) + 1) / macs(WIDE))
    assert done.student.config == half
    assert torch.allclose(restored(done.student), restored(model), atol=1e-5)


@pytest.mark.parametrize("ratio", [0.7, 0.4])
def test_the_ratio_is_met_and_the_file_reloads(ratio: float, tmp_path: Path) -> None:
    done = prune(student(), ratio)
    assert 0.75 * ratio <= done.macs_ratio <= ratio
    save_student(tmp_path / "p.safetensors", done.student, Provenance("pruned", "x", 0, "CC0-1.0"))
    again, _ = load_student(tmp_path / "p.safetensors")
    assert again.config == done.student.config
    assert torch.allclose(restored(again), restored(done.student), atol=1e-6)
    # It still learns: every weight gets a gradient, also for another size.
    image = torch.rand(1, 3, 32, 16)
    done.student(image).square().mean().backward()
    assert all(p.grad is not None for p in done.student.encoder.parameters())


def test_parameters_are_limited_too() -> None:
    """The deepest level holds the parameters, the finest the operations: cuts follow the limit."""
    few = prune(student(), 0.9, 120_000)
    assert few.macs_ratio <= 0.9
    assert size(few.student.config) <= 120_000 < size(prune(student(), 0.9).student.config)


class Crops(ValidationCrops):
    """Pictures on which nothing matters but the finest level's width."""

    def psnr(self, restore: Restore, device: torch.device | None = None) -> dict[str, float]:
        assert isinstance(restore, partial) and isinstance(restore.args[0], PlainUNet)
        return {"noise": float(restore.args[0].config.widths[0])}


def test_what_pictures_need_is_kept_whatever_its_magnitude() -> None:
    model = student()
    with torch.no_grad():
        model.stem.weight.mul_(0.01)
        model.stem.point.mul_(0.01)  # type: ignore[union-attr]
    assert prune(model, 0.75).student.config.widths[0] == 16
    assert prune(model, 0.75, crops=Crops({})).student.config.widths[0] == 32


def test_impossible_ratios_are_told() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        prune(student(), 1.5)
    with pytest.raises(ValueError, match="cannot go under"):
        prune(student(), 0.01)
    with pytest.raises(ValueError, match="asked for 0.9 and 100;"):
        prune(student(), 0.9, 100)
