"""ST-LPIPS in torch: a distance worked out by hand, and its gradient."""

import pytest
import torch
from torch import Tensor, nn

from pellucid_student.losses import Losses
from pellucid_student.objective import StudentLoss
from pellucid_student.perceptual import st_lpips
from pellucid_teacher.data.stream import Batch


def hand_made() -> dict[str, Tensor]:
    """A first layer that passes the red channel on, no others: its distance can be worked out."""
    shapes = [(64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3)]
    names = ["slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13"]
    state = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
    state["scaling_layer.scale"] = torch.ones(1, 3, 1, 1)
    for index, (name, (outputs, inputs, side)) in enumerate(zip(names, shapes, strict=True)):
        state[f"net.{name}.weight"] = torch.zeros(outputs, inputs, side, side)
        state[f"net.{name}.bias"] = torch.zeros(outputs)
        state[f"lin{index}.model.1.weight"] = torch.full((1, outputs, 1, 1), 2.0)
    state["net.slice1.0.bias"][0] = 3.0  # feature (3, 0, ..) or, where red is 1, (3, 4, 0, ..)
    state["net.slice1.0.weight"][1, 0, 5, 5] = 4.0
    return state


def test_a_distance_worked_out_by_hand() -> None:
    state = hand_made()
    grey, red = torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 32, 32)
    red[1, 0] = 1.0
    # Away from the padded border: (1, 0) against (3/5, 4/5), squared 0.16 + 0.64, times w = 2.
    same, other = st_lpips(state, grey, red).tolist()
    assert same == 0.0
    assert 0.8 * 1.6 < other <= 1.6


def test_its_gradient_is_finite_also_where_nothing_is_seen() -> None:
    red = torch.zeros(1, 3, 32, 32)
    red[:, 0] = 1.0
    given = torch.zeros(1, 3, 32, 32, requires_grad=True)
    state = hand_made()
    state["net.slice1.0.bias"][0] = 0.0
    st_lpips(state, given, red).sum().backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None and given.grad.isfinite().all()


def test_small_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 24 px"):
        st_lpips({}, torch.zeros(1, 3, 20, 40), torch.zeros(1, 3, 20, 40))


def test_the_perceptual_build_adds_a_tenth_of_the_distance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pellucid_student.objective.load_st_lpips", hand_made)
    generator = torch.Generator().manual_seed(0)
    degraded, clean = (2 * torch.rand(2, 3, 32, 32, generator=generator) - 1 for _ in range(2))
    given = Batch(degraded, clean)

    def loss(names: list[str]) -> float:
        losses = Losses(later=0.0).with_terms(names)
        return float(StudentLoss(losses)(nn.Identity(), given, generator))

    distance = float(st_lpips(hand_made(), degraded, clean).mean())
    assert distance > 0.01
    assert loss(["perceptual"]) - loss([]) == pytest.approx(0.1 * distance, rel=1e-4)
    assert Losses().perceptual == 0.0
