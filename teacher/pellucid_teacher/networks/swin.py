"""Swin transformer blocks on feature maps (Liu et al., ICCV 2021, arXiv 2103.14030), in the form
that ResShift's U-Net uses: group norm, 1x1 convolutions around two blocks, no residual around both.

C is the width inside, K = window² the tokens of a window, N the number of windows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32
FORBIDDEN = -100.0  # added to a score between regions that a cyclic shift has made neighbours


class WindowAttention(nn.Module):
    """Attention within windows of window x window, with a learnt bias a relative position (eq. 4).

    (B, C, H, W) -> the same; H and W multiples of the window. A map no larger than one window is
    not shifted.
    """

    def __init__(self, channels: int, heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.shift = window // 2 if shifted else 0
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.position_bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.position_bias, std=0.02)
        self.register_buffer("position", relative_position(window), persistent=False)  # (K, K)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        shift = self.shift if min(height, width) > self.window else 0
        x = torch.roll(x, (-shift, -shift), dims=(2, 3))
        tokens = windows(x, self.window)  # (B·N, K, C)
        qkv = self.qkv(tokens).reshape(*tokens.shape[:2], 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B·N, heads, K, C/heads) each
        bias = self.position_bias[self.get_buffer("position")].permute(2, 0, 1)  # (heads, K, K)
        if shift:
            apart = region_mask(height, width, self.window, shift).to(bias)  # (N, K, K)
            bias = (bias + apart[:, None]).repeat(batch, 1, 1, 1)  # (B·N, heads, K, K)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        tokens = self.out(mixed.transpose(1, 2).flatten(2))  # (B·N, K, C)
        x = from_windows(tokens, self.window, (batch, channels, height, width))
        return torch.roll(x, (shift, shift), dims=(2, 3))


class SwinBlock(nn.Module):
    """x + A(norm(x)), then x + MLP(norm(x)), (B, C, H, W) -> the same."""

    def __init__(self, channels: int, heads: int, window: int, mlp: int, shifted: bool) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.attention = WindowAttention(channels, heads, window, shifted)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, mlp * channels, 1),
            nn.GELU(),
            nn.Conv2d(mlp * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class SwinLayer(nn.Sequential):
    """1x1 into `channels`, two blocks of which the second is shifted, 1x1 back to `outside`."""

    def __init__(self, outside: int, channels: int, heads: int, window: int, mlp: int) -> None:
        super().__init__(
            nn.Conv2d(outside, channels, 1),
            SwinBlock(channels, heads, window, mlp, shifted=False),
            SwinBlock(channels, heads, window, mlp, shifted=True),
            nn.Conv2d(channels, outside, 1),
        )


def windows(x: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> (B·N, K, C), windows row by row."""
    batch, channels, height, width = x.shape
    cells = x.view(batch, channels, height // size, size, width // size, size)
    return cells.permute(0, 2, 4, 3, 5, 1).reshape(-1, size * size, channels)


def from_windows(tokens: Tensor, size: int, shape: tuple[int, int, int, int]) -> Tensor:
    """The inverse of `windows` for a map of `shape` (B, C, H, W)."""
    batch, channels, height, width = shape
    cells = tokens.view(batch, height // size, width // size, size, size, channels)
    return cells.permute(0, 5, 1, 3, 2, 4).reshape(shape)


def relative_position(window: int) -> Tensor:
    """Number of the offset between two tokens of a window, (K, K), 0 .. (2·window - 1)² - 1."""
    at = torch.arange(window)
    rows, cols = torch.meshgrid(at, at, indexing="ij")
    rows, cols = rows.flatten(), cols.flatten()  # (K,)
    down = rows[:, None] - rows[None, :] + window - 1
    right = cols[:, None] - cols[None, :] + window - 1
    return down * (2 * window - 1) + right


def region_mask(height: int, width: int, window: int, shift: int) -> Tensor:
    """0 between tokens of one region of the shifted map, FORBIDDEN between others, (N, K, K)."""

    def stripes(length: int) -> Tensor:
        at = torch.arange(length)
        return (at >= length - window).long() + (at >= length - shift).long()  # 0, 1 or 2

    region = 3 * stripes(height)[:, None] + stripes(width)[None, :]  # (H, W)
    tokens = windows(region[None, None].float(), window)[..., 0]  # (N, K)
    return FORBIDDEN * (tokens[:, :, None] != tokens[:, None, :]).float()
