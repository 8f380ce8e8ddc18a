"""The student: folding, scene code, receptive field, weights on disk."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pellucid.scene import KNOTS
from pellucid_student.layers import RepConv, ResidualBlock, fold
from pellucid_student.plain_unet import (
    FIRST_DEGRADATIONS,
    PICO,
    PRESETS,
    PlainUNet,
    PlainUNetConfig,
    receptive_radius,
)
from pellucid_student.scene import measure_scene
from pellucid_student.weights import Provenance, load_student, parameter_count, save_student


def student(config: PlainUNetConfig = PICO, seed: int = 0) -> PlainUNet:
    """A student with every parameter drawn, so that no branch is silently zero."""
    torch.manual_seed(seed)
    model = PlainUNet(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    return model.eval().requires_grad_(False)


def condition(height: int = 32, width: int = 48, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(1, 3, height, width, generator=generator) - 1


def test_sizes_of_the_family() -> None:
    counts = {name: parameter_count(fold(PlainUNet(config))) for name, config in PRESETS.items()}
    assert counts["tiny"] <= 900_000
    assert counts["nano"] <= 350_000
    assert counts["pico"] <= 140_000
    assert counts["large"] >= 5 * counts["tiny"]


def test_large_weights_are_kept_in_16_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = student(), tmp_path / "w.safetensors"
    monkeypatch.setattr("pellucid_student.weights.LARGEST_FILE", 100_000)
    save_student(path, model, Provenance("pico", "drawn", 0, "CC0-1.0"))
    kept, _ = load_student(path)
    assert path.stat().st_size < 2.3 * parameter_count(kept)
    weight = fold(model).state_dict()["stem.weight"]
    assert torch.equal(kept.state_dict()["stem.weight"], weight.bfloat16().float())


def test_untrained_student_leaves_pictures_nearly_alone() -> None:
    torch.manual_seed(0)
    restored = PlainUNet(PICO).eval()(condition())
    assert (restored - condition()).abs().mean() < 0.05


def test_a_given_scene_is_used_and_none_is_measured() -> None:
    model, scene = student(), torch.rand(1, PICO.scene_size)
    measured = model(condition())
    assert torch.equal(model(condition(), model.scene_of(condition())), measured)
    assert not torch.allclose(model(condition(), scene), measured, atol=1e-4)


def test_folding_changes_nothing_but_the_parameters() -> None:
    model = student(replace(PICO, encoder_blocks=(2, 1, 1)))
    before, after = model(condition()), fold(model)(condition())
    assert (before - after).abs().max() < 1e-5
    assert parameter_count(fold(model)) < parameter_count(model)


def test_folded_kernel_is_the_sum_of_its_branches() -> None:
    conv = RepConv(4, 4)
    for parameter in conv.parameters():
        nn.init.normal_(parameter)
    assert conv.point is not None and conv.scale is not None
    x = torch.randn(1, 4, 6, 6)
    branches = (
        nn.functional.conv2d(x, conv.weight, conv.bias, padding=1)
        + nn.functional.conv2d(x, conv.point[:, :, None, None])
        + conv.scale[:, None, None] * x
    )
    assert torch.allclose(conv(x), branches, atol=1e-5)


@pytest.mark.parametrize("name", ["pico", "nano"])
def test_receptive_radius_is_a_bound_and_nearly_tight(name: str) -> None:
    config = PRESETS[name]
    radius, size = receptive_radius(config), 256
    model = student(config).double()
    scene = torch.rand(1, config.scene_size).double()
    image = condition(size, size).double().requires_grad_(True)
    reach = 0
    for y, x in ((128, 128), (127, 120), (121, 135)):
        (gradient,) = torch.autograd.grad(model(image, scene)[0, :, y, x].sum(), image)
        rows, cols = gradient[0].abs().sum(0).nonzero(as_tuple=True)
        reach = max(reach, int((rows - y).abs().max()), int((cols - x).abs().max()))
    assert reach <= radius
    assert reach >= radius - 2 * config.multiple


def test_a_gate_shuts_a_channel() -> None:
    """A bias far below zero in front of the ReLU is as good as a column of zeros behind it."""
    torch.manual_seed(0)
    block, x, code = ResidualBlock(16, code_width=4), torch.randn(1, 16, 8, 8), torch.ones(1, 4)
    assert block.gate is not None
    assert torch.equal(block(x, code), x + block.conv2(block.conv1(x).relu()))  # open at the start
    with torch.no_grad():
        block.gate.weight[3] = -100.0
        shut = block(x, code)
        block.gate.weight[3] = 0.0
        block.conv2.weight[:, 3] = 0.0
    assert torch.allclose(shut, block(x, code), atol=1e-6)
    assert not torch.allclose(shut, ResidualBlock(16)(x))


def light(image: Tensor) -> Tensor:
    """The light part of one picture's scene code, (4, knots)."""
    return measure_scene(image)[0, : 4 * len(KNOTS)].reshape(4, -1)


