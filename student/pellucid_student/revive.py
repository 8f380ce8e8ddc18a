"""Inner channels whose ReLU never opens get a fresh start; the network's pictures stay the same.

A channel dies when its bias drifts below all that its kernel can give; no gradient brings it back.
Nine tenths of one trained student were dead before anybody looked (LOG.md).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .layers import RepConv, ResidualBlock

GAIN = 0.3  # of a fresh kernel: loud enough to be heard, not to drown its neighbours


@torch.no_grad()
def revive(model: nn.Module, run: Callable[[], object]) -> int:
    """Give every dead inner channel of every block a fresh kernel; returns how many there were.

    run: runs the model on pictures of all kinds. A revived channel is not listened to at first.
    """
    blocks = [m for m in model.modules() if isinstance(m, ResidualBlock)]
    largest = [torch.zeros(block.conv1.weight.shape[0]) for block in blocks]

    def watch(index: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(_: nn.Module, taken: tuple[Tensor, ...]) -> None:
            seen = taken[0].amax(dim=(0, 2, 3)).cpu()  # of relu(...), (C,)
            largest[index] = torch.maximum(largest[index], seen)

        return note

    hooks = [b.conv2.register_forward_pre_hook(watch(i)) for i, b in enumerate(blocks)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    for block, seen in zip(blocks, largest, strict=True):
        _refresh(block, seen <= 0.0)
    return sum(int((seen <= 0.0).sum()) for seen in largest)


def _refresh(block: ResidualBlock, dead: Tensor) -> None:
    fresh = torch.empty_like(block.conv1.weight)
    nn.init.kaiming_normal_(fresh, nonlinearity="relu")
    _zero(block.conv1, dead, rows=True)
    _zero(block.conv2, dead, rows=False)
    block.conv1.weight[dead] = GAIN * fresh[dead]
    block.conv1.bias[dead] = 0.0
    if block.gate is not None:
        block.gate.weight[dead] = 0.0


def _zero(conv: RepConv, chosen: Tensor, rows: bool) -> None:
    """Nothing into (rows) or out of the chosen channels, in every branch."""
    at = (chosen,) if rows else (slice(None), chosen)
    conv.weight[at] = 0.0
    if conv.point is not None:
        conv.point[at] = 0.0
    if conv.scale is not None:
        conv.scale[chosen] = 0.0
