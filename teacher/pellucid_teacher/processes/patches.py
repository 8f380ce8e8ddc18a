"""A patch prior on whole photos, without seams: a grid that shifts at every step (PaDIS, Hu et al.,
NeurIPS 2024, §3.2).

The photo is framed by one patch, cut into patches that do not overlap along a grid with a random
offset, denoised patch by patch and put together again. Seams of one step lie elsewhere in the next,
so none stays; overlapping patches would cost several times as much.
"""

import torch
from torch import Tensor

from .edm import Denoise

BATCH = 16  # patches denoised at once


def patched(
    model: Denoise, x: Tensor, sigma: float, patch: int, generator: torch.Generator | None
) -> Tensor:
    """D of one photo (1, 3, H, W) at noise σ on a random grid, like x."""
    top, left = torch.randint(patch, (2,), generator=generator, device=x.device).tolist()
    height, width = x.shape[2:]
    bottom, right = -(top + height) % patch, -(left + width) % patch
    rows_shown = _mirrored(-top, height + bottom, height, x.device)
    framed = x[:, :, rows_shown][..., _mirrored(-left, width + right, width, x.device)]
    cells = framed.unfold(2, patch, patch).unfold(3, patch, patch)  # (1, 3, m, n, p, p)
    rows, cols = cells.shape[2:4]
    patches = cells[0].permute(1, 2, 0, 3, 4).flatten(0, 1)  # (m·n, 3, p, p)
    done = torch.cat(
        [model(part, x.new_full((len(part),), sigma)) for part in torch.split(patches, BATCH)]
    )
    whole = done.reshape(rows, cols, 3, patch, patch).permute(2, 0, 3, 1, 4)  # (3, m, p, n, p)
    whole = whole.reshape(1, 3, rows * patch, cols * patch)
    return whole[..., top : top + height, left : left + width]


def _mirrored(start: int, stop: int, size: int, device: torch.device) -> Tensor:
    """Indices start .. stop - 1 of a row of `size` pixels that goes on as its mirror image."""
    period = max(1, 2 * (size - 1))
    index = torch.arange(start, stop, device=device).remainder(period)
    return torch.minimum(index, period - index).clamp_max(size - 1)
