"""Everything pellucid raises on purpose.

    PellucidError
    ├── PhotoError      a picture cannot be read, is refused, or cannot be written
    │   └── TooLargeError   it has more pixels than the limit
    └── ModelError      a model is unknown, broken, or not a picture-to-picture network

Each message says what was expected, what came, and what to do.
"""

import errno


class PellucidError(Exception):
    """Base of all errors whose message is meant for the user."""


class PhotoError(PellucidError):
    """A picture cannot be read or written; no file was changed."""


class TooLargeError(PhotoError):
    """A picture has more pixels than the limit allows; it was not decoded."""


class ModelError(PellucidError):
    """A model file or name cannot be used."""


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for lack of room: of the disk, a quota or the file system's sizes."""
    return isinstance(error, OSError) and error.errno in (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
    )
