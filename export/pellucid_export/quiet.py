"""Converters draw bars, print and warn in their own ways; while they work, only we speak."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

TALKERS = ("nncf", "coremltools", "torch.onnx", "root")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Swallow what libraries print and warn of. Errors are raised as ever; whoever has something to
    say meanwhile writes to a stream taken before."""
    levels = {name: logging.getLogger(name).level for name in TALKERS}
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
