"""The protobuf classes of Core ML models, from coremltools, imported on first use and quietly."""

import logging
import warnings
from types import ModuleType

from pellucid.errors import PellucidError


class MLProgramError(PellucidError):
    """The package is broken, uses an op that is not known here, or was given wrong inputs."""


def proto_modules() -> tuple[ModuleType, ModuleType]:
    """(Model_pb2, MIL_pb2). Raises MLProgramError if coremltools is missing."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it reports every library that only a Mac has
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of the torch version, which is not used here
            from coremltools.proto import MIL_pb2, Model_pb2
    except ImportError as error:
        raise MLProgramError(
            "reading an .mlpackage needs coremltools; install it: pip install 'pellucid[coreml]'"
        ) from error
    finally:
        logger.setLevel(level)
    return Model_pb2, MIL_pb2
