"""Options that several training commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str,
    typer.Option(
        "--data",
        help="Training folder, laid out as the README says, or shards of `pellucid pack`: a folder "
        "or an address (s3://...).",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Run folder, made or resumed.")]
Minutes = Annotated[
    float | None, typer.Option(help="Time budget of the whole run, with loading and measuring.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimiser steps of the whole run.")]
LeaveOut = Annotated[list[str] | None, typer.Option(help="Folder under clean/ to keep unseen.")]
Dataset = Annotated[list[str] | None, typer.Option(help="Name (licence), for the weights' header.")]
Licence = Annotated[
    str,
    typer.Option(
        "--weights-licence",
        help="Licence of the new weights, such as CC-BY-4.0; your pictures' licences decide it. "
        "It is written into the weights and every file exported from them.",
    ),
]
Dev = Annotated[Path | None, typer.Option("--dev", help="Sets to watch, never trained on.")]
DevEvery = Annotated[int, typer.Option(min=1, help="Steps between looks at the sets.")]
HoldOut = Annotated[
    bool, typer.Option(help="Without --dev: keep a sixth of the files unseen, to measure on.")
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Samples a process.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="bf16 autocast.")]
Precision = Annotated[
    str,
    typer.Option(
        help="auto, float32 or bfloat16 (autocast); auto: what a short timing says is faster."
    ),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Faster steps by torch.compile; needs a C++ compiler.")
]
Rate = Annotated[
    float | None, typer.Option("--lr", min=0.0, help="Peak learning rate (default: the recipe's).")
]
Share = Annotated[
    list[str] | None,
    typer.Option(help="Share of a task, e.g. rain=0.4; repeat it (default: the recipe's)."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of samples and noise; another one for a new run.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that make samples.")]
