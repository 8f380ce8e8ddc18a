"""The figures that `pellucid eval` measures: of a picture, of a set, of a run."""

from dataclasses import dataclass, field

from ..page import Shown


@dataclass(frozen=True)
class Score:
    """Figures of one picture; `_in` as given to the model, `_out` restored. y: BT.601 luma.

    st_lpips: None without that package. psnr_gt_mean: None but for low light; output scaled to the
    clean picture's mean. ms_mp: milliseconds a megapixel. found: what is wrong, in words, if the
    model can tell.
    """

    set: str
    name: str
    steps: int
    psnr_in: float
    psnr_out: float
    psnr_y_in: float
    psnr_y_out: float
    ssim_in: float
    ssim_out: float
    ssim_y_in: float
    ssim_y_out: float
    delta_e_in: float
    delta_e_out: float
    st_lpips_in: float | None
    st_lpips_out: float | None
    psnr_gt_mean_in: float | None
    psnr_gt_mean_out: float | None
    ms_mp: float
    found: str = ""


@dataclass(frozen=True)
class SetFigures:
    """Means over a set. headline: the columns its protocol is judged by, "rgb" or "y".

    means: by the names in `Score`; a figure that not every picture has is left out.
    """

    name: str
    task: str
    steps: int
    pairs: int
    headline: str
    means: dict[str, float]


@dataclass
class Evaluation:
    """What one run of `pellucid eval` measured.

    weights_sha256: see `Subject`. skipped: sets, each with the reason.
    """

    model: str
    weights_sha256: str = ""
    sets: list[SetFigures] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    pictures: list[Shown] = field(default_factory=list)
