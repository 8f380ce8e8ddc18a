"""The whole restorer as one deterministic module: pad, measure the scene, K steps, crop."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid_student.enlarger import Enlarger
from pellucid_student.layers import fold
from pellucid_student.plain_unet import PlainUNet
from pellucid_student.steps import refine
from pellucid_student.temporal import accumulate
from pellucid_student.weights import AnyStudent

from .mirror import mirror
from .thresholds import ExportError

UNMEASURED = -1.0


class Restoration(nn.Module):
    """A folded student in K steps (`pellucid.steps`), unrolled.

    input:  (1, 3, H, W) sRGB in [0, 1], any H, W >= 1.
    scene:  (1, scene_size) scene vector of the whole picture, statistics and amounts; UNMEASURED
            entries are measured here, so amounts may be given alone.
            Later calls measure theirs on what they see, so tiles of them do not agree.
    output: (1, 3, H, W) in [0, 1].

    pictures: names of the picture inputs, before `scene`.
    half: the network's weights and activations are float16; the sums between steps, the scene's
    measure, estimator included, and both ports stay float32, where they cost nothing and their
    rounding would add up.
    """

    pictures: tuple[str, ...] = ("input",)

    def __init__(self, student: PlainUNet, steps: int = 1, half: bool = False) -> None:
        super().__init__()
        self.dtype = torch.float16 if half else torch.float32
        self.student = fold(student)
        if steps > 1:  # within the student, so that every layer has one name in all formats
            self.student.add_module("later", mirror(student))
        self.student.to(self.dtype)
        if self.student.estimator is not None:
            self.student.estimator.float()
        self.steps = steps
        self.multiple = student.config.multiple

    def forward(self, input: Tensor, scene: Tensor) -> Tensor:
        height, width = input.shape[2], input.shape[3]
        picture = _pad_to_multiple(input, self.multiple)
        restored = self.restore(picture, self.scene_of(picture, scene))
        return restored[:, :, :height, :width]

    def whole(self, picture: Tensor) -> Tensor:
        """A whole picture, all measured here, (1, 3, H, W) -> same."""
        restored: Tensor = self(picture, self.unmeasured)
        return restored

    @property
    def unmeasured(self) -> Tensor:
        """The scene vector that asks for measuring all of it, (1, scene_size)."""
        return torch.full((1, self.student.scene_size), UNMEASURED)

    def scene_of(self, picture: Tensor, scene: Tensor) -> Tensor:
        """`scene` with what is UNMEASURED in it measured on the picture, (1, scene_size)."""
        return torch.where(scene < 0.0, self.student.measure(picture), scene)

    def restore(self, picture: Tensor, scene: Tensor) -> Tensor:
        """The steps alone, (1, 3, H, W) -> same, H and W multiples of `multiple`."""

        def predict(seen: Tensor) -> Tensor:
            mirrored = self.student.get_submodule("later")
            assert isinstance(mirrored, PlainUNet)
            return _unit(self._predict(mirrored, seen, self.student.measure(seen)))

        first = _unit(self._predict(self.student, picture, scene))
        return refine(picture, first, self.steps, predict)

    def _predict(self, network: PlainUNet, picture: Tensor, scene: Tensor) -> Tensor:
        """One call, (1, 3, H, W) in [0, 1] -> [-1, 1], unclipped, float32 like those sums."""
        code = network.scene_code(scene.to(self.dtype))
        given = 2.0 * picture - 1.0
        toned = network.tone(given, code)
        detail = network.detail(torch.cat([given, toned], dim=1).to(self.dtype), code)
        return toned + detail.float()


class FrameRestoration(Restoration):
    """One frame of a stream by one call, from the last frame's result (pellucid_student.temporal).

    state: (1, 3, H, W) in [0, 1], the last output carried along the motion (pellucid.motion). The
    output is the mean of it and of this frame's prediction where it fits, the prediction
    elsewhere. The first frame of a shot has none: it is restored as a photo, in one step.
    """

    pictures = ("input", "state")

    def forward(self, input: Tensor, state: Tensor, scene: Tensor) -> Tensor:  # type: ignore[override]
        height, width = input.shape[2], input.shape[3]
        picture = _pad_to_multiple(input, self.multiple)
        prediction = self._predict(self.student, picture, self.scene_of(picture, scene))
        carried = 2.0 * _pad_to_multiple(state, self.multiple) - 1.0
        restored = _unit(accumulate(carried, prediction))
        return restored[:, :, :height, :width]


class Enlargement(nn.Module):
    """A folded student that enlarges: (1, 3, h, w) sRGB in [0, 1] -> (1, 3, s·h, s·w), same.

    There is no scene. half: the network is float16; the interpolation and both ports stay float32.
    """

    pictures: tuple[str, ...] = ("input",)
    unmeasured: None = None

    def __init__(self, student: Enlarger, half: bool = False) -> None:
        super().__init__()
        self.dtype = torch.float16 if half else torch.float32
        self.student = fold(student).to(self.dtype)
        self.student.bicubic = student.bicubic.float()

    def forward(self, input: Tensor) -> Tensor:
        given = 2.0 * input - 1.0
        detail = self.student.detail(given.to(self.dtype)).float()
        return _unit(self.student.interpolate(given) + detail)

    def whole(self, picture: Tensor) -> Tensor:
        """As `Restoration.whole`."""
        enlarged: Tensor = self(picture)
        return enlarged


AnyRestoration = Restoration | Enlargement


def make_restoration(student: AnyStudent, steps: int = 1, half: bool = False) -> AnyRestoration:
    """Raises ExportError for an enlarger in several steps."""
    if isinstance(student, PlainUNet):
        return Restoration(student, steps, half)
    if steps > 1:
        raise ExportError(f"a student enlarges in one step, got --steps {steps}")
    return Enlargement(student, half)


class ImageRestoration(nn.Module):
    """The restorer for cameras and picture files: uint8 (1, H, W, 3) RGB -> same."""

    def __init__(self, restoration: AnyRestoration) -> None:
        super().__init__()
        self.restoration = restoration

    def forward(self, input: Tensor, scene: Tensor | None = None) -> Tensor:
        unit = input.permute(0, 3, 1, 2).float() / 255.0
        restored = self.restoration(unit) if scene is None else self.restoration(unit, scene)
        levels: Tensor = (restored * 255.0).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1)


class PlainRestoration(nn.Module):
    """For converters that want no arithmetic on sizes: one input, sizes that are multiples.

    peak: 1 for a tensor output in [0, 1], 255 for an image output.
    """

    def __init__(self, restoration: AnyRestoration, peak: float = 1.0) -> None:
        super().__init__()
        self.restoration = restoration
        self.peak = peak

    def forward(self, input: Tensor) -> Tensor:
        if isinstance(self.restoration, Enlargement):
            restored = self.restoration.whole(input)
        else:
            measured = self.restoration.student.measure(input)
            restored = self.restoration.restore(input, measured)
        return restored if self.peak == 1.0 else restored * self.peak


def _unit(picture: Tensor) -> Tensor:
    """[-1, 1] to [0, 1], clipped."""
    return (picture.clamp(-1.0, 1.0) + 1.0) / 2.0


def _pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples, (1, 3, H', W')."""
    bottom = -image.shape[2] % multiple
    right = -image.shape[3] % multiple
    if isinstance(bottom, int) and isinstance(right, int) and bottom == right == 0:
        return image  # of a fixed size: an empty Pad would be one op that NPUs may not have
    return F.pad(image, (0, right, 0, bottom), mode="replicate")
