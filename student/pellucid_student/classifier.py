"""A classifier of tasks: a few vector layers that read numbers off a picture.

It says who of several specialists is asked (router.py). Networks made before the estimator have one
inside, which reads the scene code.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pellucid_teacher.data.synthesis import TASKS, Synthesis, TaskMix

from .scene import SCENE_SIZE

# Tasks that are hard to tell apart need examples more than tasks that are common.
MIX = TaskMix(
    rain=0.2, lowlight=0.14, haze=0.2, snow=0.1, blur=0.1, noise=0.2, clean=0.06, compound=0.0
)
EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 25, 64, 2e-3, 3e-2


class TaskClassifier(nn.Module):
    """Scene code (B, SCENE_SIZE), or what else `inputs` numbers tell -> probability of every task
    of `tasks`, (B, len(tasks))."""

    def __init__(
        self, width: int, tasks: tuple[str, ...] = TASKS, inputs: int = SCENE_SIZE
    ) -> None:
        super().__init__()
        self.tasks = tasks
        self.layer1 = nn.Linear(inputs, width)
        self.layer2 = nn.Linear(width, width // 2)
        self.layer3 = nn.Linear(width // 2, len(tasks))
        nn.init.zeros_(self.layer3.weight)
        nn.init.zeros_(self.layer3.bias)

    def forward(self, scene: Tensor) -> Tensor:
        return self.logits(scene, 0.0).softmax(dim=1)

    def logits(self, scene: Tensor, dropout: float) -> Tensor:
        """(B, inputs) -> (B, len(tasks))."""
        x = F.dropout(F.relu(self.layer1(scene)), dropout)
        x = F.dropout(F.relu(self.layer2(x)), dropout)
        out: Tensor = self.layer3(x)
        return out


def fit(classifier: TaskClassifier, codes: Tensor, tasks: Tensor, seed: int) -> float:
    """Train on codes (N, inputs) and task numbers (N,), then freeze. Returns the loss of the
    last epoch, in nats."""
    mean, spread = codes.mean(dim=0), codes.std(dim=0) + 1e-2
    codes = (codes - mean) / spread
    classifier.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        classifier.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )
    last = 0.0
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for epoch in range(EPOCHS):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (1.0 - epoch / EPOCHS)
            total, order = 0.0, torch.randperm(len(tasks))
            for chosen in torch.split(order, BATCH):
                logits = classifier.logits(codes[chosen], dropout=0.2)
                loss = F.cross_entropy(logits, tasks[chosen])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += float(loss.detach()) * len(chosen)
            last = total / len(tasks)
    classifier.requires_grad_(False)
    first = classifier.layer1  # W (x - m) / s + b = (W / s) x + (b - (W / s) m)
    first.weight.div_(spread)
    first.bias.sub_(first.weight @ mean)
    return last


def labelled(
    synthesis: Synthesis,
    seed: int,
    samples: int,
    workers: int,
    read: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """What `read` makes, (N, ...), of fresh synthetic crops (N, 3, H, W) in [0, 1], a few at a
    time, and their task numbers (N,). The user's own pairs have no labels and are left out."""
    synthetic = replace(synthesis.corpus, own=[])
    # Another stream than the training's own: the network must see the classifier's mistakes.
    alone = Synthesis(synthetic, synthesis.crop, MIX, samples_per_task=1)
    crops = _Crops(alone, seed + 10_007, samples)
    codes, tasks = [], []
    for pictures, numbers in DataLoader(crops, batch_size=16, num_workers=workers):
        codes.append(read(pictures))
        tasks.append(numbers)
    return torch.cat(codes), torch.cat(tasks)


class _Crops(Dataset[tuple[Tensor, int]]):
    def __init__(self, synthesis: Synthesis, seed: int, samples: int) -> None:
        self.synthesis, self.seed, self.samples = synthesis, seed, samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        degraded, _, task = self.synthesis.sample(self.seed, index)
        return torch.from_numpy(degraded).permute(2, 0, 1), TASKS.index(task)
