"""What `pellucid eval --model` can mean, and in how many steps each is run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pellucid import PellucidError, Restorer

Restore = Callable[[NDArray[Any]], NDArray[Any]]  # (H, W, 3) in [0, 1] -> same


@dataclass(frozen=True)
class Subject:
    """What is measured. runs: (steps, how to restore), None for the inputs themselves."""

    label: str
    runs: tuple[tuple[int, Restore | None], ...]


IDENTITY = Subject("identity", ((0, None),))


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
    name: str, steps: Sequence[int], threads: int | None, start_noise: float | None = None
) -> Subject:
    """`identity`, a teacher's folder, a student's weights, a bundled name or an exported file.

    start_noise: overrides the network's own; exported files start without.
    """
    is_teacher = any(Path(name).glob("*.safetensors"))
    is_trained = is_teacher or Path(name).suffix == ".safetensors"
    if start_noise is not None and not is_trained:
        raise PellucidError(f"--start-noise is for a teacher's folder; {name} is none")
    if name == "identity":
        return IDENTITY
    if is_trained:
        return _open_weights(Path(name), steps, threads, start_noise)
    restorers = [Restorer(name, steps=count, threads=threads) for count in steps]
    card = restorers[0].card
    return Subject(
        card.id, tuple((count * card.steps, r) for count, r in zip(steps, restorers, strict=True))
    )


def _open_weights(
    path: Path, steps: Sequence[int], threads: int | None, start_noise: float | None
) -> Subject:
    """Trained weights run in torch, whole pictures, without tiles."""
    try:
        import torch

        from pellucid_student.frozen_teacher import load_frozen_teacher
        from pellucid_teacher.training.dev_set import restore_whole
    except ImportError as error:
        raise PellucidError(f"{path} needs torch: pip install 'pellucid[train]'") from error
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        weights = load_frozen_teacher(path)
    except ValueError as error:
        raise PellucidError(str(error)) from error
    if start_noise is not None and not path.is_dir():
        raise PellucidError(f"--start-noise is for a teacher's folder; {path} restores without")
    noise = weights.start_noise if start_noise is None else start_noise

    def with_steps(count: int) -> Restore:
        chosen = replace(weights, steps=count, start_noise=noise)
        return partial(restore_whole, chosen.restore, multiple=weights.multiple)

    label = f"teacher {path.name}" if path.is_dir() else weights.name
    if path.is_dir() or noise > 0.0:
        label = f"{label}, start noise {noise:g}"
    return Subject(label, tuple((count, with_steps(count)) for count in steps))
