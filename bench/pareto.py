"""dB over work, a panel a task, with the peers a user would pick instead.

    pellucid eval -m student/weights/tiny.safetensors --data SETS --json tiny.json
    python bench/pareto.py student/weights/tiny.safetensors=tiny.json ... -o docs/pareto.png

Work is multiply-accumulates for one 1280x720 picture, counted, not timed: it is the same on every
machine. Peers are specialists, one network a task (bench/peers.json tells where their figures come
from, and that they were measured on whole sets); ours is one network for all panels.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid_export.card import macs_per_pixel
from pellucid_student.weights import load_student

ROOT = Path(__file__).parents[1]
PIXELS = 1280 * 720
# A set's name in the report of `pellucid eval`, in peers.json, and the panel's title.
PANELS = (
    ("cbsd68-dev s25", "cbsd68", "noise: CBSD68, sigma 25, RGB"),
    ("rain100l-dev", "rain100l", "light rain: Rain100L, luma"),
    ("rain100h-dev", "rain100h", "heavy rain: Rain100H, luma"),
    ("lol-v1-dev", "lol-v1", "darkness: LOL v1, RGB"),
    ("sots-indoor-dev", "sots-indoor", "haze: SOTS indoor, RGB"),
    ("hsts-256-dev", "hsts-256", "haze: HSTS at 256 px, RGB"),
)

Point = tuple[float, float]  # (GMAC, dB)


@dataclass
class Ours:
    """steps: {set: a point for each number of steps}. given: {set: dB of its inputs}."""

    preset: str
    steps: dict[str, list[Point]]
    given: dict[str, float]


def read_ours(weights: Path, report: Path) -> Ours:
    """One network's figures from a report of `pellucid eval --json`."""
    student, provenance = load_student(weights)
    macs = macs_per_pixel(student)
    found = Ours(provenance.preset, {}, {})
    for measured in json.loads(report.read_text())["sets"]:
        figure = "psnr_y" if measured["headline"] == "y" else "psnr"
        gmac = measured["steps"] * macs * PIXELS / 1e9
        found.steps.setdefault(measured["name"], []).append(
            (gmac, measured["means"][f"{figure}_out"])
        )
        found.given[measured["name"]] = measured["means"][f"{figure}_in"]
    return found


def draw(ours: list[Ours], path: Path) -> None:
    """One panel a set; peers as crosses, our networks as dots joined over their steps."""
    try:
        import matplotlib
    except ImportError:
        sys.exit("error: plots need matplotlib: pip install 'pellucid[plots]'")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    peers: dict[str, Any] = json.loads((ROOT / "bench" / "peers.json").read_text())["quality"]
    figure, grid = pyplot.subplots(2, 3, figsize=(12, 7), layout="constrained", sharex=True)
    for axes, (name, whole, title) in zip(grid.flat, PANELS, strict=True):
        for peer, gmac, db in peers[whole]:
            axes.plot(gmac, db, "x", color="tab:red")
            axes.annotate(peer, (gmac, db), (4, 3), textcoords="offset points", fontsize=8)
        for index, network in enumerate(ours):
            points = sorted(network.steps.get(name, []))
            if points:
                axes.axhline(network.given[name], color="grey", linestyle=":", linewidth=1)
                colour = f"C{(0, 2, 4, 5)[index % 4]}"
                axes.plot(*zip(*points, strict=True), "o-", color=colour, markersize=5)
                beside = (-4, -14 if index % 2 else 6)  # neighbours that are equally good
                axes.annotate(
                    network.preset, points[0], beside, textcoords="offset points",
                    fontsize=9, weight="bold", color=colour, ha="right",
                )  # fmt: skip
        axes.set_title(title, fontsize=10)
        axes.set_xscale("log")
        axes.set_xlim(1.0, 4000.0)
        axes.margins(y=0.15)
        axes.grid(alpha=0.3)
    figure.supxlabel(
        "GMAC for 1280x720.  Dots: one universal network, 1, 2, ... steps.  "
        "Crosses: specialists, one network a task.  Dotted: input."
    )
    figure.supylabel("PSNR, dB")
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ours", nargs="+", help="WEIGHTS=REPORT of `pellucid eval --json`")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the PNG")
    args = parser.parse_args()
    pairs = [text.partition("=") for text in args.ours]
    wrong = [text for text, (_, _, report) in zip(args.ours, pairs, strict=True) if not report]
    if wrong:
        parser.error(f"expected WEIGHTS=REPORT, got {', '.join(wrong)}")
    draw([read_ours(Path(weights), Path(report)) for weights, _, report in pairs], args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
