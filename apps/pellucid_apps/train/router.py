"""`pellucid train router`: what chooses among specialists."""

from pathlib import Path
from typing import Annotated

import typer

from pellucid import PellucidError

from . import options
from .session import need_torch


def router(
    folder: Annotated[Path, typer.Argument(help="Folder of specialists.", show_default=False)],
    data: options.Data,
    licence: options.Licence,
    samples: Annotated[int, typer.Option(min=1, help="Crops to learn from.")] = 8_000,
    crop: Annotated[int, typer.Option(min=32, help="Side of a crop, px.")] = 128,
    seed: options.Seed = 1,
    workers: options.Workers = 1,
    leave_out: options.LeaveOut = None,
) -> None:
    """Teach FOLDER's specialists who of them is asked, and write FOLDER/router.safetensors."""
    need_torch()
    from pellucid_student.router import save_router, train_router
    from pellucid_student.specialists import GENERAL, ROUTER
    from pellucid_student.weights import load_student
    from pellucid_teacher.data.shards import open_corpus
    from pellucid_teacher.data.stream import single_thread_opencv
    from pellucid_teacher.data.synthesis import Synthesis

    single_thread_opencv()
    try:
        general, _ = load_student(folder / f"{GENERAL}.safetensors")
        synthesis = Synthesis(open_corpus(data, frozenset(leave_out or ())), crop)
        found, loss = train_router(general.eval(), synthesis, seed, samples, workers)
    except ValueError as error:
        raise PellucidError(str(error)) from error
    path = folder / f"{ROUTER}.safetensors"
    save_router(path, found, licence)
    print(f"wrote {path}  loss {loss:.3f} nats")
