"""A chain of calls over the frames of a clip, against fakes whose answers are known."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pellucid.motion import carry
from pellucid_student.objective import ENOUGH
from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.temporal import (
    CELL,
    TRUST_REACH,
    accumulate,
    frame_call,
    restore_clip,
    temporal_loss,
    trust,
    warp,
)
from pellucid_teacher.data.stream import Batch


def rand(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 1


def clip(frames: int = 4) -> Batch:
    flow = 3 * rand(2, frames - 1, 16, 24, 2, seed=3)
    return Batch(rand(2, frames, 3, 16, 24), rand(2, frames, 3, 16, 24, seed=1), flow)


class Halves(nn.Module):
    """Leaves half of what it is given, as if nothing were known. Remembers where gradients flow."""

    def __init__(self) -> None:
        super().__init__()
        self.graded: list[bool] = []

    def forward(self, picture: Tensor) -> Tensor:
        self.graded.append(torch.is_grad_enabled())
        return picture / 2


def test_warp_is_the_runtimes_carry() -> None:
    picture, flow = rand(1, 3, 16, 24), 4 * rand(1, 16, 24, 2, seed=2)
    ours = warp(picture, flow)[0].permute(1, 2, 0).numpy()
    theirs = carry(np.ascontiguousarray(picture[0].permute(1, 2, 0).numpy()), flow[0].numpy())
    assert np.abs(ours - theirs).max() < 0.05  # OpenCV interpolates in steps of 1/32 px


def test_each_frame_starts_from_the_last_ones_estimate() -> None:
    data, model = clip(3), Halves()
    assert data.flow is not None
    restored = restore_clip(model, data.degraded, data.flow)
    expected = data.degraded[:, 0] / 2
    for f in range(3):
        if f > 0:
            expected = accumulate(warp(expected, data.flow[:, f - 1]), data.degraded[:, f] / 2)
        assert torch.allclose(restored[f], expected.clamp(-1, 1), atol=1e-5)
    assert len(model.graded) == 3


def test_what_fits_is_averaged_and_what_does_not_is_left_behind() -> None:
    prediction = 0.2 * rand(1, 3, 32, 48)
    grain = 0.2 * rand(1, 3, 32, 48, seed=4)
    assert torch.allclose(accumulate(prediction + 0.01, prediction), prediction + 0.005, atol=1e-6)
    assert float(trust(prediction + grain, prediction).mean()) > 0.8, "grain has no mean"
    thing = torch.zeros_like(prediction)
    thing[..., 16:, 24:] = 0.3  # was there and has gone: 38 levels
    left = accumulate(prediction + thing, prediction)
    assert torch.allclose(left[..., 24:, 32:], prediction[..., 24:, 32:], atol=1e-6)
    assert torch.allclose(left[..., :4, :12], prediction[..., :4, :12], atol=1e-6)
    # The other way round it may be rain that the carried result is rid of.
    drop = torch.full_like(prediction, 6 / 127.5)
    assert float(trust(prediction - drop, prediction).min()) == 1.0
    assert float(trust(prediction + drop, prediction).max()) < 0.6


def test_trust_reaches_as_far_as_it_says() -> None:
    carried = torch.zeros(1, 3, 64, 64, requires_grad=True)
    trust(carried + 6 / 127.5, torch.zeros(1, 3, 64, 64))[0, 0, 31, 33].backward()  # type: ignore[no-untyped-call]
    assert carried.grad is not None
    rows, cols = carried.grad[0].abs().sum(0).nonzero(as_tuple=True)
    reach = max(int((rows - 31).abs().max()), int((cols - 33).abs().max()))
    assert TRUST_REACH - CELL // 2 < reach <= TRUST_REACH


def test_a_frame_without_predecessor_is_a_photo() -> None:
    torch.manual_seed(0)
    model, photo = PlainUNet(PICO).eval(), rand(1, 3, 32, 32)
    assert torch.equal(frame_call(model, photo, None), model(photo))


def test_the_loss_trains_one_frame_and_visits_all() -> None:
    data, lengths = clip(), set()
    assert data.flow is not None
    for seed in range(40):
        model = Halves()
        loss = temporal_loss(model, data, torch.Generator().manual_seed(seed))
        length = len(model.graded)
        lengths.add(length)
        assert model.graded == [False] * (length - 1) + [True]
        at = length - 1
        last = restore_clip(Halves(), data.degraded[:, :length], data.flow)[at]
        error = (last - data.clean[:, at]).square().mean(dim=(1, 2, 3)).sqrt()
        assert torch.allclose(loss, torch.log(error + ENOUGH).mean(), atol=1e-3)
    assert lengths == {1, 2, 3, 4}
    with pytest.raises(ValueError, match="got photos"):
        temporal_loss(Halves(), Batch(data.degraded[:, 0], data.clean[:, 0]), torch.Generator())
