"""--size WIDTHxHEIGHT, and --shape, its older form with the height first."""

import sys
from typing import Annotated

import typer

from pellucid.size import parse_size, size_text

ShapeOption = Annotated[str, typer.Option("--shape", hidden=True)]


def sizes_asked_for(size: str, shape: str) -> str:
    """The text of --size; a --shape that is given is turned into it, with a line on stderr."""
    if not shape:
        return size
    words = [word.strip() for word in shape.split(",")]
    turned = ",".join(w if w == "dynamic" else size_text(parse_size(w)[::-1]) for w in words)
    print(f"--shape (height first) is old: write --size {turned}", file=sys.stderr)
    return turned
