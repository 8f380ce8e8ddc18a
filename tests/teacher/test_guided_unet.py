"""The guided U-Net: where guidance enters, its regression, ablations, sizes."""

from dataclasses import replace

import pytest
import torch

from pellucid_teacher.networks.guided_unet import (
    PRESETS,
    Block,
    GuidanceConfig,
    GuidedUNet,
    GuidedUNetConfig,
)

TOY = GuidedUNetConfig((8, 16, 16), fold=2, blocks=1, guidance=GuidanceConfig((4, 8), width=8))


def built(config: GuidedUNetConfig = TOY, seed: int = 0) -> GuidedUNet:
    torch.manual_seed(seed)
    network = GuidedUNet(config)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return network.eval()


def inputs(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state, blurred = torch.rand(2, 2, 3, 32, 48, generator=generator) * 2 - 1
    return state, blurred, torch.tensor([0.9, 0.2])


def test_guidance_prepared_once_gives_the_same_picture() -> None:
    network = built()
    state, blurred, level = inputs()
    with torch.no_grad():
        guide = network.guide(blurred)
        assert {scale: tuple(g.shape[1:]) for scale, g in guide.items()} == {
            4: (8, 8, 12),
            8: (8, 4, 6),
        }
        assert torch.equal(network(state, blurred, level), network(state, blurred, level, guide))


def test_guidance_matters_where_it_is_injected() -> None:
    assert TOY.guidance is not None
    state, blurred, level = inputs()
    for injected in (True, False):
        network = built(replace(TOY, guidance=replace(TOY.guidance, injected=injected)))
        with torch.no_grad():
            guide = network.guide(blurred)
            other = {scale: g + 1.0 for scale, g in guide.items()}
            same = torch.equal(
                network(state, blurred, level, guide), network(state, blurred, level, other)
            )
        assert same is not injected


def test_gray_guidance_does_not_see_colour() -> None:
    network = built()
    assert network.guidance is not None
    _, blurred, _ = inputs()
    weights = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]
    gray = (blurred * weights).sum(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    with torch.no_grad():
        for scale, found in network.guide(blurred).items():
            assert torch.allclose(found, network.guide(gray)[scale], atol=1e-5)


def test_a_regression_that_adds_nothing_costs_the_blur() -> None:
    network = built()
    assert network.guidance is not None
    for head in network.guidance.heads.values():
        torch.nn.init.zeros_(head.weight)  # type: ignore[arg-type]
        torch.nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    clean, blurred, _ = inputs()
    with torch.no_grad():
        loss = network.guidance.loss(network.guide(blurred), blurred, clean)
        expected = sum(
            (network.guidance.structure(blurred, s) - network.guidance.structure(clean, s))
            .square()
            .mean()
            for s in (4, 8)
        )
        assert float(loss) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("gray", [True, False])
@pytest.mark.parametrize("reduced", [True, False])
def test_ablations_differ_in_what_the_guidance_sees(gray: bool, reduced: bool) -> None:
    assert TOY.guidance is not None
    network = built(replace(TOY, guidance=replace(TOY.guidance, gray=gray, reduced=reduced)))
    state, blurred, level = inputs()
    assert network.guidance is not None
    planes = (1 if gray else 3) * (1 if reduced else 16)
    assert network.guidance.structure(blurred, 4).shape == (2, planes, 8, 12)
    with torch.no_grad():
        assert network(state, blurred, level).shape == blurred.shape


def test_every_part_learns() -> None:
    network = built().train()
    for block in network.modules():
        if isinstance(block, Block):
            torch.nn.init.normal_(block.conv2.weight, std=0.1)
    state, blurred, level = inputs()
    assert network.guidance is not None
    guide = network.guide(blurred)
    loss = network(state, blurred, level, guide).square().mean()
    (loss + network.guidance.loss(guide, blurred, state)).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_built_and_tell_their_multiple(name: str) -> None:
    config = PRESETS[name]
    with torch.device("meta"):
        network = GuidedUNet(config)
        side = 4 * config.multiple
        picture = torch.empty(1, 3, side, side)
        assert network(picture, picture, torch.empty(1)).shape == picture.shape


def test_guidance_at_a_scale_without_a_level() -> None:
    with pytest.raises(ValueError, match="no level at 1/2"):
        GuidedUNetConfig((8, 16), fold=4, guidance=GuidanceConfig((2,)))
