"""The `pellucid` command. Exit codes: 0 all went well, 1 some inputs failed, 2 wrong usage,
3 a quality gate failed, 130 interrupted."""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pellucid import PellucidError, Restorer, __version__
from pellucid.degradations import read_choice
from pellucid.recurrent import find_frames
from pellucid.video import VideoOptions, is_video

from . import demo as demo_command
from .batch import command as batch
from .choice import FIX_HELP, IGNORE_HELP
from .doctor import command as doctor
from .evaluate import clip as evaluate_clip
from .evaluate import command as evaluate
from .evaluate import models as evaluate_models
from .evaluate import perceptual as evaluate_perceptual
from .evaluate import report as evaluate_report
from .export import command as export
from .export import ready
from .inspect import command as inspect_file
from .live import command as live
from .profile import command as profile
from .restore import command as restore
from .restore import videos as restore_video
from .restore.models import ENLARGE_HELP, SCALE_HELP, check_choice, open_models
from .restore.pipe import is_pipe, restore_pipe
from .restore.plan import make_plan
from .restore.zero_shot import ZeroShotRestorer
from .serve import command as serve
from .train import command as train
from .train import pack, prune, qat
from .web import command as web

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="pellucid",
    help="Restore photos: rain, low light, haze, snow, blur and noise, on the CPU you have.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ModelOption = Annotated[str, typer.Option("--model", "-m", help="Bundled name or an .onnx file.")]
