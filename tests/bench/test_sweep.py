"""The sweep's networks keep the denoiser contract; its results are resumed and guarded."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def candidates(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("candidates")


def test_every_candidate_is_a_denoiser_that_learns(candidates: Any) -> None:
    image = torch.rand(1, 3, 32, 48)
    for name, make in candidates.CANDIDATES.items():
        network = make()
        out = network(0.1 * image, image, torch.tensor([999.0]))
        assert out.shape == image.shape, name
        out.square().mean().backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_anchor_is_the_published_shape(candidates: Any) -> None:
    """196.08 GMAC at 1280x720 in the peers' measurements; the last digits are the same."""
    from pellucid_teacher.macs import count_macs

    assert count_macs(candidates.FFDNetShape(), 256, 256).total / 1e9 == pytest.approx(13.94, 0.01)


def test_results_of_other_conditions_are_refused(tmp_path: Path) -> None:
    told = {"conditions": {"height": 1, "width": 1, "threads": 1}, "candidates": {}}
    (tmp_path / "results.json").write_text(json.dumps(told))
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "sweep.py"), "-o", str(tmp_path), "--only", "pico"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "use a new -o" in done.stderr
