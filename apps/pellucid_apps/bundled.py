"""Bundled models by name, wherever a command takes the file of a model."""

from pathlib import Path

from pellucid.restorer import find_model


def model_file(given: Path) -> Path:
    """A path as it is; a bare name that is no file is that of a bundled model.

    Raises ModelError, with the names there are, for any other bare name.
    """
    is_name = len(given.parts) == 1 and not given.suffix and not given.exists()
    return find_model(given) if is_name else given
