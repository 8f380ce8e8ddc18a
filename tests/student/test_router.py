"""The router tells degradations apart by what a network sees, and its file knows whose it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid_student.plain_unet import PlainUNet, PlainUNetConfig
from pellucid_student.router import (
    evidence,
    evidence_size,
    load_router,
    save_router,
    train_router,
)
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.synthesis import TASKS, Synthesis

SMALL = PlainUNetConfig((16, 16), (1, 1), (1,), code_width=8)


@pytest.fixture(scope="module")
def network() -> PlainUNet:
    torch.manual_seed(0)
    return PlainUNet(SMALL).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def synthesis() -> Synthesis:
    rows, columns = np.mgrid[:96, :96]
    wave = 128 + 90 * np.sin(rows / 5.0)[..., None] * np.cos(columns / 3.0)[..., None]
    return Synthesis(Corpus([np.repeat(np.rint(wave), 3, axis=2).astype(np.uint8)]), 48)


def picture(seed: int, height: int = 32, width: int = 32) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_evidence_is_the_scene_and_what_the_forward_pass_sees(network: PlainUNet) -> None:
    """RMS of the deepest map, taken by a hook from the real forward pass."""
    seen: list[Tensor] = []
    handle = network.encoder[-1].register_forward_hook(lambda module, given, out: seen.append(out))
    given = picture(1)
    condition = 2.0 * given - 1.0
    network(condition)
    handle.remove()
    found = evidence(network, given, network.measure(given))
    assert found.shape == (1, evidence_size(SMALL))
    torch.testing.assert_close(found[:, : SMALL.scene_size], network.measure(given))
    torch.testing.assert_close(found[:, -16:], seen[0].square().mean(dim=(2, 3)).sqrt())


def test_evidence_does_not_grow_with_the_picture(network: PlainUNet) -> None:
    small, large = (
        evidence(network, p, network.measure(p)) for p in (picture(2), picture(2, 64, 96))
    )
    assert small.shape == large.shape


@pytest.mark.slow
def test_it_tells_noise_from_haze_it_has_not_seen(network: PlainUNet, synthesis: Synthesis) -> None:
    router, loss = train_router(network, synthesis, seed=3, samples=300, workers=0)
    assert loss < 1.5
    assert not any(parameter.requires_grad for parameter in router.parameters())
    found = []
    for index in range(30):
        task, other = ("noise", "haze")[:: 1 if index % 2 else -1]
        degraded, _ = synthesis.draw(task, np.random.default_rng([9, index]))
        given = torch.from_numpy(degraded).permute(2, 0, 1)[None]
        said = router(evidence(network, given, network.measure(given)))[0]
        found.append(bool(said[TASKS.index(task)] > said[TASKS.index(other)]))
    assert sum(found) >= 27


def test_pairs_without_labels_are_refused(network: PlainUNet) -> None:
    pair = (np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="clean photos"):
        train_router(network, Synthesis(Corpus([], own=[pair]), 32), seed=0, samples=8, workers=0)


def test_a_file_of_another_general_network_is_refused(
    network: PlainUNet, synthesis: Synthesis, tmp_path: Path
) -> None:
    router, _ = train_router(network, synthesis, seed=0, samples=8, workers=0)
    router.tasks = ("rain", "fog", "haze", "snow", "blur", "noise", "clean", "several")
    path = tmp_path / "router.safetensors"
    save_router(path, router, "CC0-1.0")
    again = load_router(path, SMALL)
    given = F.relu(torch.randn(2, evidence_size(SMALL), generator=torch.Generator().manual_seed(0)))
    assert torch.equal(again(given), router(given)) and again.tasks == router.tasks
    with pytest.raises(ValueError, match=r"widths \(16, 32\).*train it again"):
        load_router(path, PlainUNetConfig((16, 32), (1, 1), (1,), code_width=8))
