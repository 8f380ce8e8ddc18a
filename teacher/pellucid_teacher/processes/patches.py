"""A patch prior on whole photos, without seams: a grid that shifts at every step (PaDIS, Hu et al.,
NeurIPS 2024, §3.2).

The photo is framed by one patch, cut into patches that do not overlap along a grid with a random
offset, denoised patch by patch and put together again. Seams of one step lie elsewhere in the next,
so none stays; overlapping patches would cost several times as much.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .edm import Denoise

BATCH = 16  # patches denoised at once


def patched(
    model: Denoise, x: Tensor, sigma: float, patch: int, generator: torch.Generator
) -> Tensor:
    """D of one photo (1, 3, H, W) at noise σ on a random grid, like x."""
    top, left = torch.randint(patch, (2,), generator=generator).tolist()
    height, width = x.shape[2:]
    bottom, right = -(top + height) % patch, -(left + width) % patch
    framed = _mirrored(x, (left, right, top, bottom))
    cells = framed.unfold(2, patch, patch).unfold(3, patch, patch)  # (1, 3, m, n, p, p)
    rows, cols = cells.shape[2:4]
    patches = cells[0].permute(1, 2, 0, 3, 4).flatten(0, 1)  # (m·n, 3, p, p)
    done = torch.cat(
        [model(part, torch.full((len(part),), sigma)) for part in torch.split(patches, BATCH)]
    )
    whole = done.reshape(rows, cols, 3, patch, patch).permute(2, 0, 3, 1, 4)  # (3, m, p, n, p)
    whole = whole.reshape(1, 3, rows * patch, cols * patch)
    return whole[..., top : top + height, left : left + width]


def _mirrored(x: Tensor, frame: tuple[int, int, int, int]) -> Tensor:
    """`x` with a frame (left, right, top, bottom) of its mirror image, also a wider one than `x`."""
    while any(frame):
        height, width = x.shape[2:]
        now = (
            min(frame[0], width - 1),
            min(frame[1], width - 1),
            min(frame[2], height - 1),
            min(frame[3], height - 1),
        )
        if not any(now):  # a single pixel has nothing to mirror
            return F.pad(x, frame, mode="replicate")
        x = F.pad(x, now, mode="reflect")
        left, right, top, bottom = (whole - part for whole, part in zip(frame, now, strict=True))
        frame = (left, right, top, bottom)
    return x
