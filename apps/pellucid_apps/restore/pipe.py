"""`pellucid restore - -o -`: one photo from standard input, or to standard output."""

import sys
from pathlib import Path

import typer

from pellucid import PhotoError, read_photo
from pellucid.image.encode import check_sides, find_format, holds_already
from pellucid.image.photo import write_atomically

from .command import Options, PhotoRestorer

PIPE = "-"


def is_pipe(inputs: list[str], out: Path) -> bool:
    """Whether standard input or output is meant. typer.BadParameter where that cannot be."""
    if PIPE not in inputs and str(out) != PIPE:
        return False
    if len(inputs) > 1 or (str(out) == PIPE and Path(inputs[0]).is_dir()):
        raise typer.BadParameter("- takes one photo: pellucid restore - -o - < in.jpg > out.jpg")
    return True


def restore_pipe(source: str, out: Path, restorer: PhotoRestorer | None, options: Options) -> None:
    """Restore one photo; standard output gets the photo in its own format and nothing else.

    What was found and notes go to standard error. Raises PhotoError where nothing can be written,
    and typer.Exit, with a line, for a photo that cannot be read.
    """
    if options.compare:
        raise typer.BadParameter("--compare needs files, not -")
    if str(out) != PIPE:
        if out.is_dir():
            raise PhotoError(f"{out} is a folder; standard input has no name, give a file")
        if out.exists() and not options.overwrite:
            raise PhotoError(f"{out} exists; use --overwrite to replace it")
        find_format(out.suffix.lower())
    data = sys.stdin.buffer.read() if source == PIPE else None
    try:
        photo = read_photo(source if data is None else data)
        if options.enlarger is not None:
            suffix = photo.suffix if str(out) == PIPE else out.suffix.lower()
            check_sides(suffix, photo.pixels.shape, options.enlarger.scale)
        if restorer is not None:
            restorer.restore_photo(photo, options.strength, choice=options.choice)
        if options.enlarger is not None:
            options.enlarger.enlarge_photo(photo)
    except PhotoError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if photo.found is not None:
        print(options.choice.describe(photo.found), file=sys.stderr)
    given = Path(source).read_bytes() if data is None else data
    suffix = photo.suffix if str(out) == PIPE else out.suffix.lower()
    # Coding a photo again that is left as it is would change it.
    left = options.enlarger is None and options.choice.leaves(photo.found)
    copied = left and holds_already(given, suffix, source)
    if str(out) == PIPE:
        sys.stdout.buffer.write(given if copied else photo.encode(quality=options.quality))
        sys.stdout.buffer.flush()
    elif copied:
        write_atomically(out, given)
    else:
        photo.save(out, options.quality)
    for note in photo.notes_of_copy if copied else photo.notes:
        print(f"note: {note}", file=sys.stderr)
