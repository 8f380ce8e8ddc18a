"""The whole restorer as one deterministic module: pad, measure the scene, K steps, crop."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid_student.enlarger import Enlarger
from pellucid_student.layers import fold
from pellucid_student.plain_unet import PlainUNet
from pellucid_student.steps import refine
from pellucid_student.temporal import accumulate
from pellucid_student.thumbnail import GRID, MAPS, shrink
from pellucid_student.weights import AnyStudent

from .mirror import mirror
from .thresholds import ExportError

UNMEASURED = -1.0
UNMAPPED = -1e4  # no slope and no offset is as low


class Restoration(nn.Module):
    """A folded student in K steps (`pellucid.steps`), unrolled.

    input:  (1, 3, H, W) sRGB in [0, 1], any H, W >= 1.
    scene:  (1, scene_size) scene vector of the whole picture, statistics and amounts; UNMEASURED
            entries are measured here, so amounts may be given alone.
            Later calls measure theirs on what they see, so tiles of them do not agree.
    maps, window: of students of two scales, what is made of the whole picture
            (`PlainUNet.maps_of`), UNMAPPED: it is made here of `input`; and where `input` lies in
            the whole picture, top, left, height and width in px, 0, 0, 0, 0: it is the whole.
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

    def forward(
        self,
        input: Tensor,
        scene: Tensor,
        maps: Tensor | None = None,
        window: Tensor | None = None,
    ) -> Tensor:
        height, width = input.shape[2], input.shape[3]
        picture = _pad_to_multiple(input, self.multiple)
        scene = self.scene_of(picture, scene)
        whole = self.whole_of(input, scene, maps, window)
        return self.restore(picture, scene, whole)[:, :, :height, :width]

    def whole(self, picture: Tensor) -> Tensor:
        """A whole picture, all measured here, (1, 3, H, W) -> same."""
        restored: Tensor = self(picture, *self.defaults.values())
        return restored

    @property
    def unmeasured(self) -> Tensor:
        """The scene vector that asks for measuring all of it, (1, scene_size)."""
        return torch.full((1, self.student.scene_size), UNMEASURED)

    @property
    def defaults(self) -> Mapping[str, Tensor]:
        """Optional inputs after the pictures, by name, with the values that ask for measuring."""
        if self.student.thumbnail is None:
            return {"scene": self.unmeasured}
        maps = torch.full((1, MAPS, GRID, GRID), UNMAPPED)
        return {"scene": self.unmeasured, "maps": maps, "window": torch.zeros(1, 4)}

    def scene_of(self, picture: Tensor, scene: Tensor) -> Tensor:
        """`scene` with what is UNMEASURED in it measured on the picture, (1, scene_size)."""
        return torch.where(scene < 0.0, self.student.measure(picture), scene)

    def whole_of(
        self, input: Tensor, scene: Tensor, maps: Tensor | None, window: Tensor | None
    ) -> "Whole | None":
        """`maps` and `window` with what is missing in them taken from `input`; None for students of
        one scale."""
        if maps is None or window is None:
            return None
        height, width = _or(window[:, 2:3], input.shape[2]), _or(window[:, 3:4], input.shape[3])
        sides = torch.cat([window[:, :2], height, width], dim=1)
        made = self._maps(self.student, input, self.student.scene_code(scene.to(self.dtype)))
        return torch.where(maps < UNMAPPED / 2.0, made, maps), sides

    def _maps(self, network: PlainUNet, picture: Tensor, code: Tensor) -> Tensor:
        """Of a whole picture in [0, 1], (1, MAPS, GRID, GRID)."""
        return network.maps_of(2.0 * shrink(picture) - 1.0, code)

    def restore(self, picture: Tensor, scene: Tensor, whole: "Whole | None" = None) -> Tensor:
        """The steps alone, (1, 3, H, W) -> same, H and W multiples of `multiple`."""

        def predict(seen: Tensor) -> Tensor:
            mirrored = self.student.get_submodule("later")
            assert isinstance(mirrored, PlainUNet)
            return _unit(self._predict(mirrored, seen, self.student.measure(seen)))

        first = _unit(self._predict(self.student, picture, scene, whole))
        return refine(picture, first, self.steps, predict)

    def _predict(
        self, network: PlainUNet, picture: Tensor, scene: Tensor, whole: "Whole | None" = None
    ) -> Tensor:
        """One call, (1, 3, H, W) in [0, 1] -> [-1, 1], unclipped, float32 like those sums."""
        code = network.scene_code(scene.to(self.dtype))
        given = 2.0 * picture - 1.0
        if whole is None and network.thumbnail is not None:  # the picture is the whole one
            whole = self._maps(network, picture, code), None
        maps, window = whole or (None, None)
        toned = network.tone(given, code, maps, window)
        detail = network.detail(torch.cat([given, toned], dim=1).to(self.dtype), code)
        return toned + detail.float()


