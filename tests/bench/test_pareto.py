"""The plot's points: work is counted a step, figures are those of each set's own protocol."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid_student.plain_unet import PICO, PlainUNet
from pellucid_student.weights import Provenance, save_student

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pareto(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("pareto")


def report(folder: Path) -> Path:
    def told(name: str, steps: int, headline: str, db: float) -> dict[str, Any]:
        means = {"psnr_out": db, "psnr_in": 20.0, "psnr_y_out": db + 1.0, "psnr_y_in": 21.0}
        return {"name": name, "steps": steps, "headline": headline, "means": means}

    sets = [
        told("cbsd68-dev s25", 1, "rgb", 30.0),
        told("cbsd68-dev s25", 2, "rgb", 30.1),
        told("rain100l-dev", 1, "y", 32.0),
    ]
    (folder / "report.json").write_text(json.dumps({"sets": sets}))
    return folder / "report.json"


def test_points_and_picture(pareto: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    save_student(
        tmp_path / "w.safetensors", PlainUNet(PICO), Provenance("pico", "test", 0, "CC0-1.0")
    )
    ours = pareto.read_ours(tmp_path / "w.safetensors", report(tmp_path))
    (once, first), (twice, second) = ours.steps["cbsd68-dev s25"]
    assert (first, second) == (30.0, 30.1) and ours.given["cbsd68-dev s25"] == 20.0
    assert ours.steps["rain100l-dev"] == [(once, 33.0)] and ours.given["rain100l-dev"] == 21.0
    assert once == pytest.approx(6.8, abs=0.1)  # 6.1 and the estimator
    assert twice == 2 * once
    pytest.importorskip("matplotlib", reason="pip install 'pellucid[plots]'")
    out = tmp_path / "p.png"
    arguments = ["pareto", f"{tmp_path}/w.safetensors={tmp_path}/report.json", "-o", str(out)]
    monkeypatch.setattr("sys.argv", arguments)
    assert pareto.main() == 0 and out.read_bytes().startswith(b"\x89PNG")


def test_a_pair_without_its_report_is_told(
    pareto: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["pareto", "w.safetensors", "-o", "p.png"])
    with pytest.raises(SystemExit) as end:
        pareto.main()
    assert end.value.code == 2 and "WEIGHTS=REPORT, got w.safetensors" in capsys.readouterr().err


def test_every_panel_has_peers(pareto: Any) -> None:
    quality = json.loads((ROOT / "bench" / "peers.json").read_text())["quality"]
    assert set(quality) == {whole for _, whole, _ in pareto.PANELS}
    assert all(gmac > 0 and 10 < db < 45 for rows in quality.values() for _, gmac, db in rows)
