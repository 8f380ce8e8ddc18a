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
        sched, grid = diffuir.schedule(), diffuir.step_grid(steps)
        self.start = 1.0 - float(sched.delta_bar[-1])
        self.rows = [VISITED_T.index(t) for t in grid]
        self.moves = [
            (
                float(sched.alpha_bar[t] - sched.alpha_bar[s]),
                float(sched.delta_bar[t] - sched.delta_bar[s]),
            )
            for t, s in pairwise(grid)
        ]

    def forward(self, input: Tensor, scene: Tensor) -> Tensor:
        height, width = input.shape[2], input.shape[3]
        picture = _pad_to_multiple(input, self.multiple)
        code = self.student.scene_code(torch.where(scene < 0.0, measure_scene(picture), scene))
        degraded = 2.0 * picture - 1.0
        state = self.start * degraded
        clean = self._estimate(state, degraded, code, 0)
        for call, (d_alpha, d_delta) in enumerate(self.moves, start=1):
            state = state - d_alpha * (degraded - clean) + d_delta * degraded
            clean = self._estimate(state, degraded, code, call)
        return ((clean + 1.0) / 2.0)[:, :, :height, :width]

    def _estimate(self, state: Tensor, degraded: Tensor, code: Tensor, call: int) -> Tensor:
        row = self.student.time_rows[self.rows[call]]
        return self.student.estimate(state, degraded, code + row).clamp(-1.0, 1.0)


def _pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples, (1, 3, H', W')."""
    bottom = -image.shape[2] % multiple
    right = -image.shape[3] % multiple
    return F.pad(image, (0, right, 0, bottom), mode="replicate")


def unmeasured_scene() -> Tensor:
    return torch.full((1, SCENE_SIZE), UNMEASURED)
