"""Parts of the DiffUIR U-Net: the residual denoising U-Net common since DDPM, with weight
standardisation (Qiao et al., arXiv 1903.10520) and linear attention (Shen et al., arXiv
1812.01243). C is the channel count of a level, N = H·W its number of pixels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8
HEADS = 4
HEAD_WIDTH = 32
HIDDEN = HEADS * HEAD_WIDTH  # 128 at every level, however narrow the level is


class WSConv2d(nn.Conv2d):
    """Convolution whose kernels are standardised on every call: (w - mean) / sqrt(var + 1e-5).

    The statistics are those of one output channel, so scaling or shifting a kernel changes nothing.
    """

    def forward(self, input: Tensor) -> Tensor:
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
        kernel = (self.weight - mean) * torch.rsqrt(variance + 1e-5)  # (C_out, C_in, 3, 3)
        out: Tensor = self._conv_forward(input, kernel, self.bias)
        return out


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel, with a gain and no bias: (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)  # (B, 1, H, W)
        return (x - mean) * torch.rsqrt(variance + 1e-5) * self.gain


class TimeEmbedding(nn.Module):
    """Sinusoid, Linear, activation (GELU by default), Linear: float time (B,) -> (B, 4·width)."""

    def __init__(self, width: int, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.waves = width // 2
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), activation or nn.GELU(), nn.Linear(4 * width, 4 * width)
        )

    def forward(self, time: Tensor) -> Tensor:
        # Wavelengths from 2π to 2π·10 000, geometrically spaced.
        exponent = torch.linspace(0.0, -math.log(1e4), self.waves, device=time.device)
        phase = time.float()[:, None] * exponent.exp()  # (B, width/2)
        embedded: Tensor = self.mlp(torch.cat([phase.sin(), phase.cos()], dim=1))  # (B, 4·width)
        return embedded


class ResBlock(nn.Module):
    """Two standardised convolutions; time scales and shifts the features of the first.

    h = SiLU(GN(conv x)·(1 + scale) + shift) ;  y = shortcut(x) + SiLU(GN(conv h))
    """

    def __init__(self, c_in: int, c_out: int, time_width: int) -> None:
        super().__init__()
        self.conv1 = WSConv2d(c_in, c_out, 3, padding=1)
        self.norm1 = nn.GroupNorm(GROUPS, c_out)
        self.conv2 = WSConv2d(c_out, c_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, c_out)
        self.modulation = nn.Linear(time_width, 2 * c_out)
        self.shortcut = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.modulation(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.norm1(self.conv1(x)) * (1.0 + scale) + shift)  # (B, C_out, H, W)
        h = F.silu(self.norm2(self.conv2(h)))  # (B, C_out, H, W)
        out: Tensor = self.shortcut(x) + h
        return out


def _split(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 3·HIDDEN, H, W) -> three of (B, HEADS, HEAD_WIDTH, N)."""
    q, k, v = qkv.reshape(len(qkv), 3, HEADS, HEAD_WIDTH, -1).unbind(1)
    return q, k, v


class LinearAttention(nn.Module):
    """x + Norm(W_o·A(Norm(x))), with attention linear in N: the keys are summed up first.

    A = (softmax_N(k)·vᵀ / N)ᵀ · softmax_C(q) / sqrt(HEAD_WIDTH)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.qkv = nn.Conv2d(channels, 3 * HIDDEN, 1, bias=False)
        self.out = nn.Sequential(nn.Conv2d(HIDDEN, channels, 1), ChannelNorm(channels))

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        q, k, v = _split(self.qkv(self.norm(x)))  # (B, HEADS, 32, N)
        q = q.softmax(dim=-2) * HEAD_WIDTH**-0.5
        k = k.softmax(dim=-1)
        v = v / (height * width)  # the norm below undoes it but for its epsilon; weights expect it
        context = torch.einsum("bhdn,bhen->bhde", k, v)  # (B, HEADS, 32, 32)
        mixed = torch.einsum("bhde,bhdn->bhen", context, q)  # (B, HEADS, 32, N)
        out: Tensor = x + self.out(mixed.reshape(batch, HIDDEN, height, width))
        return out


class SoftmaxAttention(nn.Module):
    """x + W_o·softmax(q·kᵀ / sqrt(HEAD_WIDTH))·v of Norm(x), every pixel with every other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.qkv = nn.Conv2d(channels, 3 * HIDDEN, 1, bias=False)
        self.out = nn.Conv2d(HIDDEN, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        q, k, v = (part.mT for part in _split(self.qkv(self.norm(x))))  # (B, HEADS, N, 32)
        # The fused kernel never holds the N x N scores, 17 GB for a 1080p picture.
        mixed = F.scaled_dot_product_attention(q, k, v)  # (B, HEADS, N, 32)
        out: Tensor = x + self.out(mixed.mT.reshape(batch, HIDDEN, height, width))
        return out


def make_zero(layer: nn.Module) -> None:
    """Weights and biases of a layer to 0: before training it makes nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
