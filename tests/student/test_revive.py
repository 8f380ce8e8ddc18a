"""Dead channels: found, given a fresh start, and nothing else changed."""

import torch
from torch import nn

from pellucid_student.layers import ResidualBlock
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.revive import revive
from pellucid_teacher.processes import diffuir

SCHED = diffuir.schedule()


def test_dead_channels_live_again_and_pictures_stay() -> None:
    torch.manual_seed(0)
    model = PlainUNet(PICO)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    blocks = [m for m in model.modules() if isinstance(m, ResidualBlock)]
    picture = 2 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) - 1

    def run() -> torch.Tensor:
        with torch.no_grad():
            return diffuir.sample(model, SCHED, picture, 1)

    revive(model, run)  # a drawn network may have some, too
    assert revive(model, run) == 0
    dead = [(0, 3), (0, 7), (2, 1)]
    with torch.no_grad():
        for block, channel in dead:
            blocks[block].conv1.bias[channel] = -1e3
    before, kept = run(), blocks[0].conv1.weight[0].clone()
    assert revive(model, run) == len(dead)
    assert torch.allclose(run(), before, atol=1e-5)
    assert torch.equal(blocks[0].conv1.weight[0], kept), "the living are left alone"
    assert revive(model, run) == 0
    model(picture, picture, SCHED.time(torch.tensor([999]))).square().mean().backward()
    for block, channel in dead:
        gradient = blocks[block].conv2.weight.grad
        assert gradient is not None and gradient[:, channel].abs().max() > 0