Whole = tuple[Tensor, Tensor | None]  # maps (1, MAPS, GRID, GRID) and window (1, 4)


class FrameRestoration(Restoration):
    """One frame of a stream by one call, from the last frame's result (pellucid_student.temporal).

    state: (1, 3, H, W) in [0, 1], the last output carried along the motion (pellucid.motion). The
    output is the mean of it and of this frame's prediction where it fits, the prediction
    elsewhere. The first frame of a shot has none: it is restored as a photo, in one step.
    """

    pictures = ("input", "state")

    def forward(  # type: ignore[override]
        self,
        input: Tensor,
        state: Tensor,
        scene: Tensor,
        maps: Tensor | None = None,
        window: Tensor | None = None,
    ) -> Tensor:
        height, width = input.shape[2], input.shape[3]
        picture = _pad_to_multiple(input, self.multiple)
        scene = self.scene_of(picture, scene)
        whole = self.whole_of(input, scene, maps, window)
        prediction = self._predict(self.student, picture, scene, whole)
        carried = 2.0 * _pad_to_multiple(state, self.multiple) - 1.0
        restored = _unit(accumulate(carried, prediction))
        return restored[:, :, :height, :width]


class WholePath(nn.Module):
    """What a student of two scales makes of the whole picture, for who feeds `maps`.

    picture (1, 3, GRID, GRID) in [0, 1], scene (1, scene_size) -> maps (1, MAPS, GRID, GRID).
    """

    def __init__(self, student: PlainUNet) -> None:
        super().__init__()
        self.student = fold(student)

    def forward(self, picture: Tensor, scene: Tensor) -> Tensor:
        return self.student.maps_of(2.0 * picture - 1.0, self.student.scene_code(scene))


class Enlargement(nn.Module):
    """A folded student that enlarges: (1, 3, h, w) sRGB in [0, 1] -> (1, 3, s·h, s·w), same.

    There is no scene. half: the network is float16; the interpolation and both ports stay float32.
    """

    pictures: tuple[str, ...] = ("input",)
    unmeasured: None = None
    defaults: Mapping[str, Tensor] = {}

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

    def forward(
        self,
        input: Tensor,
        scene: Tensor | None = None,
        maps: Tensor | None = None,
        window: Tensor | None = None,
    ) -> Tensor:
        unit = input.permute(0, 3, 1, 2).float() / 255.0
        optional = [given for given in (scene, maps, window) if given is not None]
        restored = self.restoration(unit, *optional)
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


def _or(side: Tensor, own: int) -> Tensor:
    """A side of the whole picture, (1, 1); `own` where it is 0."""
    return side + (side <= 0.0).to(side.dtype) * own


def _pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples, (1, 3, H', W')."""
    bottom = -image.shape[2] % multiple
    right = -image.shape[3] % multiple
    if isinstance(bottom, int) and isinstance(right, int) and bottom == right == 0:
        return image  # of a fixed size: an empty Pad would be one op that NPUs may not have
    return F.pad(image, (0, right, 0, bottom), mode="replicate")
