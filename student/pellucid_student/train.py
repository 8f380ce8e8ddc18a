"""Train a student on ground truth alone and keep its averaged weights."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import torch

from pellucid_teacher.data.clips import Clips
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.synthesis import Synthesis, TaskMix
from pellucid_teacher.training.checkpoint import averaged_weights
from pellucid_teacher.training.loop import Report, TrainConfig, train

from .dead_channels import kept_alive, look, revive, revive_levels
from .diagnosis import prepare_diagnosis
from .objective import LATER
from .plain_unet import PRESETS, PlainUNet
from .student import Student
from .temporal import temporal_loss
from .weights import Provenance, begin_from, continued, save_student

# What reads the scene and sets the tone curve is a few vector layers behind the whole picture's
# exposure; at the body's learning rate dark and hazy photos lag far behind. Not so the biases and
# gates that the code turns into: they shut a unit faster than its kernel can learn.
SCENE_PATH = r"read_scene|read_diagnosis|code|curve"
# The body's kernels; gates, and stem and head, which touch pixels, stay with Adam.
BODY = r"(encoder|decoder|down|up)\..*(?<!gate\.)weight"
STUDENT_TRAIN = TrainConfig(
    fast=SCENE_PATH, fast_scale=5.0, muon=BODY, muon_scale=3.0, muon_decay=0.1
)


@dataclass(frozen=True)
class StudentRecipe:
    """preset: of PlainUNet. crop: side of a training crop, px. mix: shares of the tasks.
    clip_frames: frames of a training clip, for video; 0: photos. new_diagnosis: train it anew even
    where the weights to begin from bring one, because the degradations are others now."""

    preset: str = "tiny"
    crop: int = 96
    train: TrainConfig = STUDENT_TRAIN
    mix: TaskMix = field(default_factory=TaskMix)
    clip_frames: int = 0
    new_diagnosis: bool = False


def train_student(
    recipe: StudentRecipe,
    corpus: Corpus,
    folder: Path,
    minutes: float | None = None,
    start: Path | None = None,
    began: float | None = None,
) -> Iterator[Report]:
    """Train or resume a student in `folder`; every report's `average` is the student to keep.

    start: weights of the same preset to begin from, as `keep_student` writes them.
    """
    torch.manual_seed(recipe.train.seed)
    model = PlainUNet(PRESETS[recipe.preset])
    synthesis = Synthesis(corpus, recipe.crop, recipe.mix, recipe.train.batch_size)

    def seen() -> None:
        look(model, synthesis, recipe.train)

    if start is not None:
        begin_from(model, start)
    if not (folder / "state.pt").exists():
        if recipe.new_diagnosis:
            model.diagnosis.forget()
        prepare_diagnosis(model.diagnosis, synthesis, recipe.train, minutes)
        if start is not None:
            revive_levels(model, seen)
            revive(model, seen, recipe.train.seed)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.clip_frames:
        clips = Clips(synthesis, recipe.clip_frames)
        reports = train(Student(model, temporal_loss), clips, recipe.train, folder, minutes, began)
    else:
        reports = train(Student(model), synthesis, recipe.train, folder, minutes, began)
    return kept_alive(reports, model, seen, recipe.train.seed)


def keep_student(
    recipe: StudentRecipe, folder: Path, datasets: list[str], start: Path | None = None
) -> Path:
    """Write the averaged weights of the last checkpoint, folded: folder/student.safetensors.

    start: the weights that the run began from; their provenance comes first.
    """
    model = PlainUNet(PRESETS[recipe.preset])
    average, step = averaged_weights(folder)
    model.load_state_dict(average)
    config = recipe.train
    drawn = (
        f"clips of {recipe.clip_frames} frames"
        if recipe.clip_frames
        else f"photos, {LATER:g} of the batches half-restored"
    )
    made = (
        f"ground truth only, {drawn}, one task a batch, "
        f"batch {config.batch_size} of {recipe.crop} px, "
        f"Muon and Adam {config.lr:g}, cosine, EMA {config.ema}; shares: {recipe.mix}"
        f"{'; diagnosis trained anew' if recipe.new_diagnosis else ''}"
    )
    told = Provenance(
        recipe.preset,
        made,
        step,
        datasets,
        date=date.today().isoformat(),
        clip_frames=recipe.clip_frames,
    )
    path = folder / "student.safetensors"
    save_student(path, model, continued(told, start))
    return path
