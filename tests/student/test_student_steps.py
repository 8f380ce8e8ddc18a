"""One rule for two and three steps: torch, numpy and the file with the steps inside agree."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from export_fakes import PROVENANCE, picture, small_student
from numpy.typing import NDArray

from pellucid import steps as numpy_steps
from pellucid.steps import INPUT_WEIGHT, STATE_STEP
from pellucid_export.onnx.file import export_onnx
from pellucid_student.plain_unet import PlainUNet
from pellucid_student.steps import refine, restore
from pellucid_student.student import Student
from pellucid_teacher.processes import diffuir
from pellucid_teacher.training.dev_set import restore_picture

FLOAT_ERROR = 2e-5  # of a network in float32


def in_numpy(student: PlainUNet, given: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """`pellucid.steps.refine` around the network, (H, W, 3) in [0, 1]. The scene is measured by
    torch here: numpy's own is rounded to 8 bits, which is not what is compared."""

    def call(shown: NDArray[np.float32], mirrored: bool) -> NDArray[np.float32]:
        tensor = 2.0 * torch.from_numpy(shown).permute(2, 0, 1)[None] - 1.0
        with torch.no_grad():
            scene = student.scene_of(tensor.flip(3) if mirrored else tensor)
            found = student(tensor, scene).clamp(-1, 1)
        return np.ascontiguousarray((found[0].permute(1, 2, 0) + 1) / 2)

    first = call(given, mirrored=False)
    return numpy_steps.refine(given, first, steps, lambda shown, _, __: call(shown, mirrored=True))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_torch_numpy_and_onnx_are_equal(steps: int, tmp_path: Path) -> None:
    student, given = small_student(), picture(1)
    whole = np.ascontiguousarray(given[0].transpose(1, 2, 0))
    by_torch = restore_picture(Student(student), whole, steps)
    assert np.abs(by_torch - whole).max() > 0.02, "a network that does nothing shows nothing"
    assert np.abs(in_numpy(student, whole, steps) - by_torch).max() < FLOAT_ERROR
    done = export_onnx(student, PROVENANCE, tmp_path / "s.onnx", steps)
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    by_onnx = session.run(None, {"input": given})[0][0].transpose(1, 2, 0)
    assert np.abs(by_onnx - by_torch).max() < FLOAT_ERROR


def test_it_is_diffuirs_sampler_without_noise() -> None:
    """The state of DiffUIR's sampler mixes I_in and the estimates; the newest one's share in it is
    the share by which alpha moves in its step. So it is with STATE_STEP."""
    schedule = diffuir.schedule()
    alpha, grid = schedule.alpha_bar, diffuir.step_grid(3)
    moves = [float(alpha[t] - alpha[s]) for t, s in pairwise(grid)]
    assert STATE_STEP[2] == pytest.approx(moves[1] / sum(moves), abs=1e-3)
    assert STATE_STEP[:2] == (1.0, 1.0)
    estimates, seen = [torch.tensor(0.3), torch.tensor(0.7), torch.tensor(0.2)], list[float]()

    def predict(picture: torch.Tensor) -> torch.Tensor:
        seen.append(float(picture))
        call = len(seen)
        return state(call) + (call + 1) * (estimates[call] - state(call))  # estimate is their mean

    def state(call: int) -> torch.Tensor:
        """DiffUIR's state without noise before a later call, less its share of I_in."""
        x = diffuir.start_state(schedule, given, 0.0, None)
        for (t, s), estimate in zip(pairwise(grid[: call + 1]), estimates, strict=False):
            x = diffuir.reverse_step(schedule, x, given - estimate, given, t, s)
        own = float(alpha[grid[0]] - alpha[grid[call]])
        return (x - (1.0 - own - float(schedule.delta_bar[grid[call]])) * given) / own

    given = torch.tensor(1.0)
    assert float(refine(given, estimates[0], 3, predict)) == pytest.approx(0.2, abs=1e-3)
    for call, shown in enumerate(seen, start=1):
        mixed = state(call) + INPUT_WEIGHT[call] * (given - state(call))
        assert shown == pytest.approx(float(mixed), abs=1e-3)


@pytest.mark.parametrize("steps", [0, 4])
def test_no_more_than_three(steps: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 3, got {steps}"):
        restore(small_student(), torch.zeros(1, 3, 32, 32), steps)


def test_any_size_is_restored() -> None:
    photo = np.full((21, 33, 3), 0.5, np.float32)
    assert restore_picture(Student(small_student()), photo, 2).shape == photo.shape
