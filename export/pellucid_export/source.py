"""What every format is made from, and what making one means."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from pellucid.size import Size
from pellucid_student.estimator import Estimator
from pellucid_student.weights import AnyStudent, Provenance

from .calibration import Pictures, Planes, fit
from .card import card
from .onnx.file import Run
from .onnx.overflow import check_fp16_range
from .restoration import AnyRestoration, make_restoration
from .sensitivity import Sensitivity, measure_sensitivity, spread
from .thresholds import ExportError

RANGE_PICTURES = 24
PIXEL_BUDGET = 24 * 256 * 256  # px looked at for ranges, so that large sizes do not take minutes


@dataclass
class ExportSource:
    """A folded student with its pictures; what several formats need is computed once."""

    student: AnyStudent
    provenance: Provenance
    steps: int
    pictures: Pictures
    image_io: bool = False
    id: str = field(init=False)
    card: dict[str, object] = field(init=False)

    def __post_init__(self) -> None:
        self.card = card(self.student, self.provenance, self.steps)
        self.id = str(self.card["id"])

    @cached_property
    def restoration(self) -> AnyRestoration:
        return make_restoration(self.student, self.steps).eval()

    @property
    def estimator(self) -> Estimator | None:
        """What measures degradations; None for students that enlarge."""
        return getattr(self.student, "estimator", None)

    def refuse_two_scales(self, format: str) -> None:
        """For formats whose hosts give each tile alone. Raises ExportError."""
        if getattr(self.student, "thumbnail", None) is not None:
            raise ExportError(
                f"{self.id} sees the whole picture beside its tiles, for which {format} files have "
                "no input yet; export it as onnx or openvino"
            )

    @cached_property
    def half_restoration(self) -> AnyRestoration:
        """float16 weights and activations. Raises QualityError if they do not fit."""
        check_fp16_range(self.restoration, spread(self.pictures.calibration, 8))
        return make_restoration(self.student, self.steps, half=True).eval()

    @cached_property
    def sensitivity(self) -> Sensitivity:
        return measure_sensitivity(self.restoration, self.pictures.calibration)

    def calibration(self, size: Size | None, most: int = RANGE_PICTURES) -> list[Planes]:
        """Pictures to measure ranges on, cut to `size`; fewer of them if they are large."""
        held = self.pictures.calibration
        height, width = size or (held[0].shape[2], held[0].shape[3])
        count = max(2, min(most, PIXEL_BUDGET // (height * width)))
        return [fit(picture, (height, width)) for picture in spread(held, count)]


class Maker(Protocol):
    """One file format. `make` may raise QualityError; it writes below `folder` only."""

    def place(self, precision: str, size: Size | None) -> Path:
        """Where the file belongs in the export folder."""

    def make(self, precision: str, size: Size | None, keep: tuple[str, ...], folder: Path) -> Path:
        """Write one file, or one folder that counts as a file, and return it.

        keep: torch names of layers that stay in higher precision.
        """

    def runner(self, path: Path, size: Size | None, threads: int) -> Run:
        """The saved file as a function of pictures (1, 3, H, W) in [0, 1]."""
