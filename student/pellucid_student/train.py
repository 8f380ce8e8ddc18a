"""Train a student, with or without a teacher, and keep its averaged weights."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import torch

from pellucid_teacher.data.clips import Clips
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.stream import Samples
from pellucid_teacher.data.synthesis import Synthesis, TaskMix
from pellucid_teacher.data.wholes import Parts, Wholes
from pellucid_teacher.training.checkpoint import averaged_weights
from pellucid_teacher.training.loop import StepReport, TrainConfig, train

from .dead_channels import kept_alive, look, revive, revive_levels
from .estimator_training import prepare_estimator
from .frozen_teacher import FrozenTeacher
from .losses import Losses
from .objective import StudentLoss, following
from .plain_unet import TINY, PlainUNet, PlainUNetConfig
from .student import Loss, Student
from .temporal import temporal_loss
from .weights import Provenance, begin_from, continued, save_student

# What reads the scene and sets the tone curve is a few vector layers behind the whole picture's
# exposure; at the body's learning rate dark and hazy photos lag far behind. Not so the biases and
# gates that the code turns into: they shut a unit faster than its kernel can learn.
SCENE_PATH = r"read_scene|read_amounts|read_diagnosis|code|curve"
# The body's kernels; gates, and stem and head, which touch pixels, stay with Adam.
BODY = r"(encoder|decoder|down|up)\..*(?<!gate\.)weight"
BODIES = r"(thumbnail\.)?" + BODY  # of networks of two scales
STUDENT_TRAIN = TrainConfig(
    fast=SCENE_PATH, fast_scale=5.0, muon=BODY, muon_scale=3.0, muon_decay=0.1
)


@dataclass(frozen=True)
class RunConfig:
    """A student's run.

    start: weights of this size or smaller to begin from, or None. crop: side of a training crop,
    px. mix: shares of the tasks. clip_frames: frames of a training clip, for video; 0: photos.
    new_estimator: train it anew even where `start` brings one, because the degradations are others
    now. whole: of a network of two scales, only what sees the whole picture learns, on whole
    pictures reduced to its grid.
    """

    network: PlainUNetConfig = TINY
    start: Path | None = None
    losses: Losses = field(default_factory=Losses)
    train: TrainConfig = STUDENT_TRAIN
    crop: int = 96
    mix: TaskMix = field(default_factory=TaskMix)
    clip_frames: int = 0
    new_estimator: bool = False
    whole: bool = False


def train_student(
    config: RunConfig,
    corpus: Corpus,
    folder: Path,
    minutes: float | None = None,
    teacher: FrozenTeacher | None = None,
    began: float | None = None,
) -> Iterator[StepReport]:
    """Train or resume a student in `folder`; every report's `average` is the student to keep.

    minutes, began: as of `training.loop.train`.
    Raises ValueError for clips with a teacher or an optional loss term, which they do without, and
    for `whole` with a network that does not see the whole picture, or with a teacher or clips.
    """
    training = config.train
    torch.manual_seed(training.seed)
    network = PlainUNet(config.network)
    if network.thumbnail is not None and training.muon == BODY:
        training = replace(training, muon=BODIES)
    if config.whole and (network.thumbnail is None or teacher or config.clip_frames):
        raise ValueError(
            "whole pictures are learnt from by networks of two scales, such as --preset "
            "tiny-two-scale, without a teacher and without clips"
        )
    restore = None if teacher is None else teacher.restore
    loss = StudentLoss(config.losses, restore, detailed=not config.whole)
    synthesis = Synthesis(corpus, config.crop, config.mix, training.batch_size)
    samples: Samples = synthesis
    chosen: Loss = loss
    if config.clip_frames:
        if teacher is not None or config.losses.perceptual:
            raise ValueError("clips are learnt without a teacher and without optional loss terms")
        samples, chosen = Clips(synthesis, config.clip_frames), temporal_loss
    elif network.thumbnail is not None:
        samples = Wholes(synthesis) if config.whole else Parts(synthesis)

    def show() -> None:
        look(network, synthesis, training)

    if config.start is not None:
        begin_from(network, config.start)
    if not (folder / "state.pt").exists():
        if config.new_estimator and network.estimator is not None:
            network.estimator.forget()
        prepare_estimator(network, synthesis, training, minutes)
        if config.start is not None and not config.whole:
            revive_levels(network, show)
            revive(network, show, training.seed)
    if config.whole and network.thumbnail is not None:
        network.requires_grad_(False)
        network.thumbnail.requires_grad_(True)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    reports = train(Student(network, chosen), samples, training, folder, minutes, began)
    if not config.whole:  # the body's dead units stay as they are, like all of it
        reports = kept_alive(reports, network, show, training.seed)
    yield from following(loss, reports, training, folder, minutes)


def kept_network(config: RunConfig, folder: Path) -> tuple[PlainUNet, int]:
    """The averaged weights of a run's last checkpoint, and its step."""
    network = PlainUNet(config.network)
    average, step = averaged_weights(folder)
    network.load_state_dict(average)
    return network, step


def keep_student(
    config: RunConfig,
    folder: Path,
    preset: str,
    datasets: list[str],
    license: str,
    teacher: FrozenTeacher | None = None,
) -> Path:
    """Write the averaged weights of the last checkpoint, folded: folder/student.safetensors.

    Where the run began from weights, their provenance comes first.
    """
    network, step = kept_network(config, folder)
    provenance = Provenance(
        preset,
        _recipe(config, teacher),
        step,
        license,
        datasets,
        teacher=None if teacher is None else str(teacher),
        date=date.today().isoformat(),
        clip_frames=config.clip_frames,
    )
    path = folder / "student.safetensors"
    save_student(path, network, continued(provenance, config.start))
    return path


def _recipe(config: RunConfig, teacher: FrozenTeacher | None) -> str:
    """How a run trained, in a line for the header."""
    training = config.train
    drawn = (
        f"clips of {config.clip_frames} frames"
        if config.clip_frames
        else f"photos, {config.losses.later:g} of the batches half-restored"
    )
    if config.whole:
        drawn = f"whole pictures on a grid, what sees them alone, {drawn}"
    return (
        f"{'ground truth only' if teacher is None else 'teacher and ground truth'}, {drawn}, "
        f"{f'ST-LPIPS {config.losses.perceptual:g}, ' if config.losses.perceptual else ''}"
        f"one task a batch, batch {training.batch_size} of {config.crop} px, "
        f"Muon and Adam {training.lr:g}, cosine, EMA {training.ema}; shares: {config.mix}"
        f"{'; estimator trained anew' if config.new_estimator else ''}"
    )
