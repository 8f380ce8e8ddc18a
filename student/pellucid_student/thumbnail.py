"""What belongs to the whole picture, seen whole: haze, veils and darkness of every place.

A small U-Net sees the picture and its toned copy on a fixed grid, whatever the picture's size and
shape, and says a gain g and an offset o for every cell and channel. A guided filter turns the
cells' change, J = g·I + o, into an affine map of the intensity (He, Sun, Tang, TPAMI 2013, eq.
5-6), which follows edges when it is enlarged (fast guided filter, arXiv 1505.00996). In flat
windows, where the fit says nothing, the slope is the predicted gain, so an identity stays one.

Everything is a convolution, a pooling or a product of matrices of fixed size: NPUs take it, and a
tile that is told where it lies computes the very pixels of the whole picture.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.thumbnail import GRID as GRID

from .layers import Chain, RepConv

MAPS = 6  # slope and offset of three channels
RADIUS = 2  # cells, of the guided filter's windows
FLAT = 1e-4  # variance of values in [0, 1] under which a window counts as flat
CONTRAST = 16.0  # small differences are multiplied by it, for the sake of 16-bit floats


class ThumbnailNet(nn.Module):
    """Gains and offsets of every cell, from the picture on the grid.

    widths: from GRID / 2 down. Two picture inputs in [-1, 1], (B, 6, GRID, GRID), and the code
    that says what to restore, (B, code_width) -> log-gain and offset on values in [0, 1],
    (B, 6, GRID, GRID). A new network says 0 everywhere.
    """

    def __init__(self, widths: tuple[int, ...], code_width: int) -> None:
        super().__init__()
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.stem = RepConv(24, widths[0])
        self.encoder = nn.ModuleList(Chain(1, c, code_width) for c in widths)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.decoder = nn.ModuleList(Chain(1, c, code_width) for c in widths[:-1])
        self.overall = nn.Sequential(
            nn.Linear(2 * widths[-1], widths[-1]), nn.ReLU(), nn.Linear(widths[-1], widths[-1])
        )
        self.head = RepConv(widths[0], 4 * MAPS, gain=0.0)

    def forward(self, pictures: Tensor, code: Tensor) -> Tensor:
        x = self.encoder[0](self.stem(F.pixel_unshuffle(pictures, 2)), code)
        skips: list[Tensor] = []
        for down, blocks in zip(self.down, list(self.encoder)[1:], strict=True):
            skips.append(x)
            x = blocks(F.relu(down(x)), code)
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)  # (B, 2C)
        x = x + self.overall(pooled)[:, :, None, None]
        for level in reversed(range(len(skips))):
            x = self.decoder[level](skips[level] + self.up[level](F.relu(x)), code)
        out: Tensor = F.pixel_shuffle(self.head(F.relu(x)), 2)
        return out


def shrink(picture: Tensor) -> Tensor:
    """The means of GRID x GRID equal parts of a picture, (B, C, H, W) -> (B, C, GRID, GRID)."""
    rows = area_weights(picture.shape[2], picture)  # (GRID, H)
    cols = area_weights(picture.shape[3], picture)
    with _in_floats(picture):
        return rows @ picture @ cols.transpose(0, 1)


def area_weights(length: int, like: Tensor) -> Tensor:
    """Share of each of `length` pixels in each of GRID equal parts of their row, (GRID, length)."""
    part = length / GRID
    cells = torch.arange(GRID, device=like.device, dtype=torch.float32)[:, None] * part
    pixels = torch.arange(length, device=like.device, dtype=torch.float32)[None, :]
    overlap = torch.minimum(cells + part, pixels + 1.0) - torch.maximum(cells, pixels)
    return overlap.clamp(min=0.0) / part


def changed(seen: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    """(J, g) of every cell, (B, 3, GRID, GRID) each: what the cells become, and the gains.

    seen: I, in [0, 1], (B, 3, GRID, GRID). change: log-gain and offset of each cell.
    """
    log_gain, offset = change.chunk(2, dim=1)
    gain = torch.exp(log_gain.clamp(-3.0, 4.0))
    return gain * seen + offset, gain


def fit(seen: Tensor, change: Tensor) -> Tensor:
    """Slope and offset of the intensity for every cell, (B, 6, GRID, GRID); see `changed`."""
    wanted, gain = changed(seen, change)
    mean_seen, mean_wanted, mean_gain = _mean(torch.cat([seen, wanted, gain], dim=1)).chunk(3, 1)
    apart = CONTRAST * (seen - mean_seen)
    common, variance = _mean(
        torch.cat([apart * (CONTRAST * (wanted - mean_wanted)), apart * apart], dim=1)
    ).chunk(2, dim=1)
    flat = FLAT * CONTRAST**2
    slope = (common + flat * mean_gain) / (variance + flat)
    return _mean(torch.cat([slope, mean_wanted - slope * mean_seen], dim=1))


def enlarge(maps: Tensor, height: int, width: int, window: Tensor | None = None) -> Tensor:
    """Maps of a whole picture for the pixels of a window of it, bilinear, (B, C, height, width).

    maps: (B, C, GRID, GRID). window: (B, 4), top, left, and the whole picture's height and width,
    px; None: the maps are of these pixels, no more.
    """
    if window is None:
        window = maps.new_tensor([[0.0, 0.0, height, width]])
    rows = _positions(height, window[:, 0:1], window[:, 2:3])  # (B, height, GRID)
    cols = _positions(width, window[:, 1:2], window[:, 3:4])
    with _in_floats(maps):
        return rows[:, None] @ maps @ cols[:, None].transpose(2, 3)


def _positions(length: int, first: Tensor, whole: Tensor) -> Tensor:
    """Weights of the cells for each of `length` pixels, (B, length, GRID); first, whole (B, 1)."""
    pixels = torch.arange(length, device=first.device, dtype=torch.float32) + first  # (B, length)
    at = ((pixels + 0.5) * (GRID / whole) - 0.5).clamp(0.0, GRID - 1.0)
    cells = torch.arange(GRID, device=first.device, dtype=torch.float32)
    return (1.0 - (at[:, :, None] - cells).abs()).clamp(min=0.0)


def _mean(x: Tensor) -> Tensor:
    """Mean of the window around each cell, without what lies outside of the picture.

    A product with a band matrix, which every device has; not all leave the padding out of a mean.
    """
    cells = torch.arange(GRID, device=x.device, dtype=x.dtype)
    band = ((cells[:, None] - cells).abs() <= RADIUS).to(x.dtype)
    band = band / band.sum(dim=1, keepdim=True)  # (GRID, GRID)
    with _in_floats(x):
        return band @ x @ band.transpose(0, 1)


def _in_floats(like: Tensor) -> AbstractContextManager[object]:
    """No autocast to 16 bits, where there is one: the places of pixels need more."""
    kind = like.device.type
    rounds = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if rounds else nullcontext()
