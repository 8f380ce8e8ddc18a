"""Tables of quality in Markdown, from the records that `pellucid eval --json` wrote.

    make results SETS=FOLDER      measures again: writes docs/results/*.json, then the tables
    python bench/results.py       writes the tables again from the records

A table stands in a page between two comments. `<!-- results -->` gives every set and model;
`<!-- results: rain100h-dev, lol-v1-dev -->` these sets, tiny only; `<!-- results: enlarging -->`
what sr4 was measured on. `<!-- /results -->` ends each.
tests/bench/test_results.py compares tables, records and bundled weights.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "results"
PAGES = ("README.md", "docs/results.md", "docs/results/README.md")
BLOCK = re.compile(r"(<!-- results(?:: ([^>]*?))? -->\n).*?(<!-- /results -->)", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """One set as one model left it. db, ssim: (input, output), by the set's own protocol."""

    set: str
    task: str
    pairs: int
    on: str
    db: tuple[float, float]
    ssim: tuple[float, float]


Figures = dict[tuple[str, int], dict[str, Row]]  # (record, steps) -> set -> its row


def load(folder: Path = RECORDS) -> Figures:
    """All records of a folder, by the name of their file."""
    found: Figures = {}
    for path in sorted(folder.glob("*.json")):
        for figures in json.loads(path.read_text())["sets"]:
            rows = found.setdefault((path.stem, figures["steps"]), {})
            rows[figures["name"]] = _row(figures)
    return found


def _row(figures: dict[str, Any]) -> Row:
    end = "_y" if figures["headline"] == "y" else ""
    means = figures["means"]
    return Row(
        set=figures["name"],
        task=figures["task"],
        pairs=figures["pairs"],
        on="luma" if end else "RGB",
        db=(means[f"psnr{end}_in"], means[f"psnr{end}_out"]),
        ssim=(means[f"ssim{end}_in"], means[f"ssim{end}_out"]),
    )


def full_table(figures: Figures) -> str:
    """Every set that tiny was measured on; the mean over them; then the harm to clean pictures."""
    head = ["set", "task", "pairs", "on", "input dB", "tiny, 1 step", "2 steps", "3 steps",
            "SSIM, 1 step", "nano, 1 / 3", "pico, 1"]  # fmt: skip
    lines = [_line(head), _line(["---"] * len(head))]
    sets = list(figures["tiny", 1])
    for name in sets:
        row = figures["tiny", 1][name]
        cells = [name, row.task, str(row.pairs), row.on, *_db(figures, "", [name])]
        cells.insert(8, f"{row.ssim[0]:.3f} → {row.ssim[1]:.3f}")
        lines.append(_line(cells))
    means = _db(figures, "", sets)
    lines.append(_line(["mean", "", "", "", *means[:4], "", *means[4:]]))
    for name, row in figures.get(("tiny-clean", 1), {}).items():
        reached = _db(figures, "-clean", [name])
        reached[0] = "–"  # equal pictures have no PSNR
        lines.append(_line([name, "harm", str(row.pairs), row.on, *reached[:4], "", *reached[4:]]))
    return "\n".join(lines) + "\n"


def _db(figures: Figures, end: str, sets: Sequence[str]) -> list[str]:
    """Input, tiny in 1, 2 and 3 steps, nano, pico: the mean over the sets in dB, "" where
    one of them was not measured. end: of the records' names."""

    def mean(model: str, steps: int, side: int = 1) -> str:
        rows = figures.get((model + end, steps), {})
        if not all(name in rows for name in sets):
            return ""
        return f"{sum(rows[name].db[side] for name in sets) / len(sets):.2f}"

    nano = " / ".join(text for text in (mean("nano", 1), mean("nano", 3)) if text)
    tiny = [mean("tiny", steps) for steps in (1, 2, 3)]
    return [mean("tiny", 1, side=0), *tiny, nano, mean("pico", 1)]


def short_table(figures: Figures, sets: Iterable[str]) -> str:
    """tiny on some sets. Raises ValueError for one that was not measured."""
    lines = [_line(["set", "task", "on", "input dB", "1 step", "2 steps", "3 steps"])]
    lines.append(_line(["---"] * 7))
    for name in sets:
        if name not in figures["tiny", 1]:
            raise ValueError(f"no set {name}; measured: {', '.join(figures['tiny', 1])}")
        row = figures["tiny", 1][name]
        reached = [figures["tiny", steps][name].db[1] for steps in (1, 2, 3)]
        numbers = [f"{value:.2f}" for value in (row.db[0], *reached)]
        lines.append(_line([name, row.task, row.on, *numbers]))
    return "\n".join(lines) + "\n"


def enlarging_table(figures: Figures) -> str:
    """Every set that sr4 was measured on, beside bicubic interpolation."""
    head = ["set", "pairs", "on", "bicubic dB", "sr4", "SSIM, bicubic → sr4"]
    lines = [_line(head), _line(["---"] * len(head))]
    for name, row in figures["sr4", 1].items():
        numbers = [f"{value:.2f}" for value in row.db]
        ssim = f"{row.ssim[0]:.3f} → {row.ssim[1]:.3f}"
        lines.append(_line([name, str(row.pairs), row.on, *numbers, ssim]))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def rendered(page: str, figures: Figures) -> str:
    """The page with every table in it written again."""

    def table(found: re.Match[str]) -> str:
        sets = [name.strip() for name in (found[2] or "").split(",") if name.strip()]
        if sets == ["enlarging"]:
            made = enlarging_table(figures)
        else:
            made = short_table(figures, sets) if sets else full_table(figures)
        return found[1] + made + found[3]

    return BLOCK.sub(table, page)


def main() -> int:
    figures = load()
    for path in (ROOT / name for name in PAGES):
        if path.exists() and rendered(path.read_text(), figures) != path.read_text():
            path.write_text(rendered(path.read_text(), figures))
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
