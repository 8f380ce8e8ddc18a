"""Every system through the one seam: it learns, is kept, is loaded by its header, restores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_system import KIND, Toy

from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.stream import Batch
from pellucid_teacher.networks.diffuir_unet import DiffUIRConfig
from pellucid_teacher.networks.guided_unet import GuidanceConfig, GuidedUNetConfig
from pellucid_teacher.networks.prior_unet import PriorConfig
from pellucid_teacher.networks.swin_unet import SwinUNetConfig
from pellucid_teacher.processes.zero_shot import ZeroShotConfig
from pellucid_teacher.system import System, SystemKind
from pellucid_teacher.systems import SYSTEMS, find_kind, kinds_with
from pellucid_teacher.systems.diffuir import DiffUIR, DiffUIROptions
from pellucid_teacher.systems.guided_deblur import GuidedDeblur, GuidedDeblurOptions
from pellucid_teacher.systems.prior import Prior, PriorOptions
from pellucid_teacher.systems.rddm import RDDM, RDDMOptions
from pellucid_teacher.systems.resshift import ResShift, ResShiftOptions
from pellucid_teacher.teachers import keep_teacher, train_teacher
from pellucid_teacher.training.config import TrainConfig
from pellucid_teacher.training.dev_set import restore_picture
from pellucid_teacher.training.loop import train
from pellucid_teacher.weights import load_teacher, save_teacher

TINY = DiffUIRConfig(8, (1, 1, 1, 1))
SWIN = SwinUNetConfig(
    width=32, multipliers=(1,), blocks=1, swin_width=32, head_width=16, window=4, fold=4
)
GUIDED = GuidedUNetConfig((8, 16), fold=2, blocks=1, guidance=GuidanceConfig((2, 4), width=8))
SMALL_PRIOR = PriorConfig((8, 16), patch=16)
MADE: dict[str, Any] = {
    "diffuir": lambda: DiffUIR(DiffUIROptions(TINY)),
    "diffuir, noisy": lambda: DiffUIR(DiffUIROptions(TINY, 1.4e-3, 1.0, 0.1, 2)),
    "rddm": lambda: RDDM(RDDMOptions(TINY, steps=2)),
    "rddm, noise": lambda: RDDM(RDDMOptions(TINY, "noise", None, 2)),
    "resshift": lambda: ResShift(ResShiftOptions(TINY)),
    "resshift, x_0": lambda: ResShift(ResShiftOptions(TINY, residual=False, deterministic=True)),
    "resshift, x2": lambda: ResShift(ResShiftOptions(TINY, scale=2)),
    "resshift, swin x4": lambda: ResShift(ResShiftOptions(SWIN, scale=4)),
    "resshift, holes": lambda: ResShift(
        ResShiftOptions(replace(SWIN, condition=4, halvings=2), fills=True)
    ),
    "guided deblur": lambda: GuidedDeblur(GuidedDeblurOptions(GUIDED, "clean", 2, 0.1)),
    "guided deblur, noise": lambda: GuidedDeblur(
        GuidedDeblurOptions(replace(GUIDED, guidance=None), steps=2, samples=2)
    ),
    "prior": lambda: Prior(PriorOptions(SMALL_PRIOR, zero_shot=ZeroShotConfig(steps=2))),
    "toy": Toy,
}
SCALES = {"resshift, x2": 2, "resshift, swin x4": 4}
KINDS = {**SYSTEMS, KIND.name: KIND}


def made(name: str, seed: int = 0) -> System:
    torch.manual_seed(seed)
    system: System = MADE[name]()
    for parameter in system.network.parameters():
        if parameter.dim() == 4:
            torch.nn.init.normal_(parameter, std=0.1)
    return system


def restored(system: System, degraded: Tensor, seed: int = 1) -> Tensor:
    return system.restore(degraded, generator=torch.Generator().manual_seed(seed)).detach()


@pytest.mark.parametrize("name", MADE)
def test_a_system_reloads_from_its_files_alone(name: str, tmp_path: Path) -> None:
    system, given = made(name), 2 * torch.rand(1, 3, 21, 33) - 1
    save_teacher(tmp_path, system, 7, ["noise (own)"], "CC0-1.0")
    again = load_teacher(tmp_path, KINDS)
    assert again.header() == system.header() and type(again) is type(system)
    assert not any(p.requires_grad for p in again.network.parameters())
    weights = {key: w.bfloat16().float() for key, w in system.network.state_dict().items()}
    system.network.load_state_dict(weights)
    system.network.eval()
    scale = SCALES.get(name, 1)
    assert restored(again, given).shape == (1, 3, 21 * scale, 33 * scale)
    assert torch.equal(restored(again, given), restored(system, given))


@pytest.mark.parametrize("name", MADE)
def test_losses_draw_from_the_generator_alone_and_reach_every_weight(name: str) -> None:
    system = made(name)
    scale = SCALES.get(name, 1)
    clean = 2 * torch.rand(2, 3, 16 * scale, 16 * scale) - 1
    degraded = torch.nn.functional.avg_pool2d(clean, scale)
    if name == "resshift, holes":
        mask = (torch.rand(2, 1, 16, 16) < 0.3).float()
        degraded = torch.cat([torch.where(mask > 0, -1.0, degraded), 2 * mask - 1], dim=1)
    batch = Batch(degraded, clean)

    def loss(seed: int) -> Tensor:
        return system.loss(batch, torch.Generator().manual_seed(seed))

    assert torch.equal(loss(1), loss(1))
    loss(1).backward()  # type: ignore[no-untyped-call]
    learnt = [p for p in system.network.parameters() if p.grad is not None]
    assert len(learnt) == len(list(system.network.parameters()))


class Noisy:
    """Photos of soft shapes under noise of sigma 50 of 255."""

    extra = ""

    def describe(self) -> str:
        return "waves"

    def pictures(self, seed: int, index: int) -> tuple[np.ndarray[Any, Any], ...]:
        rng = np.random.default_rng([seed, index])
        rows, columns = np.mgrid[:16, :16] / 16.0
        waves = [np.sin(a * rows + b * columns + c) for a, b, c in rng.uniform(0, 6, (3, 3))]
        clean = (0.5 + 0.35 * np.stack(waves, axis=2)).astype(np.float32)
        noise = rng.standard_normal(clean.shape, np.float32) * np.float32(50 / 255)
        return clean + noise, clean


@pytest.mark.parametrize("name", ["diffuir", "rddm", "resshift", "toy"])
def test_a_minute_in_miniature_restores_better_than_nothing(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    system: System = MADE[name]()
    config = TrainConfig(steps=20, batch_size=4, lr=1e-2, warmup=3, workers=0, ema=0.8, clip=1.0)
    reports = list(train(system, Noisy(), config, tmp_path))
    degraded, clean = Noisy().pictures(99, 0)

    def psnr(picture: np.ndarray[Any, Any]) -> float:
        return float(-10 * np.log10(np.square(picture - clean).mean()))

    gain = psnr(restore_picture(reports[-1].average, degraded)) - psnr(degraded)
    assert gain > 1.5


def test_guided_deblurring_learns_its_regression_and_its_picture(tmp_path: Path) -> None:
    torch.manual_seed(0)
    system = made("guided deblur")
    config = TrainConfig(steps=40, batch_size=4, lr=1e-2, warmup=5, workers=0, ema=0.9, clip=1.0)
    losses = [report.loss for report in train(system, Noisy(), config, tmp_path)]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_a_killed_run_of_a_system_goes_on_as_it_would_have(tmp_path: Path) -> None:
    config = TrainConfig(steps=6, batch_size=2, warmup=1, workers=0, save_every=2)

    def run(folder: str, steps: int) -> list[float]:
        reports = train(made("rddm"), Noisy(), config, tmp_path / folder)
        return [next(reports).loss for _ in range(steps)]

    whole = run("whole", 6)
    first = run("cut", 3)  # the checkpoint is of step 2
    assert first[:2] + run("cut", 4) == whole


def test_a_teacher_is_kept_with_its_averaged_weights_and_licence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corpus = Corpus([rng.integers(0, 255, (170, 180, 3)).astype(np.uint8)])
    system, recipe = Toy(), KIND.presets["small"].recipe
    drawn = replace(recipe, draw=lambda corpus, crop: Noisy())  # no banks of streaks
    list(train_teacher(system, drawn, corpus, tmp_path))
    (path,) = keep_teacher(system, tmp_path, ["mine"], "LicenseRef-mine")
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        assert '"license": "LicenseRef-mine"' in file.metadata()["pellucid.teacher"]
    assert isinstance(load_teacher(tmp_path, KINDS), Toy)
    with pytest.raises(ValueError, match="named 'toy'.*--system MODULE:KIND"):
        load_teacher(tmp_path)


def test_kinds_are_found_by_name_or_by_where_they_are() -> None:
    assert find_kind("rddm") is SYSTEMS["rddm"]
    assert find_kind("toy_system:KIND") is KIND and kinds_with("toy_system:KIND")["toy"] is KIND
    assert kinds_with(None) is SYSTEMS
    for wrong, told in (
        ("gan", "known: diffuir, rddm, resshift, guided-deblur, prior"),
        ("nowhere_at_all:KIND", "No module"),
        ("toy_system:NONE", "no attribute"),
        ("toy_system:Toy", "expected a SystemKind"),
    ):
        with pytest.raises(ValueError, match=told):
            find_kind(wrong)


@pytest.mark.parametrize("kind", SYSTEMS.values(), ids=SYSTEMS)
def test_every_preset_can_be_made_from_its_header(kind: SystemKind) -> None:
    for preset in kind.presets.values():
        with torch.device("meta"):
            system = preset.make()
            assert kind.from_header(system.header()).header() == system.header()
    assert "small" in kind.presets


def test_known_pixels_come_back_bit_for_bit() -> None:
    system, given = made("resshift, holes"), 2 * torch.rand(1, 3, 21, 33) - 1
    mask = torch.zeros(1, 1, 21, 33)
    mask[..., 5:9, 7:20] = 1.0
    generator = torch.Generator().manual_seed(0)
    out = system.restore(given, generator=generator, mask=mask)
    known = (mask == 0).expand_as(given)
    assert torch.equal(out[known], given[known]) and not torch.equal(out, given)


def test_what_a_system_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="chain of 4 steps, got 2"):
        made("resshift").restore(torch.zeros(1, 3, 16, 16), steps=2)
    with pytest.raises(ValueError, match="cannot fill a mask"):
        made("diffuir").restore(torch.zeros(1, 3, 16, 16), mask=torch.ones(1, 1, 16, 16))


def test_the_first_teacher_files_are_read(tmp_path: Path) -> None:
    """They held DiffUIR alone, its options among the training's under "recipe"."""
    import json

    from pellucid_teacher.weights import KEY, write_tensors

    system = made("diffuir, noisy")
    recipe = {**system.header(), "crop": 256, "mix": {}}
    del recipe["system"]
    header = {KEY: json.dumps({"recipe": recipe, "step": 1, "license": "Apache-2.0"})}
    path = tmp_path / "teacher-01-of-01.safetensors"
    write_tensors(path, system.network.state_dict(), header)
    again = load_teacher(tmp_path)
    assert again.header() == system.header()
