"""ResShift's U-Net: published size, windows against a plain loop, any picture size, the x4 grid."""

import pytest
import torch

from pellucid_teacher.networks import swin
from pellucid_teacher.networks.swin_unet import PRESETS, SwinUNet, SwinUNetConfig

SMALL = SwinUNetConfig(
    width=32, multipliers=(1, 2), blocks=1, swin_width=32, head_width=16, window=4
)


def test_published_parameter_count() -> None:
    with torch.device("meta"):
        network = SwinUNet(PRESETS["sr"])
    assert sum(p.numel() for p in network.parameters()) == 118_593_583  # published: 118.6 M


@pytest.mark.parametrize("preset", ["inpainting", "face"])
def test_conditions_come_to_the_grid_of_the_latents(preset: str) -> None:
    config = PRESETS[preset]
    with torch.device("meta"):
        network = SwinUNet(config)
        side = 64 * 2**config.halvings
        out = network(
            torch.empty(1, config.state, 64, 64),
            torch.empty(1, config.condition, side, side),
            torch.empty(1),
        )
    assert out.shape == (1, config.state, 64, 64)


def test_windows_and_back() -> None:
    x = torch.arange(2 * 3 * 8 * 12).reshape(2, 3, 8, 12)
    cut = swin.windows(x, 4)
    assert cut.shape == (12, 16, 3)
    assert torch.equal(cut[1], x[0, :, :4, 4:8].flatten(1).T)
    assert torch.equal(swin.from_windows(cut, 4, (2, 3, 8, 12)), x)


def test_relative_positions_tell_offsets_apart() -> None:
    position = swin.relative_position(3)
    assert position.shape == (9, 9) and int(position.max()) == 24
    assert int(position[0, 0]) == int(position[8, 8]) == 12  # no offset
    assert int(position[0, 1]) == int(position[4, 5])  # one to the left, wherever


def test_a_shifted_window_never_joins_opposite_borders() -> None:
    torch.manual_seed(0)
    attention = swin.WindowAttention(8, 2, 4, shifted=True).eval()
    x = torch.randn(1, 8, 8, 8)
    changed = x.clone()
    changed[..., -1, :] += 5.0  # the lowest row
    with torch.no_grad():
        difference = (attention(x) - attention(changed)).abs().amax(dim=(0, 1, 3))
    assert difference[:2].max() < 1e-5  # the two highest rows share its window after the shift
    assert difference[-1] > 1e-3


def test_attention_equals_a_loop_over_windows() -> None:
    torch.manual_seed(1)
    attention = swin.WindowAttention(8, 2, 4, shifted=False).eval()
    x = torch.randn(1, 8, 4, 8)
    with torch.no_grad():
        out = attention(x)
        tokens = x[0, :, :, 4:].flatten(1).T  # (16, 8): the second window
        q, k, v = attention.qkv(tokens).split(8, dim=1)
        bias = attention.position_bias[attention.get_buffer("position")]  # (16, 16, heads)
        heads = []
        for h in range(2):
            at = slice(4 * h, 4 * h + 4)
            scores = q[:, at] @ k[:, at].T / 2.0 + bias[..., h]
            heads.append(scores.softmax(dim=1) @ v[:, at])
        expected = attention.out(torch.cat(heads, dim=1)).T.reshape(8, 4, 4)
    assert torch.allclose(out[0, :, :, 4:], expected, atol=1e-5)


def test_any_size_and_a_fold_of_four() -> None:
    torch.manual_seed(2)
    config = SwinUNetConfig(**{**vars(SMALL), "fold": 4})
    network = SwinUNet(config).eval()
    with torch.no_grad():
        out = network(torch.randn(2, 3, 36, 52), torch.randn(2, 3, 9, 13), torch.zeros(2))
    assert out.shape == (2, 3, 36, 52)


def test_widths_that_no_group_norm_takes() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        SwinUNetConfig(width=40)
    with pytest.raises(ValueError, match="no multiple of"):
        SwinUNetConfig(swin_width=96, head_width=36)
