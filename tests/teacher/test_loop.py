"""The training loop: it learns, a killed run goes on exactly, a wrong checkpoint is refused."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_system import Around, Loss

from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.stream import Batch, Shard
from pellucid_teacher.data.synthesis import Synthesis
from pellucid_teacher.training.loop import TrainConfig, learning_rate, train

CONFIG = TrainConfig(steps=12, batch_size=2, lr=1e-2, warmup=2, workers=0, save_every=4, ema=0.5)


def tiny_synthesis() -> Synthesis:
    rng = np.random.default_rng(0)
    return Synthesis(Corpus([rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)]), 16)


@pytest.fixture(scope="module")
def synthesis() -> Synthesis:
    return tiny_synthesis()


def plain_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    value: Tensor = (model(batch.degraded) - batch.clean).square().mean()
    return value


def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    noise = 0.01 * torch.rand(batch.clean.shape, generator=generator)
    value: Tensor = (model(batch.degraded + noise) - batch.clean).abs().mean()
    return value


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 3, 3, padding=1)


def system(loss: Loss) -> Around:
    return Around(network(), loss)


@pytest.mark.parametrize("muon", ["", "weight"])
def test_a_killed_run_continues_with_the_same_losses(
    synthesis: Synthesis, tmp_path: Path, muon: str
) -> None:
    config = replace(CONFIG, muon=muon)
    whole = [r.loss for r in train(system(loss), synthesis, config, tmp_path / "whole")]
    assert len(whole) == 12

    cut = train(system(loss), synthesis, config, tmp_path / "cut")
    first = [next(cut).loss for _ in range(6)]  # checkpoint at 4, killed at 6
    del cut
    resumed = list(train(system(loss), synthesis, config, tmp_path / "cut"))
    assert resumed[0].step == 5
    assert first[:4] + [r.loss for r in resumed] == whole


def test_a_finished_run_has_nothing_left_to_do(synthesis: Synthesis, tmp_path: Path) -> None:
    list(train(system(loss), synthesis, CONFIG, tmp_path))
    assert list(train(system(loss), synthesis, CONFIG, tmp_path)) == []


def test_another_recipe_or_network_is_refused(synthesis: Synthesis, tmp_path: Path) -> None:
    list(train(system(loss), synthesis, CONFIG, tmp_path))
    with pytest.raises(ValueError, match=r"lr: 0.01 then, 0.02 now"):
        next(train(system(loss), synthesis, replace(CONFIG, lr=2e-2), tmp_path))
    with pytest.raises(ValueError, match="holds another network"):
        next(train(Around(nn.Conv2d(3, 3, 1), loss), synthesis, CONFIG, tmp_path))


def smallest(count: int = 64) -> float:
    """A denormal number after a multiplication, 0.0 where such numbers are flushed."""
    return float((np.full(count, 1e-40, np.float32) * np.float32(0.5)).max())


def test_denormals_are_zero_while_training_only(synthesis: Synthesis, tmp_path: Path) -> None:
    """They slow a step down many times; code after the run (hypothesis, for one) counts on them."""
    assert smallest() > 0.0
    inside = [smallest() for _ in train(system(loss), synthesis, CONFIG, tmp_path)]
    assert inside == [0.0] * CONFIG.steps and smallest() > 0.0


def test_time_budget_ends_the_run(synthesis: Synthesis, tmp_path: Path) -> None:
    assert list(train(system(loss), synthesis, CONFIG, tmp_path, minutes=1e-9)) == []


def test_ema_follows_its_recurrence(synthesis: Synthesis, tmp_path: Path) -> None:
    model = network()
    expected: Tensor | None = None
    for report in train(Around(model, loss), synthesis, CONFIG, tmp_path):
        now = model.state_dict()["bias"].clone()
        # It starts from the first weights; a young average follows faster than 0.5.
        moved = report.step - 1
        decay = min(0.5, (1 + moved) / (10 + moved))
        expected = now if expected is None else decay * expected + (1 - decay) * now
        assert torch.allclose(report.average.network.state_dict()["bias"], expected, atol=1e-7)


def test_learning_rate_warms_up_and_ends_at_its_floor() -> None:
    config = TrainConfig(lr=1.0, final_lr=0.1, warmup=10)
    assert learning_rate(config, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(config, 9, 0.0) == pytest.approx(1.0)
    assert learning_rate(config, 50, 0.5) == pytest.approx(0.55)
    assert learning_rate(config, 99, 1.0) == pytest.approx(0.1)


def test_accumulation_equals_one_large_batch(synthesis: Synthesis, tmp_path: Path) -> None:
    """Mean losses of two halves average to the loss of the whole, and so do their gradients."""

    once = replace(CONFIG, batch_size=4, steps=6)
    twice = replace(once, batch_size=2, accumulate=2)
    a = [r.loss for r in train(system(plain_loss), synthesis, once, tmp_path / "a")]
    b = [r.loss for r in train(system(plain_loss), synthesis, twice, tmp_path / "b")]
    assert a == pytest.approx(b, rel=1e-5)


def test_shards_split_the_common_stream() -> None:
    whole = [Shard(4).sample(i) for i in range(16)]
    parts = [[Shard(2, p, 2).sample(i) for i in range(8)] for p in range(2)]
    assert whole == list(range(16))
    assert sorted(parts[0] + parts[1]) == whole
    assert parts[0][:2] + parts[1][:2] == whole[:4], "batch 0 holds the same samples"


TWO_PROCESSES = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {above!r}]
import test_loop as t
import tiny_training
from pellucid_teacher.training.loop import train
tiny_training.draw_small_banks()
synthesis = t.tiny_synthesis()
for report in train(t.system(t.plain_loss), synthesis, t.CONFIG, Path({folder!r})):
    if report.is_main:
        print(report.loss)
"""


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_same_total_batch(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    home = Path(__file__).parent
    told = {"tests": str(home), "above": str(home.parent), "folder": str(tmp_path / "two")}
    script.write_text(TWO_PROCESSES.format(**told))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run([*launch, script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    together = [float(line) for line in done.stdout.split()]
    config = replace(CONFIG, batch_size=4)
    alone = train(system(plain_loss), tiny_synthesis(), config, tmp_path / "one")
    assert together == pytest.approx([r.loss for r in alone], rel=1e-4)
    # Another number of processes would see other samples, so it may not go on with the run.
    with pytest.raises(ValueError, match="processes: 2 then, 1 now"):
        next(train(system(plain_loss), tiny_synthesis(), CONFIG, tmp_path / "two"))


def test_fast_parameters_take_larger_steps(synthesis: Synthesis, tmp_path: Path) -> None:
    """Adam's first step is one learning rate long whatever the gradient."""
    model, before = network(), network().state_dict()
    config = replace(CONFIG, steps=1, warmup=1, fast="bias", fast_scale=3.0, final_lr=CONFIG.lr)
    list(train(Around(model, plain_loss), synthesis, config, tmp_path))
    moved = {k: (v - before[k]).abs().max().item() for k, v in model.state_dict().items()}
    assert moved["bias"] == pytest.approx(3 * CONFIG.lr, rel=1e-3)
    assert moved["weight"] == pytest.approx(CONFIG.lr, rel=1e-3)