StepsOption = Annotated[
    int | None,
    typer.Option(min=1, max=3, help="Passes; each costs as much (default: the model's)."),
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads (default: a few).")]
EngineOption = Annotated[str, typer.Option(help="auto, onnxruntime or openvino.")]


@app.command("restore")
def restore_(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files, folders, globs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder, or a file for one input.")],
    model: ModelOption = "tiny",
    steps: StepsOption = None,
    strength: Annotated[float, typer.Option(min=0.0, max=1.0, help="0 input .. 1 restored.")] = 1.0,
    fix: Annotated[str | None, typer.Option(help=FIX_HELP)] = None,
    ignore: Annotated[str | None, typer.Option(help=IGNORE_HELP)] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Also write before/after.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results.")] = False,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Into subfolders.")] = False,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG, WebP, AVIF quality.")] = 95,
    codec: Annotated[str | None, typer.Option(help="Videos: h264, hevc, vp9, av1, ffv1.")] = None,
    crf: Annotated[int | None, typer.Option(help="Videos: quality, lower is better.")] = None,
    start: Annotated[str | None, typer.Option(help="Videos: from here, s or h:mm:ss.")] = None,
    end: Annotated[str | None, typer.Option(help="Videos: up to here, s or h:mm:ss.")] = None,
    enlarge: Annotated[str | None, typer.Option(help=ENLARGE_HELP)] = None,
    scale: Annotated[int | None, typer.Option(min=1, help=SCALE_HELP)] = None,
    chain: Annotated[
        bool, typer.Option(help="Videos: go on from the last frame's result, if the model can.")
    ] = True,
    threads: ThreadsOption = None,
    engine: EngineOption = "auto",
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="Photos: by a prior alone; minutes each (torch).")
    ] = False,
    prior: Annotated[Path | None, typer.Option(help="--zero-shot: folder of the prior.")] = None,
    seed: Annotated[int, typer.Option(help="--zero-shot: of its noise.")] = 0,
    json_report: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Restore photos and videos and write the results to OUT; - is standard input or output.

    What is there already is left alone, so that the same command goes on with a batch.
    What is wrong with each is measured and printed; where nothing is, it is left as it is.
    A video that is interrupted goes on where it stopped when the same command runs again.
    """
    choice = read_choice(fix, ignore)
    begin, stop = restore_video.seconds(start) or 0.0, restore_video.seconds(end)
    clip = VideoOptions(codec, crf, begin, stop, overwrite, threads=threads or 2)
    if zero_shot:
        if fix or ignore or steps or enlarge or scale:
            raise typer.BadParameter(
                "--zero-shot goes without --fix, --ignore, --steps, --enlarge and --scale"
            )
        alone = ZeroShotRestorer(prior, seed)
        one = restore.Options(strength, quality, compare, overwrite)
        if is_pipe(inputs, out):
            restore_pipe(inputs[0], out, alone, one)
            return
        plan = make_plan(inputs, out, recursive)
        results = restore.run_jobs(plan.jobs, alone, one, quiet=json_report)
        restore.print_summary(results, json_report, plan.passed_over)
        raise typer.Exit(OK if all(r.error is None for r in results) else SOME_FAILED)
    if is_pipe(inputs, out):
        restorer, enlarger = open_models(model, enlarge, scale, steps, threads, engine)
        check_choice(restorer, enlarger, choice, strength)
        one = restore.Options(
            strength, quality, compare, overwrite, choice=choice, enlarger=enlarger
        )
        restore_pipe(inputs[0], out, restorer, one)
        return
    plan = make_plan(inputs, out, recursive)
    restorer, enlarger = open_models(model, enlarge, scale, steps, threads, engine)
    check_choice(restorer, enlarger, choice, strength)
    path = find_frames(model) if chain and steps in (None, 1) else None
    frames = None
    if path is not None and any(is_video(job.source) for job in plan.jobs):
        frames = Restorer(path, threads=threads, engine=engine)
    options = restore.Options(strength, quality, compare, overwrite, clip, frames, choice, enlarger)
    results = restore.run_jobs(plan.jobs, restorer, options, quiet=json_report)
    restore.print_summary(results, json_report, plan.passed_over)
    raise typer.Exit(OK if all(r.error is None for r in results) else SOME_FAILED)


app.add_typer(train.app, name="train")
app.command("pack")(pack.pack)
app.command("prune")(prune.prune)
app.command("qat")(qat.qat)
app.command("export")(export.export)
app.command("batch")(batch.batch)
app.command("live")(live.live)
app.command("ready")(ready.command)
app.command("profile")(profile.command)
app.command("web")(web.web)
app.command("serve")(serve.serve)


@app.command("eval")
def eval_(
    data: Annotated[Path, typer.Option("--data", help="A set, or a folder of sets.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Bundled name, file, teacher's folder or identity.")
    ] = "tiny",
    steps: Annotated[
        str, typer.Option(help="Passes; several in one table: 1,2,3,5 (bundled: 1 to 3).")
    ] = "1",
    sigma: Annotated[float, typer.Option(min=0.0, help="Noise added to denoising sets.")] = 25.0,
    clean: Annotated[
        bool, typer.Option("--clean", help="Restore the clean targets: harm done to good photos.")
    ] = False,
    equalise: Annotated[
        bool, typer.Option("--equalise", help="Equalise histograms of low-light inputs first.")
    ] = False,
    clip: Annotated[
        bool, typer.Option("--clip", help="DATA holds a clip's frames: adds flicker, as a video.")
    ] = False,
    luma: Annotated[bool, typer.Option("--luma", help="Measure every set on luma.")] = False,
    start_noise: Annotated[
        float | None, typer.Option(min=0.0, help="DiffUIR teachers: noise at the start.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="Teachers of your own system: MODULE:KIND of it.")
    ] = None,
    perceptual: Annotated[
        bool, typer.Option(help="ST-LPIPS, if installed; about 10 s a megapixel.")
    ] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write figures here.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a row a picture.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page here.")] = None,
    threads: ThreadsOption = None,
) -> None:
    """Measure a model on folders of input/ and target/ pictures of equal names.

    PSNR and SSIM on RGB and on luma, CIEDE2000, ST-LPIPS, and for low light PSNR with the clean
    picture's mean (GT-mean). The model `identity` measures the inputs themselves.
    """
    evaluate_report.check_writable(json_file, csv_file, html_file)
    if clip:
        rows = evaluate_clip.measure_clip(data, model, evaluate_models.parse_steps(steps), threads)
        if json_file is not None:
            evaluate_clip.write_json(json_file, rows)
        return
    subject = evaluate_models.open_model(
        model, evaluate_models.parse_steps(steps), threads, start_noise, system
    )
    distance = evaluate_perceptual.open_st_lpips() if perceptual else None
    protocol = evaluate.Protocol(sigma, clean, equalise, luma)
    report = evaluate.measure(data, subject, protocol, distance, html_file is not None)
    if perceptual and distance is None:
        print(evaluate_perceptual.MISSING)
    evaluate_report.write_reports(report, json_file, csv_file, html_file)


@app.command("demo")
def demo_(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "demo-out"
    ),
    steps: StepsOption = None,
) -> None:
    """Restore the bundled sample photos and show what it did."""
    demo_command.run(out, steps)


@app.command("inspect")
def inspect_(
    file: Annotated[Path, typer.Argument(help="Bundled name, .onnx, .xml, .mlpackage, .dtmodel.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what a model file is: ports, size, cost, licence, provenance, checksum."""
    facts = inspect_file.describe(file)
    print(json.dumps(facts, indent=1) if as_json else inspect_file.render(facts))


@app.command("doctor")
def doctor_() -> None:
    """Check that this machine can restore photos; every trouble comes with its fix."""
    raise typer.Exit(OK if doctor.run() else SOME_FAILED)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pellucid {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: a user's mistake ends in one line, never in a traceback."""
    try:
        app()
    except SystemExit as done:
        # Typer turns Ctrl-C into this; live tells by itself what became of its files.
        if done.code == INTERRUPTED and sys.argv[1:2] != ["live"]:
            print("interrupted; no partial file was left", file=sys.stderr)
        raise
    except restore_video.Interrupted as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(INTERRUPTED)
    except PellucidError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USAGE)
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        print(f"error: cannot write to standard output ({error.strerror})", file=sys.stderr)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - or its rest is tried again at the end
        sys.exit(SOME_FAILED)
