"""The student's only trainable spatial layer: a 3x3 convolution, over-parametrised while it learns.

    W = W_3x3 + centre(W_1x1) + diag(s)

Linear branches add up, so the sum is taken over weights, not over feature maps: training costs one
convolution too, and deployment is one plain convolution with the same numbers (cf. RepVGG, Ding et
al., CVPR 2021; no norm here, hence nothing to fold but a sum).
"""

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class RepConv(nn.Module):
    """3x3 convolution, zero padding 1, stride 1: (B, C_in, H, W) -> (B, C_out, H, W)."""

    def __init__(self, c_in: int, c_out: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.point: nn.Parameter | None = nn.Parameter(torch.zeros(c_out, c_in))
        self.scale = nn.Parameter(torch.zeros(c_out)) if c_in == c_out else None
        self.bias = nn.Parameter(torch.zeros(c_out))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        with torch.no_grad():
            self.weight.mul_(gain)

    def folded(self) -> Tensor:
        """The single kernel that the branches add up to, (C_out, C_in, 3, 3)."""
        if self.point is None:
            return self.weight
        point = self.point if self.scale is None else self.point + torch.diag(self.scale)
        return self.weight + F.pad(point[:, :, None, None], (1, 1, 1, 1))

    def fold_(self) -> None:
        """Replace the branches by their sum, in place: a plain convolution with the same output."""
        self.weight = nn.Parameter(self.folded().detach())
        self.point = self.scale = None

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.folded(), self.bias, padding=1)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x) + gate(code))), (B, C, H, W) and (B, code_width) -> (B, C, H, W).

    The gate is a bias a channel: behind it the ReLU shuts channels that this picture's task has no
    use for, so that tasks need not share them. It starts at zero. code_width 0: no gate.
    """

    def __init__(self, channels: int, code_width: int = 0) -> None:
        super().__init__()
        self.conv1 = RepConv(channels, channels)
        self.conv2 = RepConv(channels, channels, gain=0.1)
        self.gate = nn.Linear(code_width, channels, bias=False) if code_width else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        inner = self.conv1(x)
        if self.gate is not None:
            inner = inner + self.gate(code)[:, :, None, None]
        out: Tensor = x + self.conv2(F.relu(inner))
        return out


class Chain(nn.ModuleList):
    """Residual blocks in a row, all gated by the same code."""

    def __init__(self, blocks: int, channels: int, code_width: int) -> None:
        super().__init__(ResidualBlock(channels, code_width) for _ in range(blocks))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        for block in self:
            x = block(x, code)
        return x


def fold(model: Network) -> Network:
    """A deployed copy of `model`: every RepConv is one plain convolution, weights frozen."""
    deployed = copy.deepcopy(model).eval().requires_grad_(False)
    for module in deployed.modules():
        if isinstance(module, RepConv):
            module.fold_()
    return deployed.requires_grad_(False)
