"""Settings of a training run, shared by all systems."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ..data.corpus import Corpus
from ..data.stream import Samples
from ..data.synthesis import Synthesis, TaskMix


@dataclass(frozen=True)
class TrainConfig:
    """steps: optimiser steps of the whole run. batch_size: samples a process and micro-batch.
    accumulate: micro-batches a step. lr: peak, after `warmup` steps of linear rise.
    final_lr: end of the cosine (equal to lr: constant). betas: of Adam.
    fast: pattern of the parameter names whose learning rate is `fast_scale` times the others'.
    muon: pattern of the names of 3x3 kernels that Muon trains, at `muon_scale` times `lr`; all
    others are Adam's. muon_decay: what keeps those kernels from growing without end.
    ema: decay of the averaged weights, the ones that are kept, once a run is long enough for it
    (see _follow); they move every `ema_every` steps.
    clip: largest gradient norm; the default is always exceeded, so that every step has one length,
    whatever its task's error. save_every, save_seconds: between checkpoints, whichever comes first.
    seed: of data and noise.
    compile: by torch.compile, which needs a C++ compiler; the student's steps take a fifth less
    time on a CPU.
    """

    steps: int = 40_000
    fast: str = ""
    fast_scale: float = 1.0
    muon: str = ""
    muon_scale: float = 10.0
    muon_decay: float = 0.0
    batch_size: int = 8
    accumulate: int = 1
    lr: float = 1e-3
    final_lr: float = 1e-5
    warmup: int = 500
    betas: tuple[float, float] = (0.9, 0.99)
    ema: float = 0.999
    ema_every: int = 1
    clip: float = 0.05
    seed: int = 1
    workers: int = 1
    save_every: int = 1000
    save_seconds: float = 60.0
    bf16: bool = False
    compile: bool = False


@dataclass(frozen=True)
class Recipe:
    """How a system is trained. crop: side of a training crop, px. mix: shares of the tasks.
    one_task_batches: all samples of a batch are of one task, so that a step of fixed length is a
    fixed share of attention; else tasks are drawn within a batch. draw: other samples than the
    synthesis' (corpus, side of a crop); mix and one_task_batches say nothing then."""

    train: TrainConfig
    crop: int
    mix: TaskMix = field(default_factory=TaskMix)
    one_task_batches: bool = True
    draw: Callable[[Corpus, int], Samples] | None = None

    def samples(self, corpus: Corpus) -> Samples:
        """What a run on `corpus` draws. Raises ValueError if `draw` misses clean photos."""
        if self.draw is None:
            each = self.train.batch_size if self.one_task_batches else 1
            return Synthesis(corpus, self.crop, self.mix, each)
        if not corpus.clean:
            raise ValueError("expected clean photos in a folder clean/, found ready pairs alone")
        return self.draw(corpus, self.crop)


# Settings of the code that the releases of RDDM and DiffUIR both build on.
RELEASED = TrainConfig(
    accumulate=2, lr=8e-5, final_lr=8e-5, warmup=1, ema=0.995, ema_every=10, clip=1.0
)
# For the small presets: a minute on a CPU shows that a system learns.
SMALL = Recipe(TrainConfig(steps=20_000, batch_size=4, lr=1e-3, warmup=100), crop=64)
