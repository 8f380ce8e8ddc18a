"""Tables of quality: what stands in a page is what `pellucid eval` recorded of bundled weights."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pellucid import Enlarger, Restorer

ROOT = Path(__file__).parents[2]


def load_script(path: Path) -> Any:
    """A script of bench/, which is no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


results = load_script(ROOT / "bench" / "results.py")
PAGES = [page for page in results.PAGES if (ROOT / page).exists()]


def record(folder: Path, name: str, figures: list[tuple[str, int, float, float]]) -> None:
    """figures: (set, steps, dB before, dB after); every measure gets these numbers."""
    sets = []
    for title, steps, before, after in figures:
        means = {f"{m}_{end}": value for m in ("psnr", "psnr_y", "ssim", "ssim_y")
                 for end, value in (("in", before), ("out", after))}  # fmt: skip
        sets.append({"name": title, "task": "derain", "steps": steps, "pairs": 2,
                     "headline": "y", "means": means})  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps({"sets": sets}))


@pytest.mark.parametrize("page", PAGES)
def test_every_table_is_the_records(page: str) -> None:
    text = (ROOT / page).read_text()
    assert results.rendered(text, results.load()) == text, "run: python bench/results.py"


def test_some_page_has_a_table() -> None:
    assert any(results.BLOCK.search((ROOT / page).read_text()) for page in PAGES)


@pytest.mark.parametrize("name", ["tiny", "nano", "pico"])
def test_the_records_are_of_the_bundled_weights(name: str) -> None:
    """Weights that change must be measured again: make results SETS=FOLDER."""
    bundled = Restorer(name, threads=1).card.weights_sha256
    assert len(bundled) == 64
    for end in ("", "-clean"):
        told = json.loads((results.RECORDS / f"{name}{end}.json").read_text())
        assert told["weights_sha256"] == bundled


def test_the_record_of_enlarging_is_of_the_bundled_weights() -> None:
    told = json.loads((results.RECORDS / "sr4.json").read_text())
    assert told["weights_sha256"] == Enlarger("sr4", threads=1).card.weights_sha256


def test_the_table_of_enlarging(tmp_path: Path) -> None:
    record(tmp_path, "sr4", [("set5-x4-dev", 1, 28.0, 30.0)])
    page = "<!-- results: enlarging -->\n<!-- /results -->"
    table = results.rendered(page, results.load(tmp_path)).splitlines()
    assert table[-2] == "| set5-x4-dev | 2 | luma | 28.00 | 30.00 | 28.000 → 30.000 |"


def test_tables_from_known_records(tmp_path: Path) -> None:
    record(tmp_path, "tiny", [("a", s, 10.0, 20.0 + s) for s in (1, 2, 3)]
           + [("b", s, 20.0, 30.0 + s) for s in (1, 2, 3)])  # fmt: skip
    record(tmp_path, "nano", [("a", 1, 10.0, 20.5), ("a", 3, 10.0, 20.75)])
    page = "x\n<!-- results -->\nold\n<!-- /results -->\n<!-- results: b -->\n<!-- /results -->\n"
    full, short = results.rendered(page, results.load(tmp_path)).split("<!-- /results -->")[:2]
    rows = [line.split(" | ") for line in full.splitlines() if line.startswith("| ")]
    assert rows[2][:8] == ["| a", "derain", "2", "luma", "10.00", "21.00", "22.00", "23.00"]
    assert rows[2][8:10] == ["10.000 → 21.000", "20.50 / 20.75"]
    assert rows[3][9] == "", "nano was not measured on b"
    assert rows[4][:8] == ["| mean", "", "", "", "15.00", "26.00", "27.00", "28.00"]
    assert "old" not in full
    assert short.splitlines()[-1] == "| b | derain | luma | 20.00 | 31.00 | 32.00 | 33.00 |"


def test_a_set_that_nobody_measured_is_named(tmp_path: Path) -> None:
    record(tmp_path, "tiny", [("a", s, 10.0, 20.0) for s in (1, 2, 3)])
    page = "<!-- results: b -->\n<!-- /results -->"
    with pytest.raises(ValueError, match="no set b; measured: a"):
        results.rendered(page, results.load(tmp_path))
