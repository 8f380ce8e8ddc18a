"""Dead units: found, given a fresh start, and nothing else changed."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from pellucid_student.dead_channels import EVERY, UNTIL, kept_alive, revive, revive_levels
from pellucid_student.layers import ResidualBlock
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.student import Student
from pellucid_teacher.training.loop import StepReport

PICTURE = 2 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) - 1


@pytest.fixture
def model() -> PlainUNet:
    """Drawn at random, all of it awake."""
    torch.manual_seed(2)
    drawn = PlainUNet(PICO)
    for parameter in drawn.parameters():
        nn.init.normal_(parameter, std=0.1)
    while revive(drawn, lambda: restored(drawn), seed=0):  # a drawn network has some, too
        pass
    return drawn


def restored(model: PlainUNet) -> torch.Tensor:
    with torch.no_grad():
        restored: torch.Tensor = model(PICTURE)
        return restored


def blocks(model: PlainUNet) -> list[ResidualBlock]:
    return [m for m in model.modules() if isinstance(m, ResidualBlock)]


def learn(model: PlainUNet) -> None:
    """Leaves gradients behind."""
    model(PICTURE).square().mean().backward()


def test_dead_channels_live_again_and_pictures_stay(model: PlainUNet) -> None:
    assert revive(model, lambda: restored(model), seed=0) == 0
    dead = [(0, 3), (0, 7), (2, 1)]
    with torch.no_grad():
        for block, channel in dead:
            blocks(model)[block].conv1.bias[channel] = -1e3
    before, kept = restored(model), blocks(model)[0].conv1.weight[0].clone()
    assert revive(model, lambda: restored(model), seed=0) == len(dead)
    assert torch.allclose(restored(model), before, atol=1e-5)
    assert torch.equal(blocks(model)[0].conv1.weight[0], kept), "the living are left alone"
    assert revive(model, lambda: restored(model), seed=0) == 0
    learn(model)
    for block, channel in dead:
        gradient = blocks(model)[block].conv2.weight.grad
        assert gradient is not None and gradient[:, channel].abs().max() > 0


def test_the_average_gets_the_same_kernels(model: PlainUNet) -> None:
    """Or it would go through mixtures of an old dead channel and a new living one."""
    average = copy.deepcopy(model)
    with torch.no_grad():
        for one in (model, average):
            blocks(one)[1].conv1.bias[5] = -1e3
        blocks(average)[1].conv1.weight[5] += 1.0
    assert revive(model, lambda: restored(model), seed=3, average=average) == 1
    ours, theirs = blocks(model)[1], blocks(average)[1]
    assert torch.equal(ours.conv1.weight[5], theirs.conv1.weight[5])
    assert theirs.conv2.weight[:, 5].abs().max() == 0


def test_a_resumed_run_draws_the_same(model: PlainUNet) -> None:
    with torch.no_grad():
        blocks(model)[1].conv1.bias[5] = -1e3
    other = copy.deepcopy(model)
    revive(model, lambda: restored(model), seed=3)
    revive(other, lambda: restored(other), seed=3)
    assert torch.equal(blocks(model)[1].conv1.weight, blocks(other)[1].conv1.weight)


def test_levels_that_nothing_enters_start_afresh(model: Any) -> None:
    assert revive_levels(model, lambda: restored(model)) is None
    with torch.no_grad():
        model.bias[1].bias.fill_(-1e3)
        for block in [model.encoder[1][0], model.encoder[2][0], model.decoder[1][0]]:
            for parameter in block.conv2.parameters():
                parameter.zero_()
        for step in model.up:
            step.weight.copy_(step.weight.mean(dim=(2, 3), keepdim=True).expand_as(step.weight))
    before, kept = restored(model), model.encoder[0][0].conv1.weight.clone()
    assert revive_levels(model, lambda: restored(model)) == 1
    assert torch.allclose(restored(model), before, atol=1e-5), "a constant everywhere is kept"
    assert torch.equal(model.encoder[0][0].conv1.weight, kept), "the finest level is left alone"
    assert revive_levels(model, lambda: restored(model)) is None
    learn(model)
    gradient = model.up[0].weight.grad
    assert gradient is not None and gradient.abs().max() > 0


def test_a_run_revives_between_checkpoints_until_late(model: PlainUNet) -> None:
    average = copy.deepcopy(model)

    def reports() -> Iterator[StepReport]:
        for step in range(1, 3 * EVERY + 1):
            with torch.no_grad():
                blocks(model)[1].conv1.bias[5] = -1e3
            yield StepReport(step, 0.0, 0.0, 0.0, step / (3 * EVERY), Student(average), True)

    first = EVERY // 4
    revived = []
    for report in kept_alive(reports(), model, lambda: restored(model), seed=0):
        if blocks(model)[1].conv1.bias[5] == 0.0:
            revived.append(report.step)
            assert torch.equal(blocks(average)[1].conv1.weight[5], blocks(model)[1].conv1.weight[5])
    assert revived == [first, first + EVERY]  # the third would come after UNTIL
    assert (first + 2 * EVERY) / (3 * EVERY) > UNTIL
