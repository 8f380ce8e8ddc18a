"""The whole restorer as one deterministic module: pad, measure the scene, K steps, crop."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid_student.plain_unet import VISITED_T, PlainUNet
from pellucid_student.scene import SCENE_SIZE, measure_scene
from pellucid_teacher.processes import diffuir

UNMEASURED = -1.0


class Restoration(nn.Module):
    """K-step sampler of a folded student, unrolled, noise-free (start_noise 0).

    input:  (1, 3, H, W) sRGB in [0, 1], any H, W >= 1.
    scene:  (1, SCENE_SIZE) scene code of the whole picture; UNMEASURED entries are measured here.
    output: (1, 3, H, W) in [0, 1].
    """

    def __init__(self, student: PlainUNet, steps: int) -> None:
        super().__init__()
        self.student = student
        self.multiple = student.config.multiple
        # The schedule as plain numbers: they become constants of the graph.
        grid = diffuir.step_grid(steps)
        alpha_bar = diffuir.schedule().alpha_bar
        self.rows = [VISITED_T.index(t) for t in grid]
        # How far each call moves the state towards its estimate.
        self.moves = [float(alpha_bar[t] - alpha_bar[s]) for t, s in pairwise(grid)]

    def forward(self, input: Tensor, scene: Tensor) -> Tensor:
        height, width = input.shape[2], input.shape[3]
        picture = _pad_to_multiple(input, self.multiple)
        code = self.student.scene_code(torch.where(scene < 0.0, measure_scene(picture), scene))
        degraded = 2.0 * picture - 1.0
        first = self._code(code, 0)
        clean = self._estimate(self.student.tone(degraded, first), degraded, first)
        # Without noise a state says no more than the mean of the estimates so far, each weighed by
        # its move: that mean is carried instead of the state itself, whose unmixing would divide by
        # small numbers, which half precision does not forgive.
        carried, moved = clean, 0.0
        for call, move in enumerate(self.moves, start=1):
            share = move / (moved + move)
            carried, moved = carried + share * (clean - carried), moved + move
            clean = self._estimate(carried, degraded, self._code(code, call))
        return ((clean + 1.0) / 2.0)[:, :, :height, :width]

    def _code(self, code: Tensor, call: int) -> Tensor:
        return self.student.with_time(code, self.student.time_rows[self.rows[call]])

    def _estimate(self, base: Tensor, degraded: Tensor, code: Tensor) -> Tensor:
        return self.student.estimate(base, degraded, code).clamp(-1.0, 1.0)


def _pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples, (1, 3, H', W')."""
    bottom = -image.shape[2] % multiple
    right = -image.shape[3] % multiple
    return F.pad(image, (0, right, 0, bottom), mode="replicate")


def unmeasured_scene() -> Tensor:
    return torch.full((1, SCENE_SIZE), UNMEASURED)
