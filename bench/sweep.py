"""Architecture by measurement: latency against dB after an equal short training.

    python bench/sweep.py -o runs/sweep --threads 2                       latency only
    python bench/sweep.py -o runs/sweep --train DATA --minutes 7 --dev DEV   and dB
    ... --task noise                                                      one task alone
    python bench/sweep.py -o runs/sweep --plot pareto.png                 draw what is there

Restartable: results.json keeps every finished measurement, a broken training goes on.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("teacher", "student", "export", "runtime")]
sys.path.insert(0, str(ROOT / "bench"))

from candidates import ANCHOR, BODY, CANDIDATES, TIMED_ONLY, OneCall  # noqa: E402
from latency import ENGINES, measure  # noqa: E402

from pellucid_teacher.data.synthesis import TASKS  # noqa: E402

Results = dict[str, Any]


def load(folder: Path, wanted: Results) -> Results:
    """results.json of the folder, or a new one; exits if it was measured under other conditions."""
    path = folder / "results.json"
    if not path.exists():
        return {"conditions": wanted, "candidates": {}}
    found: Results = json.loads(path.read_text())
    if found["conditions"] != wanted:
        sys.exit(f"error: {path} was made with {found['conditions']}, now {wanted}; use a new -o")
    return found


def save(folder: Path, results: Results) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "results.json.partial"
    partial.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(partial, folder / "results.json")


def train_one(name: str, args: argparse.Namespace, folder: Path) -> Results:
    """Equal minutes, equal seed; dB on held-out crops a task and on the watched sets."""
    from pellucid_student.train import STUDENT_TRAIN
    from pellucid_student.validation import ValidationCrops, hold_out
    from pellucid_teacher.data.corpus import load_corpus
    from pellucid_teacher.data.stream import single_thread_opencv
    from pellucid_teacher.data.synthesis import Synthesis, TaskMix
    from pellucid_teacher.training.checkpoint import averaged_weights
    from pellucid_teacher.training.dev_set import DevSet, restore_picture
    from pellucid_teacher.training.loop import train

    single_thread_opencv()
    training, held = hold_out(load_corpus(args.train))
    crops, mix = ValidationCrops.draw(held), TaskMix()
    if args.task is not None:
        mix = mix.with_shares([f"{task}={task == args.task:d}" for task in TASKS])
        crops = ValidationCrops({args.task: crops.tasks[args.task]})
    torch.manual_seed(1)
    network = CANDIDATES[name]()
    config = replace(STUDENT_TRAIN, muon=BODY)
    synthesis = Synthesis(training, 96, mix, samples_per_task=config.batch_size)
    system = OneCall(network)
    for _ in train(system, synthesis, config, folder / name, args.minutes):
        pass
    weights, step = averaged_weights(folder / name)
    network.load_state_dict(weights)
    network.eval()
    device = next(network.parameters()).device
    record: Results = {"steps": step, "minutes": args.minutes, "task": args.task}

    record["crops"] = crops.psnr(system.restore, device)
    if args.dev is not None:
        scores = DevSet.load(args.dev, pairs=16).measure(partial(restore_picture, system))
        record["watched"] = {set_name: after for set_name, (_, after) in scores.figures.items()}
    return record


def quality(record: Results) -> tuple[str, float]:
    """(what was judged, mean dB) of a candidate's training: the watched sets, or held-out crops."""
    figures = record.get("watched") or record["crops"]
    kind = "" if record.get("watched") else "held-out synthetic crops: "
    return kind + ", ".join(figures), sum(figures.values()) / len(figures)


def plot(results: Results, engine: str, path: Path) -> None:
    """dB over latency; beside denoisers, the peers whose figures for that set are published."""
    try:
        import matplotlib
    except ImportError:
        sys.exit("error: plots need matplotlib: pip install 'pellucid[plots]'")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    both = {
        name: record
        for name, record in results["candidates"].items()
        if "training" in record and "latency" in record
    }
    if not both:
        sys.exit("error: nothing has both latency and dB yet; run with --train DATA first")
    judged = {quality(record["training"])[0] for record in both.values()}
    if len(judged) > 1:
        sys.exit(f"error: candidates were judged on different pictures: {'; '.join(judged)}")
    figure, axes = pyplot.subplots(figsize=(9, 5.5), layout="constrained")
    points = [
        (record["latency"][engine]["ratio"], quality(record["training"])[1], name)
        for name, record in both.items()
    ]
    front: list[tuple[float, float]] = []
    for index, (ratio, db, name) in enumerate(sorted(points)):
        axes.plot(ratio, db, "o", color="tab:blue")
        # Names of neighbours would run into each other: right above, and left below.
        spot = {"xytext": (4, 4)} if index % 2 == 0 else {"xytext": (-4, -11), "ha": "right"}
        axes.annotate(name, (ratio, db), textcoords="offset points", fontsize=8, **spot)
        if not front or db > front[-1][1]:
            front.append((ratio, db))
    axes.plot(*zip(*front, strict=True), color="tab:blue", linewidth=1, label="Pareto front")
    minutes = {record["training"]["minutes"] for record in both.values()}
    axes.set(
        xlabel=f"time of one step / time of 8 GMAC of 3x3 convolutions ({engine})",
        ylabel=f"dB, {judged.pop()}",
        title=f"blue: after {' or '.join(f'{m:g}' for m in sorted(minutes))} minutes of training",
        xscale="log",
    )
    anchor = results["candidates"].get(ANCHOR, {}).get("latency")
    if anchor is not None and "cbsd68" in axes.get_ylabel():
        for peer in json.loads((ROOT / "bench" / "peers.json").read_text())["peers"]:
            ratio = peer["times_ffdnet"] * anchor[engine]["ratio"]
            axes.plot(ratio, peer["psnr"], "x", color="tab:red")
            spot = {"xytext": (4, -10), "textcoords": "offset points", "fontsize": 8}
            axes.annotate(peer["name"], (ratio, peer["psnr"]), color="tab:red", **spot)
    axes.margins(x=0.12)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=130)
    print(f"wrote {path}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--only", nargs="+", choices=CANDIDATES, help="default: all")
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--train", type=Path, help="training folder: also train every candidate")
    parser.add_argument("--minutes", type=float, default=7.0, help="of training, each")
    parser.add_argument("--task", choices=TASKS, help="learn and judge it alone (default: all)")
    parser.add_argument("--dev", type=Path, help="sets to measure on after training")
    parser.add_argument("--plot", type=Path, help="draw the results to this PNG and stop")
    parser.add_argument("--engine", default="openvino-f32", help="whose latency the plot shows")
    args = parser.parse_args()
    conditions = {"height": args.height, "width": args.width, "threads": args.threads}
    results = load(args.out, conditions)
    if args.plot is not None:
        plot(results, args.engine, args.plot)
        return 0
    torch.set_num_threads(args.threads)
    for name in args.only or CANDIDATES:
        record = results["candidates"].setdefault(name, {})
        if "latency" not in record:
            torch.manual_seed(0)
            network = CANDIDATES[name]()
            record["latency"] = measure(
                network, args.height, args.width, args.threads, args.rounds, args.engines
            )
            save(args.out, results)
        if args.train is not None and name not in TIMED_ONLY and "training" not in record:
            record["training"] = train_one(name, args, args.out)
            save(args.out, results)
        speed = record["latency"]
        engines = {k: v["ratio"] for k, v in speed.items() if isinstance(v, dict)}
        ratios = "  ".join(f"{engine} {ratio:.2f}" for engine, ratio in engines.items())
        print(f"{name:30} {speed['gmac']:6.1f} GMAC  {ratios}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
