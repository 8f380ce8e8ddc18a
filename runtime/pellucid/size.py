"""Sizes of pictures as people write them, 1280x720: the width first."""

import re

from .errors import PellucidError

Size = tuple[int, int]  # (height, width), as in the shape of an array

LARGEST_SIDE = 16384  # px; of what a command takes


def parse_size(text: str, least: int = 1) -> Size:
    """ "1280x720" -> (720, 1280). PellucidError if it is no size or too large."""
    match = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", text.strip().lower())
    if match is None:
        raise PellucidError(f"a size is WIDTHxHEIGHT such as 1280x720, got {text!r}")
    width, height = int(match[1]), int(match[2])
    if min(width, height) < least or max(width, height) > LARGEST_SIDE:
        raise PellucidError(f"size {text}: its sides must be {least} to {LARGEST_SIDE} px")
    return height, width


def size_text(size: Size) -> str:
    """(720, 1280) -> "1280x720"."""
    return f"{size[1]}x{size[0]}"


def rounded_up(size: Size, multiple: int) -> Size:
    """The next size whose sides are multiples of `multiple`."""
    height, width = (-(-side // multiple) * multiple for side in size)
    return height, width
