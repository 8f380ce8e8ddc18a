"""The sweep's networks restore a picture; its results are resumed and guarded."""

import importlib
import json
import re
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


def test_every_candidate_restores_a_picture_and_learns(candidates: Any) -> None:
    image = torch.rand(1, 3, 32, 48)
    for name, make in candidates.CANDIDATES.items():
        network = make()
        out = network(image)
        assert out.shape == image.shape, name
        out.square().mean().backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_anchor_is_the_published_shape(candidates: Any) -> None:
    """196.08 GMAC at 1280x720 in the peers' measurements; the last digits are the same."""
    from pellucid_teacher.macs import count_macs

    assert count_macs(candidates.FFDNetShape(), (1, 3, 256, 256)).total / 1e9 == pytest.approx(
        13.94, 0.01
    )


@pytest.mark.slow
def test_results_of_other_conditions_are_refused(tmp_path: Path) -> None:
    told = {"conditions": {"height": 1, "width": 1, "threads": 1}, "candidates": {}}
    (tmp_path / "results.json").write_text(json.dumps(told))
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "sweep.py"), "-o", str(tmp_path), "--only", "pico"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "use a new -o" in done.stderr


def test_muon_trains_the_same_kernels_of_a_student_as_its_own_recipe(candidates: Any) -> None:
    """Else TwoPath's kernels would learn by Adam, which gives 1.5 dB less in as many steps."""
    from pellucid_student.train import BODY

    for name in ("tiny", "two-path-96x4-d32", "two-path-96x4-d32-gated"):
        names = [n for n, p in candidates.CANDIDATES[name]().named_parameters() if p.dim() == 4]
        own = {n for n in names if re.match(candidates.BODY, n)}
        assert own == {n for n in names if not n.startswith(("stem", "head", "into", "estimator"))}
        if name == "tiny":
            assert own == {n for n in names if re.match(BODY, n)}


@pytest.mark.slow
def test_the_plot_refuses_to_compare_what_was_judged_on_different_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    def measured(**training: Any) -> dict[str, Any]:
        told = {"minutes": 1.0, "crops": {"noise": 30.0}, **training}
        return {"latency": {"openvino-f32": {"ratio": 1.0}}, "training": told}

    def draw(**candidates: Any) -> subprocess.CompletedProcess[str]:
        conditions = {"height": 720, "width": 1280, "threads": 2}
        told = {"conditions": conditions, "candidates": candidates}
        (tmp_path / "results.json").write_text(json.dumps(told))
        command = [str(ROOT / "bench" / "sweep.py"), "-o", str(tmp_path), "--plot"]
        return subprocess.run(
            [sys.executable, *command, str(tmp_path / "plot.png")], capture_output=True, text=True
        )

    refused = draw(tiny=measured(), pico=measured(watched={"cbsd68": 29.0}))
    assert refused.returncode == 1 and "different pictures" in refused.stderr
    assert not (tmp_path / "plot.png").exists()
    drawn = draw(tiny=measured(), pico=measured())
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "plot.png").exists()
