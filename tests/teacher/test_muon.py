"""Muon: orthogonal updates, Nesterov momentum, one optimiser with Adam."""

import pytest
import torch
from torch import nn

from pellucid_teacher.training.muon import Muon, MuonAndAdam, orthogonalised


@pytest.mark.parametrize("shape", [(2, 8, 40), (2, 40, 8), (1, 16, 16)])
def test_orthogonalised_keeps_directions_and_evens_out_lengths(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    out = orthogonalised(matrices)
    assert out.shape == shape
    for given, got in zip(matrices, out, strict=True):
        u, _, v = torch.linalg.svd(given, full_matrices=False)
        inner = u.T @ got @ v.T  # diagonal where the singular vectors are kept
        assert (inner - inner.diag().diag()).abs().max() < 0.05
        if shape[1] != shape[2]:  # square random matrices have singular values near 0
            assert inner.diag().min() > 0.6 and inner.diag().max() < 1.3


def test_first_step_in_closed_form() -> None:
    """A kernel of one row: orthogonalising is dividing by the length."""
    kernel = nn.Parameter(torch.zeros(1, 1, 3, 3))
    kernel.grad = torch.arange(9.0).reshape(1, 1, 3, 3)
    Muon([kernel], lr=0.5).step()
    unit = kernel.grad / kernel.grad.norm()
    moved = kernel.detach()
    length = -(moved / unit).flatten()[1:].mean() / 0.5
    assert torch.allclose(moved, -0.5 * length * unit, atol=1e-6)
    assert 0.6 < float(length) < 1.3


def test_tall_kernels_take_longer_steps() -> None:
    moved = []
    for rows in (4, 16):
        torch.manual_seed(0)
        kernel = nn.Parameter(torch.zeros(rows, 4, 1, 1))
        kernel.grad = torch.linalg.qr(torch.randn(rows, 4))[0].reshape(rows, 4, 1, 1)
        Muon([kernel], lr=1.0).step()
        moved.append(float(torch.linalg.matrix_norm(kernel.detach().view(rows, 4), ord=2)))
    assert moved[1] == pytest.approx(2 * moved[0], rel=0.05)


def test_momentum_remembers() -> None:
    kernel = nn.Parameter(torch.zeros(1, 1, 1, 2))
    optimizer = Muon([kernel], lr=1.0, momentum=0.5)
    kernel.grad = torch.tensor([[[[1.0, 0.0]]]])
    optimizer.step()
    before = kernel.detach().clone()
    kernel.grad = torch.tensor([[[[0.0, 1.0]]]])
    optimizer.step()  # mean = (0.25, 0.5); look-ahead = (0.125, 0.75)
    step = (before - kernel.detach()).flatten()
    assert float(step[1] / step[0]) == pytest.approx(6.0, rel=1e-4)


def test_decay_takes_its_share_before_the_step() -> None:
    kernel = nn.Parameter(torch.full((2, 1, 3, 3), 2.0))
    kernel.grad = torch.zeros_like(kernel)
    Muon([kernel], lr=0.5, decay=0.2).step()
    assert torch.allclose(kernel.detach(), torch.full((2, 1, 3, 3), 1.8))


def test_decay_bounds_a_walk_that_else_grows() -> None:
    lengths = []
    for decay in (0.0, 0.5):
        torch.manual_seed(0)
        kernel = nn.Parameter(torch.zeros(4, 4, 1, 1))
        optimizer = Muon([kernel], lr=0.1, momentum=0.0, decay=decay)
        for _ in range(400):
            kernel.grad = torch.randn(4, 4, 1, 1)
            optimizer.step()
        lengths.append(float(kernel.detach().norm()))
    assert lengths[1] < 0.5 * lengths[0]


def test_both_parts_learn_and_reload() -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(3, 4, 3)
    assert isinstance(model.weight, nn.Parameter) and isinstance(model.bias, nn.Parameter)
    optimizer = MuonAndAdam([model.weight], [{"params": [model.bias], "scale": 1.0}], (0.9, 0.99))
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    model(torch.rand(1, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    assert not torch.equal(model.weight, weight) and not torch.equal(model.bias, bias)
    told = optimizer.state_dict()
    other = MuonAndAdam([model.weight], [{"params": [model.bias], "scale": 1.0}], (0.9, 0.99))
    other.load_state_dict(told)
    mean = other.parts[0].state[model.weight]["mean"]
    assert torch.equal(mean, optimizer.parts[0].state[model.weight]["mean"])


def test_either_part_may_be_empty() -> None:
    layer = nn.Linear(2, 2)
    assert isinstance(layer.weight, nn.Parameter)
    adam_only = MuonAndAdam([], [{"params": list(layer.parameters())}], (0.9, 0.99))
    assert len(adam_only.parts) == 1
    assert len(MuonAndAdam([layer.weight], [], (0.9, 0.99)).parts) == 1
