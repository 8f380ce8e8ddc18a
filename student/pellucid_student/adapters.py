"""Feature distillation: maps of student and teacher at equal scale, joined by 1x1 convolutions.

Adapters exist only in training: the wrapper that holds them is thrown away with them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from pellucid_teacher.networks.diffuir_unet import DiffUIRUNet

from .losses import feature_l1
from .plain_unet import PlainUNet

PROBE = 64  # px; a multiple of what every network here needs


def taps(network: nn.Module) -> dict[int, nn.Module]:
    """Scale (2 = half resolution) -> the module whose output is the network's last map there."""
    if isinstance(network, PlainUNet):
        last = len(network.encoder) - 1
        fine = {2 ** (level + 1): block for level, block in enumerate(network.decoder)}
        return fine | {2 ** (last + 1): network.encoder[last]}
    if isinstance(network, DiffUIRUNet):
        deepest = len(network.up) - 1
        found: dict[int, nn.Module] = {}
        for index, up in enumerate(network.up):
            attention = up.attention
            assert isinstance(attention, nn.Module)
            found[2 ** (deepest - index)] = attention
        return found
    raise ValueError(
        f"feature distillation knows PlainUNet and DiffUIRUNet, not {type(network).__name__}; "
        "leave the ingredient `features` out"
    )


@contextmanager
def recorded(network: nn.Module, scales: tuple[int, ...]) -> Iterator[dict[int, Tensor]]:
    """Within the block, every forward leaves its maps here: scale -> (B, C, H/scale, W/scale).

    The hooks live no longer than the block, so copies of the network (the average) have none.
    """
    maps: dict[int, Tensor] = {}

    def keep(scale: int, module: nn.Module, given: object, out: Tensor) -> None:
        maps[scale] = out

    found = taps(network)
    handles = [found[scale].register_forward_hook(partial(keep, scale)) for scale in scales]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


class Learner(nn.Module):
    """A student with its adapters; called like the student, by the denoiser contract.

    teacher: the network whose maps the adapters aim at, or None for no adapters. It is only
    measured here and not kept.
    """

    def __init__(self, student: PlainUNet, teacher: nn.Module | None = None) -> None:
        super().__init__()
        self.student = student
        self.scales: tuple[int, ...] = ()
        self.adapters = nn.ModuleDict()
        if teacher is None:
            return
        self.scales = tuple(sorted(taps(student).keys() & taps(teacher).keys()))
        if not self.scales:
            raise ValueError("student and teacher share no scale; leave `features` out")
        ours, theirs = (_widths(network, self.scales) for network in (student, teacher))
        for scale in self.scales:
            self.adapters[str(scale)] = nn.Conv2d(ours[scale], theirs[scale], 1)

    def forward(self, x_t: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        """The student's own estimate, (B, 3, H, W)."""
        residual: Tensor = self.student(x_t, condition, time)
        return residual

    def feature_loss(self, ours: dict[int, Tensor], theirs: dict[int, Tensor]) -> Tensor:
        """Mean over the scales of `feature_l1` after the adapter, ()."""
        losses = [feature_l1(self.adapters[str(s)](ours[s]), theirs[s]) for s in self.scales]
        return torch.stack(losses).mean()


@torch.no_grad()
def _widths(network: nn.Module, scales: tuple[int, ...]) -> dict[int, int]:
    """Channels of the maps at `scales`, read off one small forward."""
    like = next(network.parameters())
    image = torch.zeros(1, 3, PROBE, PROBE, device=like.device, dtype=like.dtype)
    with recorded(network, scales) as maps:
        network(image, image, torch.zeros(1, device=like.device))
    return {scale: maps[scale].shape[1] for scale in scales}
