"""`pellucid restore - -o -`: one photo from standard input, or to standard output."""

import sys
from pathlib import Path

import typer

from pellucid import PhotoError, Restorer, read_photo

from .command import Options

PIPE = "-"


def is_pipe(inputs: list[str], out: Path) -> bool:
    """Whether standard input or output is meant. typer.BadParameter where that cannot be."""
    if PIPE not in inputs and str(out) != PIPE:
        return False
    if len(inputs) > 1 or (str(out) == PIPE and Path(inputs[0]).is_dir()):
        raise typer.BadParameter("- takes one photo: pellucid restore - -o - < in.jpg > out.jpg")
    return True


def restore_pipe(source: str, out: Path, restorer: Restorer, options: Options) -> None:
    """Restore one photo; standard output gets the photo in its own format and nothing else.

    What was found and notes go to standard error. Raises PhotoError.
    """
    if options.compare:
        raise typer.BadParameter("--compare needs files, not -")
    if str(out) != PIPE and out.exists() and not options.overwrite:
        raise PhotoError(f"{out} exists; use --overwrite to replace it")
    photo = read_photo(sys.stdin.buffer.read() if source == PIPE else source)
    restorer.restore_photo(photo, options.strength, choice=options.choice)
    if photo.found is not None:
        print(options.choice.describe(photo.found), file=sys.stderr)
    if str(out) == PIPE:
        sys.stdout.buffer.write(photo.encode(quality=options.quality))
        sys.stdout.buffer.flush()
    else:
        if out.is_dir():
            raise PhotoError(f"{out} is a folder; standard input has no name, give a file")
        photo.save(out, options.quality)
    for note in photo.notes:
        print(f"note: {note}", file=sys.stderr)
