"""Specialists: who is asked, that a mixed batch is put together rightly, and files."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pellucid_student.classifier import TaskClassifier
from pellucid_student.frozen_teacher import load_frozen_teacher
from pellucid_student.plain_unet import FIRST_DEGRADATIONS, PlainUNet, PlainUNetConfig
from pellucid_student.router import evidence_size
from pellucid_student.specialists import Specialists, load_specialists
from pellucid_student.steps import restore
from pellucid_student.weights import Provenance, save_student

SMALL = PlainUNetConfig(
    (16, 16), (1, 1), (1,), code_width=8, diagnosis_width=8, degradations=FIRST_DEGRADATIONS
)
TASKS = FIRST_DEGRADATIONS


class DarkOrNoisy(nn.Module):
    """A classifier that calls dark pictures lowlight and all others noise."""

    def forward(self, scene: Tensor) -> Tensor:
        dark = scene[:, 0] > 0.5  # share of red near 0
        found = torch.zeros(len(scene), len(TASKS))
        found[dark, TASKS.index("lowlight")] = 1.0
        found[~dark, TASKS.index("noise")] = 1.0
        return found


def network(seed: int) -> PlainUNet:
    torch.manual_seed(seed)
    made = PlainUNet(SMALL)
    nn.init.normal_(made.head.weight, std=0.1)
    return made.eval().requires_grad_(False)


def dark_and_bright() -> Tensor:
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    pictures[0] *= 0.02
    return 2.0 * pictures - 1.0


def test_each_picture_of_a_batch_goes_to_its_own_specialist() -> None:
    general, noise = network(0), network(1)
    general.diagnosis = DarkOrNoisy()  # type: ignore[assignment]
    given = dark_and_bright()
    for steps in (1, 3):
        together = Specialists(general, {"noise": noise}).restore(given, steps)
        torch.testing.assert_close(together[:1], restore(general, given[:1], steps))
        torch.testing.assert_close(together[1:], restore(noise, given[1:], steps))
        assert (together[1:] - restore(general, given[1:], steps)).abs().max() > 0.01


def test_the_classifier_of_the_general_network_decides() -> None:
    general, noise = network(0), network(1)
    noise.diagnosis.layer3.bias[TASKS.index("rain")] = 9.0
    general.diagnosis.layer3.bias[TASKS.index("noise")] = 9.0
    picture = torch.zeros(1, 3, 32, 32)
    assert Specialists(general, {"noise": noise}).asked(picture) == ["noise"]
    assert Specialists(general, {"rain": noise}).asked(picture) == ["general"]


def test_a_router_decides_in_the_classifiers_place() -> None:
    general, noise = network(0), network(1)
    general.diagnosis.layer3.bias[TASKS.index("noise")] = 9.0
    router = TaskClassifier(8, inputs=evidence_size(SMALL)).requires_grad_(False)
    router.layer3.bias[TASKS.index("haze")] = 9.0
    given = dark_and_bright()
    chosen = Specialists(general, {"noise": noise, "haze": network(2)}, router)
    torch.testing.assert_close(chosen.restore(given), restore(network(2), given))


def test_a_folder_of_specialists_is_a_teacher(tmp_path: Path) -> None:
    told = Provenance("tiny", "", 1, "CC0-1.0")
    save_student(tmp_path / "general.safetensors", network(0), told)
    save_student(tmp_path / "haze.safetensors", network(1), told)
    frozen = load_frozen_teacher(tmp_path)
    assert frozen.name == "specialists (haze)"
    given = dark_and_bright()[..., :21, :30]
    assert frozen.restore(given).shape == given.shape
    assert not any(parameter.requires_grad for parameter in frozen.system.network.parameters())


def test_a_file_that_is_no_tasks_is_refused_by_name(tmp_path: Path) -> None:
    told = Provenance("tiny", "", 1, "CC0-1.0")
    save_student(tmp_path / "general.safetensors", network(0), told)
    save_student(tmp_path / "fog.safetensors", network(1), told)
    with pytest.raises(ValueError, match=r"no task is called 'fog'.*haze"):
        load_specialists(tmp_path)


def test_the_shipped_teacher_opens_and_restores() -> None:
    teacher = load_frozen_teacher(Path(__file__).parents[2] / "student/weights/specialists")
    picture = 2.0 * torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 1.0
    restored = teacher.restore(picture)
    assert restored.shape == picture.shape and restored.isfinite().all()
    assert (restored - picture).abs().max() > 0.01
