"""The DiffUIR U-Net: published sizes, its blocks against plain formulas, any picture size."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid_teacher.denoiser import Denoiser
from pellucid_teacher.networks.blocks import (
    ChannelNorm,
    LinearAttention,
    ResBlock,
    SoftmaxAttention,
    TimeEmbedding,
    WSConv2d,
)
from pellucid_teacher.networks.diffuir_unet import (
    PRESETS,
    DiffUIRConfig,
    DiffUIRUNet,
    Down,
    Up,
    pad,
)
from pellucid_teacher.processes import diffuir, rddm

SMALL = DiffUIRConfig(8, (1, 2, 1, 2))


def unet(config: DiffUIRConfig = SMALL) -> DiffUIRUNet:
    torch.manual_seed(0)
    return DiffUIRUNet(config).eval().requires_grad_(False)


def picture(height: int, width: int, batch: int = 1, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(batch, 3, height, width, generator=generator) - 1


@pytest.mark.parametrize(
    ("preset", "published"),
    [
        ("diffuir-t", 886_435),
        ("diffuir-s", 3_268_643),
        ("diffuir-b", 12_406_851),
        ("diffuir-l", 36_261_187),
    ],
)
def test_parameter_counts_are_the_published_ones(preset: str, published: int) -> None:
    with torch.device("meta"):
        network = DiffUIRUNet(PRESETS[preset])
    assert sum(p.numel() for p in network.parameters()) == published


def test_share_of_time_conditioning_in_t() -> None:
    with torch.device("meta"):
        network = DiffUIRUNet(PRESETS["diffuir-t"])
    # Constants once the steps are fixed: a fifth of the model.
    time = [p for name, p in network.named_parameters() if "modulation" in name or "time" in name]
    assert sum(p.numel() for p in time) == 177_600


@pytest.mark.parametrize(
    ("width", "multipliers", "told"),
    [(12, (1, 1, 1, 1), "multiple of 8"), (0, (1, 1, 1, 1), "multiple"), (8, (1, 0, 1, 1), "four")],
)
def test_impossible_configs_are_refused(
    width: int, multipliers: tuple[int, int, int, int], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        DiffUIRConfig(width, multipliers)


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (31, 16), (5, 33), (1, 1)])
def test_any_size_keeps_its_size(size: tuple[int, int]) -> None:
    image = picture(*size)
    residual = unet()(image, image, torch.tensor([433.62]))
    assert residual.shape == image.shape
    assert residual.isfinite().all()


def test_odd_sizes_are_reflected_then_cropped() -> None:
    x_t, condition, time = picture(27, 20, seed=2), picture(27, 20), torch.tensor([894.5])
    by_hand = unet()(
        F.pad(x_t, (0, 12, 0, 5), mode="reflect"),
        F.pad(condition, (0, 12, 0, 5), mode="reflect"),
        time,
    )
    assert torch.equal(unet()(x_t, condition, time), by_hand[..., :27, :20])


def test_pad_repeats_the_edge_of_what_is_too_small_to_reflect() -> None:
    row = torch.arange(3.0).expand(1, 1, 20, 3)
    padded = pad(row)
    assert padded.shape == (1, 1, 32, 16)
    assert padded[0, 0, 0].tolist() == [0.0, 1.0] + [2.0] * 14
    assert pad(torch.arange(9.0).view(1, 1, 1, 9))[0, 0, 0].tolist() == [
        *map(float, range(9)),
        *map(float, range(7, 0, -1)),
    ]


def test_standardised_convolution_ignores_scale_and_offset_of_a_kernel() -> None:
    torch.manual_seed(0)
    conv, x = WSConv2d(4, 6, 3, padding=1).double(), torch.randn(1, 4, 8, 8).double()
    before = conv(x)
    kernel = conv.weight.detach().flatten(1)  # (6, 36)
    centred = kernel - kernel.mean(1, keepdim=True)
    expected = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    assert torch.allclose(before, F.conv2d(x, expected.view(6, 4, 3, 3), conv.bias, padding=1))
    with torch.no_grad():
        conv.weight.mul_(5.0).add_(3.0)
    assert torch.allclose(conv(x), before, atol=2e-2)  # but for the epsilon


def test_channel_norm() -> None:
    x = torch.randn(2, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = F.layer_norm(x.permute(0, 2, 3, 1), (6,)).permute(0, 3, 1, 2)
    assert torch.allclose(ChannelNorm(6)(x), expected, atol=1e-6)


def test_time_embedding_is_the_sinusoid() -> None:
    embedding = TimeEmbedding(8)
    embedding.mlp = nn.Sequential()  # what remains is the sinusoid
    time = torch.tensor([0.0, 2.0, 433.62])
    rates = torch.tensor([1.0, 10 ** (-4 / 3), 10 ** (-8 / 3), 1e-4])
    phase = time[:, None] * rates
    expected = torch.cat([phase.sin(), phase.cos()], 1)
    assert torch.allclose(embedding(time), expected, atol=1e-4)


def test_residual_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block, x, time = ResBlock(8, 16, 6), torch.randn(2, 8, 5, 5), torch.randn(2, 6)
    told = block.modulation(time * time.sigmoid())[:, :, None, None]
    scale, shift = told[:, :16], told[:, 16:]
    h = F.silu(block.norm1(block.conv1(x)) * (scale + 1) + shift)
    expected = block.shortcut(x) + F.silu(block.norm2(block.conv2(h)))
    assert torch.allclose(block(x, time), expected, atol=1e-6)


def attend_by_hand(module: LinearAttention | SoftmaxAttention, x: Tensor) -> Tensor:
    """q, k, v of each head as (B, 32, N) and what attention makes of them, one head at a time."""
    heads = []
    qkv = module.qkv(module.norm(x)).flatten(2)  # (B, 384, N)
    for head in range(4):
        q, k, v = (qkv[:, 128 * i + 32 * head :][:, :32] for i in range(3))
        if isinstance(module, SoftmaxAttention):
            weight = (q.mT @ k / 32**0.5).softmax(-1)  # (B, N, N)
            heads.append(v @ weight.mT)
        else:
            # Each output pixel sums v over all pixels with weight <softmax q, softmax k> / (N·√32).
            weight = q.softmax(1).mT @ k.softmax(2)  # (B, N, N)
            heads.append(v @ weight.mT / (x.shape[2] * x.shape[3]) / 32**0.5)
    mixed = torch.cat(heads, 1).view(x.shape[0], 128, *x.shape[2:])
    projected: Tensor = x + module.out(mixed)
    return projected


@pytest.mark.parametrize("kind", [LinearAttention, SoftmaxAttention])
def test_attention_is_its_quadratic_definition(
    kind: type[LinearAttention | SoftmaxAttention],
) -> None:
    torch.manual_seed(0)
    module, x = kind(8).double().requires_grad_(False), torch.randn(2, 8, 5, 6).double()
    assert torch.allclose(module(x), attend_by_hand(module, x))


def test_decoder_meets_the_skips_of_its_own_level_last_one_first() -> None:
    network, image = unet(), picture(32, 32)
    made: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module) -> None:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            made[name + " in"], made[name] = inputs[0], output

        module.register_forward_hook(hook)

    for level in range(4):
        down, up = network.down[level], network.up[3 - level]
        assert isinstance(down, Down) and isinstance(up, Up)
        keep(f"first {level}", down.block1)
        keep(f"second {level}", down.attention)
        keep(f"meets second {level}", up.block1)
        keep(f"meets first {level}", up.block2)
    keep("stem", network.stem)
    keep("final", network.final)
    network(image, -image, torch.tensor([433.62]))
    for skip in (f"{order} {level}" for order in ("first", "second") for level in range(4)):
        assert torch.equal(made[f"meets {skip} in"][:, -made[skip].shape[1] :], made[skip]), skip
    assert torch.equal(made["final in"][:, 8:], made["stem"])
    # Three halvings: full, 1/2, 1/4, 1/8.
    assert [made[f"second {level}"].shape[-1] for level in range(4)] == [32, 16, 8, 4]


def test_time_state_and_condition_all_matter() -> None:
    network, image, time = unet(), picture(16, 16), torch.tensor([433.62])
    before = network(image, image, time)
    for changed in (
        network(image, image, torch.tensor([993.65])),
        network(-image, image, time),
        network(image, -image, time),
    ):
        assert (changed - before).abs().max() > 1e-4


def test_every_parameter_learns() -> None:
    network = unet().train().requires_grad_(True)
    image = picture(24, 24, batch=2)
    network(image, -image, torch.tensor([10.0, 900.0])).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_rows_of_a_batch_do_not_mix() -> None:
    network, images = unet(), picture(16, 32, batch=2)
    times = torch.tensor([433.62, 993.65])
    together = network(images, -images, times)
    alone = network(images[1:], -images[1:], times[1:])
    assert torch.allclose(together[1:], alone, atol=1e-5)


def test_it_is_a_denoiser_for_both_processes() -> None:
    denoiser: Denoiser = unet()
    degraded = picture(20, 18)
    for restored in (
        diffuir.sample(denoiser, diffuir.schedule(), degraded, 2),
        rddm.sample(denoiser, rddm.restoration_schedule(), degraded, steps=2),
    ):
        assert restored.shape == degraded.shape
        assert restored.abs().max() <= 1
