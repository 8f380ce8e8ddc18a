"""Which numbers a training computes with: bfloat16 autocast where the processor gains by it."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from pellucid_teacher.training.config import TrainConfig
from pellucid_teacher.training.loop import flushed_denormals

from .plain_unet import PlainUNet, PlainUNetConfig

PRECISIONS = ("auto", "float32", "bfloat16")
_FLAG = "avx512_bf16"  # processors without it compute bfloat16 products in several steps
_ROUNDS = 5
_GAIN = 0.95  # share of float32's time under which the coarser numbers pay


def choose_bf16(
    precision: str, network: PlainUNetConfig | None, config: TrainConfig, crop: int, folder: Path
) -> tuple[bool, str]:
    """(whether to train in bfloat16, why, in words). A run that goes on keeps its choice.
    network: None: of another kind, which is not timed: float32."""
    if precision != "auto":
        return precision == "bfloat16", precision
    state = folder / "state.pt"
    if state.exists():
        saved = torch.load(state, weights_only=True, map_location="cpu", mmap=True)
        chosen = bool(saved["config"]["bf16"])
        return chosen, f"{'bfloat16' if chosen else 'float32'}, as the run began"
    if network is None:
        return False, "float32"
    if torch.cuda.is_available():
        return False, "float32; --precision bfloat16 is for GPUs that have it"
    if not has_bf16_products(Path("/proc/cpuinfo")):
        return False, f"float32: the processor names no {_FLAG}"
    usual, coarse = time_steps(network, config.batch_size, crop)
    better = coarse < _GAIN * usual
    times = f"a step takes {1e3 * usual:.0f} ms in float32, {1e3 * coarse:.0f} ms in bfloat16"
    return better, f"{'bfloat16' if better else 'float32'}: {times}"


def has_bf16_products(cpuinfo: Path) -> bool:
    """Whether Linux names bfloat16 products among the processor's abilities."""
    if not cpuinfo.exists():
        return False
    lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    return any(_FLAG in line.split() for line in lines if line.startswith("flags"))


def time_steps(network: PlainUNetConfig, batch: int, crop: int) -> tuple[float, float]:
    """Seconds of a step's passes in (float32, bfloat16), medians of alternating rounds."""
    model = PlainUNet(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pictures = torch.rand(batch, 3, crop, crop) * 2.0 - 1.0

    def step(coarse: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=coarse):
            value = model(pictures).float().square().mean()
        value.backward()

    with flushed_denormals():
        for coarse in (False, True):  # the first of each prepares its kernels
            step(coarse)
        rounds = [(_seconds(step, False), _seconds(step, True)) for _ in range(_ROUNDS)]
    return median(r[0] for r in rounds), median(r[1] for r in rounds)


def _seconds(step: Callable[[bool], None], coarse: bool) -> float:
    began = time.perf_counter()
    step(coarse)
    return time.perf_counter() - began
