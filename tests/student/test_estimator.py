"""The estimator: any size, several at once, and what the student makes of its amounts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.degradations import ASKED, DEGRADATIONS
from pellucid_student.estimator import RAMPS, Estimator, ReadAmounts
from pellucid_student.estimator_training import (
    EstimatorTraining,
    loss_of,
    train_estimator,
    with_estimator,
)
from pellucid_student.objective import given_scene
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.scene import SCENE_SIZE
from pellucid_student.weights import Provenance, load_student, save_student
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.labelled import Labelled
from pellucid_teacher.data.stream import Batch
from pellucid_teacher.macs import count_macs

NAN = float("nan")


def estimator(seed: int = 0) -> Estimator:
    torch.manual_seed(seed)
    made = Estimator()
    torch.nn.init.normal_(made.out.weight, std=0.5)
    return made.eval()


def test_an_untrained_one_finds_nothing() -> None:
    fresh = Estimator()
    assert not fresh.is_trained
    assert fresh(torch.rand(2, 3, 32, 48)).max() < 0.05


def test_repeating_a_picture_side_by_side_hardly_changes_what_is_found() -> None:
    """Means and maxima know no size; only the borders differ."""
    network, picture = estimator(), torch.rand(1, 3, 128, 128)
    once, twice = network(picture), network(torch.cat([picture, picture], dim=3))
    assert (once - twice).abs().max() < 0.1


def test_the_share_of_the_cost_is_small() -> None:
    """1.2 GMAC are 4 % of what tiny takes for 1280x720."""
    assert count_macs(Estimator(), (1, 3, 720, 1280)).convolution < 1.2e9


def test_unknown_amounts_teach_nothing_and_lower_bounds_pull_up_only() -> None:
    logits = torch.tensor([[0.0, 2.0, -2.0]], requires_grad=True)
    amounts = torch.tensor([[NAN, 0.5, 0.5]])
    least = torch.tensor([[False, True, True]])
    loss_of(logits, amounts, least).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0.0 and logits.grad[0, 1] == pytest.approx(0.0, abs=1e-6)
    assert logits.grad[0, 2] < 0.0  # sigmoid(-2) = 0.12 is less than the bound


def test_it_learns_to_tell_noise() -> None:
    rng = np.random.default_rng(0)
    smooth = [np.full((160, 160, 3), level, np.uint8) for level in rng.integers(40, 200, 6)]
    labelled = Labelled(Corpus(smooth))
    network = Estimator()
    config = EstimatorTraining(steps=12, pixels=8 * 128 * 128, workers=0, warmup=2, ema=0.5)
    reports = list(train_estimator(network, labelled, config))
    assert len(reports) == 12 and network.is_trained
    assert reports[-1].loss < reports[0].loss


def test_shares_of_what_is_there_add_up_to_one() -> None:
    read = ReadAmounts(4).requires_grad_(False)
    torch.nn.init.zeros_(read.linear.bias)
    with torch.no_grad():
        read.linear.weight.zero_()
        read.linear.weight[0, : len(DEGRADATIONS) - 1] = 1.0  # the sum of all shares but JPEG's
    for count in (1, 2, 4):
        amounts = torch.zeros(1, len(DEGRADATIONS))
        amounts[0, :count] = 0.9
        assert read(amounts)[0, 0] == pytest.approx(1.0)
    assert read(torch.full((1, 7), 0.1))[0, 0] == 0.0  # too little to do anything about


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_little_is_restored_gently_and_much_in_full(name: str) -> None:
    """A share is 0 up to where the ramp begins, 1 from where it ends, and half-way between."""
    read, index = ReadAmounts(1).requires_grad_(False), DEGRADATIONS.index(name)
    torch.nn.init.zeros_(read.linear.bias)
    read.linear.weight.zero_()
    read.linear.weight[0, index] = 1.0
    begin, end = RAMPS[name]
    for amount, share in ((begin, 0.0), ((begin + end) / 2, 0.5), (end, 1.0), (1.0, 1.0)):
        amounts = torch.zeros(1, len(DEGRADATIONS))
        amounts[0, index] = amount
        assert read(amounts)[0, 0] == pytest.approx(share, abs=1e-5)
    assert begin < end <= ASKED  # what is asked for by name is restored in full


def test_noise_does_not_hold_brightening_back() -> None:
    read, noise, dark = (
        ReadAmounts(2).requires_grad_(False),
        *map(DEGRADATIONS.index, ("noise", "lowlight")),
    )
    torch.nn.init.zeros_(read.linear.bias)
    read.linear.weight.zero_()
    read.linear.weight[0, noise] = read.linear.weight[1, dark] = 1.0
    amounts = torch.zeros(1, len(DEGRADATIONS))
    amounts[0, noise], amounts[0, dark] = 0.7, 0.8
    assert read(amounts)[0].tolist() == pytest.approx([0.0, 1.0])
    amounts[0, dark] = RAMPS["lowlight"][0]
    assert read(amounts)[0].tolist() == pytest.approx([1.0, 0.0])


def test_amounts_given_by_hand_change_what_the_student_does() -> None:
    torch.manual_seed(0)
    model = PlainUNet(PICO)
    picture = torch.rand(1, 3, 32, 32) * 2.0 - 1.0
    scene = model.scene_of(picture)
    assert scene.shape == (1, model.scene_size) == (1, SCENE_SIZE + len(DEGRADATIONS))
    by_hand = scene.clone()
    by_hand[0, SCENE_SIZE] = 0.8
    assert not torch.equal(model.scene_code(scene), model.scene_code(by_hand))
    assert not any(p.requires_grad for p in model.estimator.parameters())  # type: ignore[union-attr]


def test_training_is_told_amounts_by_hand_and_wrong_ones_too() -> None:
    torch.manual_seed(0)
    model = PlainUNet(PICO)
    degraded = torch.rand(64, 3, 16, 16) * 2.0 - 1.0
    amounts = torch.full((64, len(DEGRADATIONS)), 0.7)
    amounts[:, 1] = NAN
    seen = Batch(degraded, degraded, amounts=amounts)
    scene = given_scene(model, seen, torch.Generator().manual_seed(0))
    assert scene is not None
    own = model.scene_of(degraded)
    assert torch.equal(scene[:, :SCENE_SIZE], own[:, :SCENE_SIZE])
    exact = (scene[:, SCENE_SIZE:] == amounts).all(dim=1) | (scene[:, SCENE_SIZE] == 0.7)
    estimated = (scene == own).all(dim=1)
    assert 5 < exact.sum() < 30 and 20 < estimated.sum() < 55
    assert (scene[:, SCENE_SIZE + 1] != amounts[:, 1]).all()  # the unknown is estimated
    assert given_scene(model, Batch(degraded, degraded), torch.Generator()) is None


def test_weights_with_another_estimator_keep_the_rest(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = PlainUNet(PICO)
    save_student(tmp_path / "own.safetensors", own, Provenance("pico", "as it was", 5, "CC0-1.0"))
    other = estimator(3)
    with_estimator(tmp_path / "own.safetensors", other, tmp_path / "new.safetensors", 7)
    before, _ = load_student(tmp_path / "own.safetensors")
    after, provenance = load_student(tmp_path / "new.safetensors")
    expected = before.state_dict()
    expected |= {f"estimator.{name}": value for name, value in other.state_dict().items()}
    for name, value in after.state_dict().items():
        assert torch.equal(value, expected[name])
    assert provenance.recipe == "as it was; then 7 steps of its estimator alone"
    first = PlainUNet(replace(PICO, diagnosis_width=16))
    save_student(tmp_path / "first.safetensors", first, provenance)
    with pytest.raises(ValueError, match="no estimator"):
        with_estimator(tmp_path / "first.safetensors", estimator(), tmp_path / "x", 7)
