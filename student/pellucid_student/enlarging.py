"""Training students that enlarge: on ground truth, and on a teacher's pictures if there is one.

The loss is `objective`'s, of one call and without a scene. A teacher, ResShift for example, is
asked for the one picture that it makes of its fixed noise (SinSR, Wang et al., CVPR 2024).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import torch

from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.task_samples import Enlarging
from pellucid_teacher.training.checkpoint import averaged_weights
from pellucid_teacher.training.loop import StepReport, TrainConfig, train

from .enlarger import SR4, Enlarger, EnlargerConfig
from .frozen_teacher import FrozenTeacher
from .losses import Losses
from .objective import EnlargingLoss, following
from .student import EnlargingStudent
from .weights import Provenance, begin_enlarging_from, continued, save_student

BODY = r"body\..*weight"
# In equal time this gained 0.3 dB over batches of 16 at half of the rate.
ENLARGER_TRAIN = TrainConfig(
    batch_size=8, lr=2e-3, muon=BODY, muon_scale=5.0, muon_decay=0.1, warmup=100
)


@dataclass(frozen=True)
class EnlargingConfig:
    """A run. is_blind: pictures are degraded as unknown real ones are; else reduced by MATLAB's
    bicubic alone. crop: side of a training crop after enlarging, px. start: weights of the same
    size to begin from, or None."""

    network: EnlargerConfig = SR4
    is_blind: bool = False
    start: Path | None = None
    losses: Losses = field(default_factory=Losses)
    train: TrainConfig = ENLARGER_TRAIN
    crop: int = 128

    def __post_init__(self) -> None:
        if self.crop % self.network.scale:
            raise ValueError(
                f"the crop must be a multiple of the scale {self.network.scale}, got {self.crop}"
            )

    def samples(self, corpus: Corpus, crop: int) -> Enlarging:
        return Enlarging(corpus, crop, self.network.scale, self.is_blind)


PRESETS = {"sr4": EnlargingConfig(), "sr4-real": EnlargingConfig(is_blind=True)}


def train_enlarger(
    config: EnlargingConfig,
    corpus: Corpus,
    folder: Path,
    minutes: float | None = None,
    teacher: FrozenTeacher | None = None,
    began: float | None = None,
) -> Iterator[StepReport]:
    """Train or resume in `folder`; every report's `average` is the student to keep.

    minutes, began: as of `training.loop.train`. Raises ValueError without clean photos, and for a
    teacher of another scale.
    """
    scale = config.network.scale
    if not corpus.clean:
        raise ValueError("enlarging is learnt from clean photos; found none in a folder clean/")
    if teacher is not None and getattr(teacher.system, "scale", 1) != scale:
        raise ValueError(f"{teacher} does not enlarge x{scale}; give one trained for it")
    torch.manual_seed(config.train.seed)
    network = Enlarger(config.network)
    if config.start is not None:
        begin_enlarging_from(network, config.start)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss = EnlargingLoss(config.losses, None if teacher is None else teacher.restore)
    samples, student = config.samples(corpus, config.crop), EnlargingStudent(network, loss)
    reports = train(student, samples, config.train, folder, minutes, began)
    yield from following(loss, reports, config.train, folder, minutes)


def keep_enlarger(
    config: EnlargingConfig,
    folder: Path,
    preset: str,
    datasets: list[str],
    license: str,
    teacher: FrozenTeacher | None = None,
) -> Path:
    """Write the averaged weights of the last checkpoint, folded: folder/student.safetensors."""
    network = Enlarger(config.network)
    average, step = averaged_weights(folder)
    network.load_state_dict(average)
    provenance = Provenance(
        preset,
        _recipe(config, teacher),
        step,
        license,
        datasets,
        teacher=None if teacher is None else str(teacher),
        date=date.today().isoformat(),
    )
    path = folder / "student.safetensors"
    save_student(path, network, continued(provenance, config.start))
    return path


def _recipe(config: EnlargingConfig, teacher: FrozenTeacher | None) -> str:
    """How a run trained, in a line for the header."""
    training, weight = config.train, config.losses.perceptual
    return (
        f"{'ground truth only' if teacher is None else 'teacher and ground truth'}, "
        f"{'blind degradation' if config.is_blind else 'bicubic'}, "
        f"{f'ST-LPIPS {weight:g}, ' if weight else ''}"
        f"batch {training.batch_size} of {config.crop} px, Muon and Adam {training.lr:g}, "
        f"cosine, EMA {training.ema}"
    )
