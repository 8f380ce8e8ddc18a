"""Units whose ReLU never opens get a fresh start; the network's pictures stay the same.

A unit dies when bias, gate and kernel drift below all that its input can give; no gradient brings
it back. Nine tenths of one trained student were dead before anybody looked.
"""

from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor, nn

from pellucid_teacher.data.stream import Shard, batches
from pellucid_teacher.data.synthesis import Synthesis
from pellucid_teacher.training.loop import StepReport, TrainConfig

from .layers import RepConv, ResidualBlock
from .plain_unet import PlainUNet

GAIN = 0.3  # of a fresh kernel: loud enough to be heard, not to drown its neighbours
EVERY = 2000  # steps, until UNTIL of the run: what is revived still has to learn
UNTIL = 0.7
Run = Callable[[], object]


def kept_alive(
    reports: Iterator[StepReport],
    model: PlainUNet,
    run: Run,
    seed: int,
) -> Iterator[StepReport]:
    """The same reports; between some of them what has died in `model` is revived.

    run, seed: as of `revive`.
    """
    for report in reports:
        # Between two checkpoints, so that a resumed run revives what this one would have.
        if report.step % EVERY == EVERY // 4 and report.progress < UNTIL:
            revive(model, run, seed + report.step, cast(PlainUNet, report.average.network))
        yield report


def look(model: PlainUNet, synthesis: Synthesis, config: TrainConfig) -> None:
    """One call on a batch of every task in the mix, the same in every process."""
    shard, tasks = Shard(config.batch_size), len(synthesis.cycle)
    device = model.read_scene.weight.device
    for batch in batches(synthesis, config.seed, shard, 0, tasks, workers=0):
        model(batch.to(device).degraded)


@torch.no_grad()
def revive(model: PlainUNet, run: Run, seed: int, average: PlainUNet | None = None) -> int:
    """Give every dead inner channel of every block a fresh kernel; returns how many there were.

    run: runs the model on pictures of all kinds. seed: of the kernels, so that a resumed run draws
    the same. average: its moving average, which gets the same kernels. A revived channel is not
    listened to at first.
    """
    blocks = _blocks(model)
    largest = _largest(model, [block.conv2 for block in blocks], run)
    generator = torch.Generator().manual_seed(seed)
    averaged = blocks if average is None else _blocks(average)
    for block, follower, seen in zip(blocks, averaged, largest, strict=True):
        fresh = torch.empty(block.conv1.weight.shape)
        nn.init.kaiming_normal_(fresh, nonlinearity="relu", generator=generator)
        for one in {block, follower}:
            _refresh(one, seen <= 0.0, GAIN * fresh)
    return sum(int((seen <= 0.0).sum()) for seen in largest)


@torch.no_grad()
def revive_levels(model: PlainUNet, run: Run) -> int | None:
    """Replace everything from the first level on that nothing enters; returns that level, 1 the
    first below the finest, or None.

    Such a level adds a constant; its mean over the 2x2 cells of the step up stays, as that
    step's bias.
    """
    largest = _largest(model, list(model.encoder), run)
    level = next((n for n, seen in enumerate(largest) if n and float(seen.max()) <= 0.0), None)
    if level is None:
        return None
    finer = cast(nn.ConvTranspose2d, model.up[level - 1])
    given: list[Tensor] = []
    hook = finer.register_forward_hook(lambda _, __, out: given.append(out.mean(dim=(0, 2, 3))))
    try:
        run()
    finally:
        hook.remove()
    fresh = PlainUNet(model.config)
    for parts, first in (("encoder", 0), ("decoder", 0), ("down", -1), ("up", 0), ("bias", 0)):
        ours, theirs = getattr(model, parts), getattr(fresh, parts)
        for index in range(level + first, len(ours)):
            ours[index].load_state_dict(theirs[index].state_dict())
    finer.weight.zero_()
    assert finer.bias is not None
    finer.bias.copy_(torch.stack(given).mean(dim=0))
    return level


def _blocks(model: nn.Module) -> list[ResidualBlock]:
    return [m for m in model.modules() if isinstance(m, ResidualBlock)]


def _largest(model: nn.Module, layers: list[nn.Module], run: Run) -> list[Tensor]:
    """What enters each layer at most, by channel, [(C,), ...]."""
    largest: list[Tensor | None] = [None] * len(layers)

    def watch(index: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(_: nn.Module, taken: tuple[Tensor, ...]) -> None:
            seen, before = taken[0].amax(dim=(0, 2, 3)).cpu(), largest[index]  # (C,)
            largest[index] = seen if before is None else torch.maximum(before, seen)

        return note

    hooks = [layer.register_forward_pre_hook(watch(i)) for i, layer in enumerate(layers)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return [seen for seen in largest if seen is not None]


def _refresh(block: ResidualBlock, dead: Tensor, fresh: Tensor) -> None:
    dead = dead.to(block.conv1.weight.device)
    _zero(block.conv1, dead, rows=True)
    _zero(block.conv2, dead, rows=False)
    block.conv1.weight[dead] = fresh.to(dead.device)[dead]
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