def test_scene_is_a_soft_histogram() -> None:
    flat = torch.full((1, 3, 8, 8), KNOTS[3])
    expected = torch.zeros(4, len(KNOTS))
    expected[:, 3] = 1.0
    assert torch.allclose(light(flat), expected, atol=1e-6)
    between = torch.full((1, 3, 8, 8), (KNOTS[5] + KNOTS[6]) / 2)
    assert torch.allclose(light(between)[0, 5:7], torch.full((2,), 0.5), atol=1e-5)
    parts = measure_scene(torch.rand(3, 3, 16, 16))[:, :40].reshape(3, 4, -1).sum(2)
    assert torch.allclose(parts, torch.ones(3, 4), atol=1e-5)


def test_scene_tells_channels_apart() -> None:
    red = torch.zeros(1, 3, 8, 8)
    red[:, 0] = 1.0
    code = light(red)
    told = torch.stack([code[0, -1], code[1, 0], code[3, 0]])  # red full, green and darkest empty
    assert torch.allclose(told, torch.ones(3), atol=1e-6)


def test_tone_curve_starts_as_the_identity_and_is_monotone() -> None:
    model = PlainUNet(PICO)
    flat = torch.linspace(-1, 1, 33).repeat(1, 3, 1, 1)  # (1, 3, 1, 33)
    code = torch.randn(1, PICO.code_width).abs()
    assert torch.allclose(model.tone(flat, code), flat, atol=1e-6)
    nn.init.normal_(model.curve.weight[:3], std=0.2)
    assert (model.tone(flat, code).diff(dim=3) > 0).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [({"widths": (16, 32)}, "2 widths need"), ({"widths": (16, 32, 40)}, "multiples of 16")],
)
def test_impossible_configs_are_refused(change: dict[str, tuple[int, ...]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PlainUNetConfig(widths=change["widths"], encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1))


def test_weights_reload_from_one_file(tmp_path: Path) -> None:
    model = student()
    path = tmp_path / "pico.safetensors"
    told = Provenance("pico", "test", 7, "CC0-1.0", ["BSDS500 (non-commercial research)"])
    save_student(path, model, told)
    loaded, provenance = load_student(path)
    assert provenance == told and loaded.config == model.config
    assert torch.equal(loaded(condition()), fold(model)(condition()))


def test_a_file_keeps_its_own_degradations_whatever_is_added_later(tmp_path: Path) -> None:
    """Layers are sized by the names in the file; the first files had none and mean seven."""
    path = tmp_path / "w.safetensors"
    model = student(replace(PICO, degradations=("rain", "dust", "moire")))
    save_student(path, model, Provenance("pico", "drawn", 0, "CC0-1.0"))
    kept, _ = load_student(path)
    assert kept.config.degradations == ("rain", "dust", "moire")
    assert torch.equal(kept(condition()), fold(model)(condition()))
    first = PICO.to_dict()
    del first["degradations"]
    assert PlainUNetConfig.from_dict(first).degradations == FIRST_DEGRADATIONS


def test_foreign_or_missing_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="not a student's weights"):
        load_student(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no such weights file"):
        load_student(tmp_path / "missing.safetensors")
