"""`pellucid pack`: a training folder as WebDataset shards, for object stores and for GPU hours."""

from pathlib import Path
from typing import Annotated

import typer

from pellucid import PellucidError

from .session import need_torch


def pack(
    folder: Annotated[Path, typer.Argument(help="Training folder, as `train --data` takes it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the shards.")],
    shard_mb: Annotated[float, typer.Option(min=1, help="Size of a shard, about.")] = 256.0,
    total_mb: Annotated[
        float | None, typer.Option(min=0.1, help="Of all shards; a random part of the photos.")
    ] = None,
    side: Annotated[
        int | None, typer.Option(min=160, help="Shrink clean photos to this shorter side, px.")
    ] = None,
) -> None:
    """Pack the pictures below FOLDER as tar files that `--data` of every training reads.

    Copy them to an object store and train with --data s3://bucket/shards.
    """
    need_torch()
    from pellucid_teacher.data.shards import PackConfig
    from pellucid_teacher.data.shards import pack as pack_folder

    try:
        packed = pack_folder(folder, out, PackConfig(shard_mb, total_mb, side))
    except ValueError as error:
        raise PellucidError(str(error)) from error
    counts = f"{packed.samples} samples in {len(packed.shards)} shard(s), "
    print(f"{counts}{packed.total_bytes / 1e6:.1f} MB")
    if packed.left_out:
        print(f"{packed.left_out} samples were left out for --total-mb {total_mb:g}")
