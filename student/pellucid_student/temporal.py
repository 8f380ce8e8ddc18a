"""The student's steps spread over time: a frame starts from the last frame's estimate.

A second call takes the mean of its own prediction and the estimate so far. In a clip the result
of the frame before is such an estimate, once it is carried along the motion: so one call a frame
gives more than several calls give a photo, whose predictions all see the same grain and drops.
Where what was carried does not fit, because something has come into view, the prediction stands
alone: cells of 8x8 px whose means differ tell (`trust`). Photos' weights can do this as they are.

In training the chain runs over a short clip, on the motion that the runtime would find, and only
its last call is trained; with one frame it is the photo's own first call. Exposure suffers in such
a training, so its weights are for frames only.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid_teacher.data.stream import Batch

from .losses import rms
from .objective import ENOUGH

CELL = 8  # px: grain and drops are averaged away, things are not
TRUST_REACH = CELL + CELL // 2  # px: a cell, and half of one between two centres
SURE, UNSURE = 3.0 / 127.5, 9.0 / 127.5  # difference of means, 8-bit levels on the scale [-1, 1]
ADDED = 0.4  # rain and snow add light: what is brighter now counts less than what is darker
BELIEVED = 0.5  # share of a carried result that fits: as of a first prediction beside a second one
FIRST_FRAME_SHARE = 0.3  # of the steps: a clip's first frame, which is like a photo


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """picture(p + flow(p)), bilinear, borders repeat: `pellucid.motion.carry` for batches.

    picture (B, 3, H, W), flow (B, H, W, 2) in pixels -> (B, 3, H, W).
    """
    height, width = picture.shape[2:]
    y = torch.arange(height, device=flow.device)[None, :, None] + flow[..., 1]  # (B, H, W)
    x = torch.arange(width, device=flow.device)[None, None, :] + flow[..., 0]
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    return F.grid_sample(picture, grid, padding_mode="border", align_corners=True)


def trust(carried: Tensor, prediction: Tensor) -> Tensor:
    """How far a carried result is to be believed, 0..1; (B, 3, H, W) each -> (B, 1, H, W).

    H and W multiples of CELL; looks TRUST_REACH px far.
    """
    difference = F.avg_pool2d(carried - prediction, CELL)
    doubt = torch.maximum(difference, -ADDED * difference).amax(dim=1, keepdim=True)
    believed = ((UNSURE - doubt) / (UNSURE - SURE)).clamp(0.0, 1.0)
    return F.interpolate(believed, scale_factor=CELL, mode="bilinear", align_corners=False)


def accumulate(carried: Tensor, prediction: Tensor) -> Tensor:
    """The mean of both where the carried result is believed, the prediction elsewhere."""
    return prediction + BELIEVED * trust(carried, prediction) * (carried - prediction)


def frame_call(model: nn.Module, degraded: Tensor, carried: Tensor | None) -> Tensor:
    """A frame restored by one call, (B, 3, H, W), unclipped.

    carried: the last frame's estimate, warped; None for a first frame.
    """
    prediction: Tensor = model(degraded)
    return prediction if carried is None else accumulate(carried, prediction)


@torch.no_grad()
def restore_clip(model: nn.Module, degraded: Tensor, flow: Tensor) -> list[Tensor]:
    """Estimates of the frames of clips (B, F, 3, H, W), flow (B, >= F - 1, H, W, 2): one call each.

    F tensors (B, 3, H, W) in [-1, 1].
    """
    restored: list[Tensor] = []
    for f in range(degraded.shape[1]):
        carried = warp(restored[-1], flow[:, f - 1]) if restored else None
        restored.append(frame_call(model, degraded[:, f], carried).clamp(-1.0, 1.0))
    return restored


def temporal_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Log of each sample's RMS error at one frame of a clip, as in `objective`, batch mean, ().

    Frames before it run without gradient. Raises ValueError for photos.
    """
    if batch.flow is None:
        raise ValueError("expected clips, got photos")
    at = _draw_frame(batch.degraded.shape[1], generator)
    carried = None
    if at > 0:
        before = restore_clip(model, batch.degraded[:, :at], batch.flow)
        carried = warp(before[-1], batch.flow[:, at - 1])
    restored = frame_call(model, batch.degraded[:, at], carried)
    return torch.log(rms(restored.float(), batch.clean[:, at]) + ENOUGH).mean()


def _draw_frame(frames: int, generator: torch.Generator) -> int:
    draw = torch.rand(2, generator=generator)
    return 0 if float(draw[0]) < FIRST_FRAME_SHARE else 1 + int(draw[1] * (frames - 1))
