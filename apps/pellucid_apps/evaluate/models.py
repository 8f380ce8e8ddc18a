"""What `pellucid eval --model` can mean, and in how many steps each is run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pellucid import Enlarger, Found, PellucidError, Restorer
from pellucid.bundled import bundled_names
from pellucid.enlarger import scale_of

Restore = Callable[[NDArray[Any]], NDArray[Any]]  # (H, W, 3) in [0, 1] -> (sH, sW, 3)

Look = Callable[[NDArray[Any]], Found]


@dataclass(frozen=True)
class Subject:
    """What is measured. runs: (steps, how to restore), None for the inputs themselves.

    weights_sha256: of an exported file's weights, "" for anything else. look: what is wrong with a
    picture, if the model can tell. scale: of the sets that it is measured on, None for any.
    """

    label: str
    runs: tuple[tuple[int, Restore | None], ...]
    weights_sha256: str = ""
    look: Look | None = None
    scale: int | None = 1


IDENTITY = Subject("identity", ((0, None),), scale=None)


def parse_steps(text: str) -> tuple[int, ...]:
    """ "1,2,3" to (1, 2, 3). Raises PellucidError."""
    try:
        steps = tuple(int(part) for part in text.split(","))
    except ValueError:
        steps = ()
    if not steps or min(steps) < 1 or len(set(steps)) < len(steps):
        raise PellucidError(f"--steps takes numbers from 1, each once, as in 1,2,3; got {text!r}")
    return steps


def open_model(
    name: str,
    steps: Sequence[int],
    threads: int | None,
    start_noise: float | None = None,
    system: str | None = None,
) -> Subject:
    """`identity`, a teacher's folder, a student's weights, a bundled name or an exported file.

    start_noise: overrides DiffUIR's own; students and exported files start without.
    system: MODULE:KIND of a teacher's system that is not part of pellucid.
    """
    is_teacher = any(Path(name).glob("*.safetensors"))
    is_trained = is_teacher or Path(name).suffix == ".safetensors"
    if start_noise is not None and not is_trained:
        raise PellucidError(f"--start-noise is for a teacher's folder; {name} is none")
    if name == "identity":
        return IDENTITY
    if is_trained:
        return _open_weights(Path(name), steps, threads, start_noise, system)
    if name not in bundled_names() and scale_of(name) > 1:
        if tuple(steps) != (1,):
            raise PellucidError(f"{name} enlarges in one step, got --steps {steps}")
        enlarger = Enlarger(name, threads=threads)
        card = enlarger.card
        return Subject(card.id, ((1, enlarger),), card.weights_sha256, scale=enlarger.scale)
    restorers = [Restorer(name, steps=count, threads=threads) for count in steps]
    card = restorers[0].card
    runs = tuple((count * card.steps, r) for count, r in zip(steps, restorers, strict=True))
    look = restorers[0].look if card.degradations else None
    return Subject(card.id, runs, card.weights_sha256, look)


def _open_weights(
    path: Path,
    steps: Sequence[int],
    threads: int | None,
    start_noise: float | None,
    system: str | None,
) -> Subject:
    """Trained weights run in torch, whole pictures, without tiles."""
    try:
        import torch

        from pellucid_student.frozen_teacher import load_frozen_teacher
        from pellucid_teacher.systems import kinds_with
        from pellucid_teacher.training.dev_set import restore_picture
    except ImportError as error:
        raise PellucidError(f"{path} needs torch: pip install 'pellucid[train]'") from error
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        weights = load_frozen_teacher(path, kinds=kinds_with(system))
    except ValueError as error:
        raise PellucidError(str(error)) from error
    chosen, label = weights.system, weights.name
    if start_noise is not None:
        if not hasattr(chosen, "start_noise"):
            raise PellucidError(f"--start-noise is for DiffUIR; {label} has no such setting")
        chosen.start_noise = start_noise
        label = f"{label}, start noise {start_noise:g}"
    runs = tuple((n, partial(restore_picture, chosen, steps=n)) for n in steps)
    return Subject(label, runs, scale=getattr(chosen, "scale", 1))
