"""`pellucid train plan`: what pays most when a GPU is there for half an hour.

By the experiments so far (docs/log): seven degradations in one network get in each other's way, and
copies of one large network that go on with one degradation each gain most per minute. So the large
network learns all of them first, then copies of it noise, rain and haze, then a router learns who
of them is asked. The folder that they make is a teacher for `pellucid train student --teacher`.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from pellucid import PellucidError

from . import options
from .session import need_torch

PACK_MB = 60.0  # what a session with a borrowed machine can send along is often 64 MiB
PACK_SIDE = 512
_OVERHEAD = 0.08  # of the time: interpreters, loading, compiling, again for each training
_SMALLEST_BATCH = 4


@dataclass(frozen=True)
class Training:
    """name: of its folder and of the network in the teacher's folder. share: of the time.
    task: the one degradation that it learns, "" for all. after: the training it starts from."""

    name: str
    share: float
    task: str = ""
    after: str = ""


# Noise gains longest from time, haze is learnt soonest.
TRAININGS = (
    Training("general", 0.44),
    Training("noise", 0.23, "noise", "general"),
    Training("rain", 0.19, "rain", "general"),
    Training("haze", 0.14, "haze", "general"),
)


@dataclass(frozen=True)
class Size:
    """What differs between the real thing and its rehearsal on a CPU."""

    preset: str
    batch: int
    crop: int
    router_samples: int
    flags: tuple[str, ...]


REAL = Size("large", 128, 128, 8_000, ("--bf16", "--compile"))
TOY = Size("pico", 2, 32, 28, ("--steps", "2"))


@dataclass(frozen=True)
class Plan:
    """data, out: of every training. minutes: of the GPU, all together. start: weights of the size's
    preset, or smaller, to begin with."""

    data: str
    out: Path
    minutes: float
    size: Size
    workers: int
    licence: str
    start: Path | None = None

    def minutes_of(self, training: Training) -> float:
        return self.minutes * (1.0 - _OVERHEAD) * training.share

    def weights_of(self, name: str) -> Path:
        return self.out / name / "student.safetensors"

    def command(self, training: Training, minutes: float, batch: int) -> list[str]:
        """Arguments of `pellucid` for one training."""
        from pellucid_teacher.data.synthesis import TASKS

        start = self.weights_of(training.after) if training.after else self.start
        shares = [f"{task}={int(task == training.task)}" for task in TASKS if training.task]
        given = ["train", "student", "--data", self.data, "-o", str(self.out / training.name)]
        given += ["--preset", self.size.preset, "--crop", str(self.size.crop)]
        given += ["--batch", str(batch), "--minutes", f"{minutes:.3g}"]
        given += ["--workers", str(self.workers), "--no-hold-out", *self.size.flags]
        given += ["--weights-licence", self.licence]
        given += [part for share in shares for part in ("--share", share)]
        return given + (["--start", str(start)] if start else [])

    def router_command(self) -> list[str]:
        given = ["train", "router", str(self.out / "teacher"), "--data", self.data]
        given += ["--samples", str(self.size.router_samples), "--workers", str(self.workers)]
        return [*given, "--crop", str(self.size.crop), "--weights-licence", self.licence]

    def write(self) -> Path:
        """The list as out/plan.json."""
        self.out.mkdir(parents=True, exist_ok=True)
        trainings = [
            asdict(training)
            | {"minutes": round(self.minutes_of(training), 2)}
            | {"command": self.command(training, self.minutes_of(training), self.size.batch)}
            for training in TRAININGS
        ]
        listed = {"minutes": self.minutes, "trainings": trainings, "router": self.router_command()}
        path = self.out / "plan.json"
        path.write_text(json.dumps(listed, indent=1))
        return path


def run_plan(plan: Plan) -> Iterator[str]:
    """Run what is not finished; a line about each. The same call goes on after an interruption.

    Later trainings shrink if earlier ones took longer than planned. Raises PellucidError where one
    fails.
    """
    ends = time.monotonic() + 60.0 * plan.minutes
    teacher = plan.out / "teacher"
    teacher.mkdir(parents=True, exist_ok=True)
    left = [t for t in TRAININGS if not (teacher / f"{t.name}.safetensors").exists()]
    for place, training in enumerate(left):
        share = training.share / sum(t.share for t in left[place:])
        seconds = max(1.0, ends - time.monotonic()) * (1.0 - _OVERHEAD)
        minutes = min(plan.minutes_of(training), share * seconds / 60.0)
        batch = _train(plan, training, minutes)
        shutil.copyfile(plan.weights_of(training.name), teacher / f"{training.name}.safetensors")
        yield f"{training.name}: {minutes:.1f} minutes, batch {batch}"
    if _call(plan.router_command()):
        raise PellucidError(f"the router failed; the networks are in {teacher}")
    yield f"next: pellucid train student --teacher {teacher} --data {plan.data} -o runs/student"


def _train(plan: Plan, training: Training, minutes: float) -> int:
    """One training; the batch with which it went. One that fails before its first checkpoint, as a
    batch that is too large for the memory does, is tried again with half of it."""
    batch, state = plan.size.batch, plan.out / training.name / "state.pt"
    if state.exists():  # of an earlier session
        import torch

        config = torch.load(state, weights_only=True, map_location="cpu")["config"]
        batch = int(config["batch_size"])
    while _call(plan.command(training, minutes, batch)):
        if state.exists() or batch // 2 < min(_SMALLEST_BATCH, plan.size.batch):
            raise PellucidError(f"the training {training.name!r} failed; the same command goes on")
        batch //= 2
    return batch


def _call(arguments: list[str]) -> int:
    """Exit code of a `pellucid` of its own: the GPU's memory is free afterwards."""
    code = subprocess.run([sys.executable, "-m", "pellucid_apps", *arguments]).returncode
    if code == 130:
        raise KeyboardInterrupt
    return code


def plan(
    data: options.Data,
    out: options.Out,
    licence: options.Licence,
    gpu_minutes: Annotated[float, typer.Option(min=0.01, help="Time of the GPU.")] = 25.0,
    start: Annotated[
        Path | None, typer.Option(help="Weights of a large network to begin from.")
    ] = None,
    workers: options.Workers = 12,
    pack: Annotated[
        bool,
        typer.Option("--pack", help="Only write the plan, and 60 MB of data to take along."),
    ] = False,
    toy: Annotated[bool, typer.Option("--toy", help="Rehearse at toy size on a CPU.")] = False,
) -> None:
    """Train the teachers that pay most in a short time on one data-centre GPU.

    At home: pellucid train plan --data train/ -o plan --pack. On the machine with the GPU:
    pellucid train plan --data plan/pack -o plan --gpu-minutes 25, again after an interruption.
    Both take --weights-licence.
    """
    need_torch()
    from pellucid_teacher.data.shards import PackConfig
    from pellucid_teacher.data.shards import pack as pack_folder

    if pack:
        try:
            config = PackConfig(total_mb=PACK_MB, side=PACK_SIDE)
            packed = pack_folder(Path(data), out / "pack", config)
        except ValueError as error:
            raise PellucidError(str(error)) from error
        print(f"{out / 'pack'}: {packed.samples} samples, {packed.total_bytes / 1e6:.1f} MB")
        data = str(out / "pack")
    chosen = Plan(data, out, gpu_minutes, TOY if toy else REAL, workers, licence, start)
    print(f"wrote {chosen.write()}")
    for training in TRAININGS:
        task = training.task or "all degradations"
        print(f"  {training.name:8} {chosen.minutes_of(training):5.1f} minutes  {task}")
    if not pack:
        for line in run_plan(chosen):
            print(line, flush=True)
