"""Ranking of layers, the shift that rounding makes, and the pictures both are measured on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from export_fakes import picture, small_student

import pellucid_apps
from pellucid_export.calibration import fit, mild_pair, sample_pairs, synthesised
from pellucid_export.restoration import Restoration
from pellucid_export.sensitivity import (
    Sensitivity,
    _levels,
    _rounded_weight,
    layer_of,
    measure_sensitivity,
    spread,
)

SAMPLES = Path(pellucid_apps.__file__).parent / "samples"


def test_rounding_keeps_what_lies_on_its_grid() -> None:
    grid = torch.arange(256) / 255.0 * 4.0 - 1.0  # 256 values of [-1, 3]
    grid = grid - grid[grid.abs().argmin()]  # with an exact zero
    low, high = float(grid.min()), float(grid.max())
    torch.testing.assert_close(_levels(grid, low, high), grid, atol=1e-5, rtol=0)
    assert (_levels(torch.tensor([9.0]), low, high) - high).abs() < 0.02  # clipped
    weight = torch.tensor([[127.0, -3.0], [0.127, 0.05]])
    torch.testing.assert_close(_rounded_weight(weight, 0), weight, atol=1e-6, rtol=0)
    assert (_rounded_weight(weight, 1) - weight).abs().max() > 0.1  # other axis, other grid


def test_the_layer_with_the_outlier_ranks_first() -> None:
    student = small_student()
    with torch.no_grad():
        student.stem.weight[0] = 0.0  # channel 0 is always 0 ...
        student.stem.bias[0] = 0.0
        student.bias[0].weight[0] = 0.0  # type: ignore[operator]
        student.bias[0].bias[0] = 0.0  # type: ignore[operator]
        student.encoder[0][0].conv1.weight[:, 0] = 60.0  # type: ignore[index]
        # ... so these weights do nothing but coarsen the grid of all the others
    found = measure_sensitivity(Restoration(student, 1), [picture(i) for i in range(3)])
    assert next(iter(found.errors)) == "encoder.0.0.conv1"
    assert found.errors["encoder.0.0.conv1"] == max(found.errors.values())
    assert found.shifts["head"].shape == (12,) and found.shifts["up.0"].shape == (16,)
    assert len(found.errors) == len(found.shifts)


def test_later_calls_have_layers_of_their_own() -> None:
    found = measure_sensitivity(Restoration(small_student(), 2), [picture(0)])
    names = set(found.errors)
    first = {name for name in names if not name.startswith("later.")}
    assert names == first | {f"later.{name}" for name in first}
    assert all(error > 0 for error in found.errors.values())


def test_measuring_leaves_the_network_as_it_was() -> None:
    restoration = Restoration(small_student(), 1)
    before = {name: value.clone() for name, value in restoration.state_dict().items()}
    measure_sensitivity(restoration, [picture(0)])
    assert all(torch.equal(value, before[n]) for n, value in restoration.state_dict().items())


def test_candidates_spare_the_worst_first_and_at_most_half() -> None:
    errors = {f"l{i}": 10.0**-e for i, e in enumerate((4, 5, 7, 8, 8, 9, 9, 9, 9, 9))}
    sets = Sensitivity(errors, {}).candidates()
    assert sets[0] == ("l0", "l1")  # the rest adds up to less than -55 dB
    assert [len(s) for s in sets] == [2, 4, 5]
    assert all(list(errors)[: len(s)] == list(s) for s in sets)
    assert Sensitivity({"a": 1.0}, {}).candidates() == [("a",)]


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("student.encoder.0.0.conv1.weight", "encoder.0.0.conv1"),
        ("restoration.student.stem.weight_strided", "stem"),
        ("restoration.student.later.up.0.weight", "later.up.0"),
        ("val_7", "val_7"),
    ],
)
def test_layer_names_survive_the_exporters(tensor: str, layer: str) -> None:
    assert layer_of(tensor) == layer


def test_fit_cuts_the_centre_and_mirrors_what_is_missing() -> None:
    ramp = np.broadcast_to(np.arange(6, dtype=np.float32), (1, 3, 4, 6))
    assert fit(ramp, (2, 4))[0, 0].tolist() == [[1, 2, 3, 4]] * 2
    assert fit(ramp, (4, 9))[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 5, 4, 3]
    assert spread([ramp] * 5, 2) == [ramp, ramp] and len(spread([ramp], 9)) == 1


@pytest.mark.slow
def test_bundled_pictures() -> None:
    made = synthesised(SAMPLES / "clean", 2)
    again = synthesised(SAMPLES / "clean", 2)
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    assert all(p.min() >= 0 and p.max() <= 1 and p.shape == (1, 3, 256, 256) for p in made)
    pairs = sample_pairs(SAMPLES / "degraded", SAMPLES / "clean")
    assert [p.task for p in pairs] == ["blur", "haze", "lowlight", "noise", "rain", "snow"]
    assert all(p.degraded.shape == p.clean.shape for p in pairs)
    mild = mild_pair(SAMPLES / "clean")
    error = float(np.mean((mild.degraded - mild.clean) ** 2))
    assert error == pytest.approx((5 / 255) ** 2, rel=0.1)
