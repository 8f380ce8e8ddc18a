"""A training that is stopped, killed, restarted by torchrun or given other data loses nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import CONFIG, network, run, synthesis
from torch import nn

from pellucid_teacher.data.corpus import Corpus


def terminate_myself() -> None:
    """What SIGTERM calls here. Sent in earnest it has killed workers of pytest, in which any test
    before may have left a library with a handler of its own."""
    handler = signal.getsignal(signal.SIGTERM)
    assert callable(handler), "the run does not listen"
    handler(signal.SIGTERM, None)


def test_a_signal_ends_the_run_after_its_step_with_everything_saved(tmp_path: Path) -> None:
    whole = [r.loss for r in run(tmp_path / "whole")]
    before, seen = signal.getsignal(signal.SIGTERM), list[float]()
    with pytest.raises(KeyboardInterrupt):
        for report in run(tmp_path / "cut"):
            seen.append(report.loss)
            if report.step == 6:  # not a step at which it would be saved anyway
                terminate_myself()
    assert len(seen) == 6 and signal.getsignal(signal.SIGTERM) is before
    rest = [r.loss for r in run(tmp_path / "cut")]
    assert seen + rest == whole


def test_an_abandoned_run_does_not_make_another_one_deaf(tmp_path: Path) -> None:
    abandoned: Any = run(tmp_path / "abandoned")
    next(abandoned)
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        for report in run(tmp_path / "running"):
            seen.append(report.step)
            if report.step == 2:
                abandoned.close()  # as the garbage collector does, whenever it likes
                terminate_myself()
    assert seen == [1, 2]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_checkpoints_come_by_time_too(tmp_path: Path) -> None:
    config = replace(CONFIG, save_every=1000, save_seconds=0.0)
    training = run(tmp_path, config)
    for _ in range(5):
        next(training)
    training.close()  # type: ignore[attr-defined]
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 4, "all but the last"


def test_what_the_caller_does_to_the_network_is_saved_with_the_step(tmp_path: Path) -> None:
    """Dead channels are revived between steps; a resumed run must not do without."""
    config = replace(CONFIG, save_every=1)
    model = network()
    training = run(tmp_path, config, model)
    next(training)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.25)
    next(training)
    training.close()  # type: ignore[attr-defined]
    told = torch.load(tmp_path / "state.pt", weights_only=True)
    assert told["step"] == 1 and all((v == 0.25).all() for v in told["model"].values())


def test_time_before_the_loop_counts(tmp_path: Path) -> None:
    began = time.monotonic() - 120.0  # loading took two minutes
    assert list(run(tmp_path, minutes=1.0, began=began)) == []


def test_signals_are_left_alone_outside_the_main_thread(tmp_path: Path) -> None:
    losses: list[float] = []

    def work() -> None:
        losses.extend(report.loss for report in run(tmp_path))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(losses) == CONFIG.steps


def test_other_data_or_another_network_is_refused_in_two_lines(tmp_path: Path) -> None:
    list(run(tmp_path))
    with pytest.raises(ValueError, match="trained on other data: 1 photos") as told:
        next(run(tmp_path, samples=synthesis(seed=1)))
    assert len(str(told.value).splitlines()) == 2 and "-o" in str(told.value)
    wider = nn.Conv2d(3, 3, 5, padding=2)
    with pytest.raises(ValueError, match=r"another --preset perhaps \(weight: 3x3x3x3 then"):
        next(run(tmp_path, model=wider))


def test_a_fingerprint_changes_with_any_picture_and_order() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 255, (50, 40, 3)).astype(np.uint8) for _ in range(2))
    changed = a.copy()
    changed[20:30] //= 2
    corpora = [
        Corpus([a, b]),
        Corpus([b, a]),
        Corpus([a]),
        Corpus([changed, b]),
        Corpus([a], own=[(b, b)]),
        Corpus([a.reshape(40, 50, 3), b]),
    ]
    assert len({corpus.fingerprint() for corpus in corpora}) == len(corpora)
    assert Corpus([a, b]).fingerprint() == Corpus([a.copy(), b.copy()]).fingerprint()


DYING_RANK = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import tiny_training
from pellucid_teacher.training import loop
folder, first = Path({folder!r}), os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
rank = int(os.environ["RANK"])
written = loop.save
def save(*told):
    (folder / f"writer-{{rank}}").touch()
    written(*told)
loop.save = save
tiny_training.draw_small_banks()
for report in tiny_training.run(folder):
    if report.is_main:
        with (folder / "losses.txt").open("a") as file:
            file.write(f"{{report.step}} {{report.loss!r}}\\n")
    if first and rank == 1 and report.step == 6:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_the_death_of_a_rank_costs_no_step(tmp_path: Path) -> None:
    """torchrun starts all ranks again; they go on with the losses that one process would have."""
    script, folder = tmp_path / "run.py", tmp_path / "two"
    told = {"tests": str(Path(__file__).parents[1]), "folder": str(folder)}
    script.write_text(DYING_RANK.format(**told))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        # Restarted ranks would read the dead ones' addresses from the agent's store (torch 2.13).
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    command = [*launch, "--max-restarts=1", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in (folder / "losses.txt").read_text().splitlines()]
    steps = [int(step) for step, _ in lines]
    again = steps.index(5, steps.index(5) + 1)  # the checkpoint was of step 4
    assert steps[again:] == list(range(5, 13)) and steps[again - 1] in (5, 6)
    losses = {int(step): float(value) for step, value in lines}
    for step, value in lines[:again]:  # what was done twice came out the same
        assert float(value) == losses[int(step)]
    twice = replace(CONFIG, batch_size=4)
    alone = [report.loss for report in run(tmp_path / "one", twice)]
    assert [losses[step] for step in range(1, 13)] == pytest.approx(alone, rel=1e-4)
    assert sorted(p.name for p in folder.glob("writer-*")) == ["writer-0"]
