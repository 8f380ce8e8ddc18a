"""A model file that an engine has loaded, as a call without arguments that runs one inference."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..card import ModelCard
from ..errors import ModelError

Array = NDArray[np.float32]
Event = dict[str, Any]


def nothing() -> None:
    """For engines whose counters need no reading after a call."""


@dataclass(frozen=True)
class Opened:
    """call: one inference. placed: the device that the engine says it uses; "" where it runs as
    asked. after: to be called after each counted call, outside of its time. events: ends the
    counting and gives the engine's raw per-layer events, a list for every call."""

    call: Callable[[], object]
    card: ModelCard
    placed: str = ""
    after: Callable[[], None] = nothing
    events: Callable[[], list[list[Event]]] = list


def picture(shape: list[Any], size: tuple[int, int]) -> Array:
    """A random picture (1, 3, *size) in [0, 1] for a port; its fixed sides must be those of `size`.

    Raises ModelError if the port takes no such picture.
    """
    if len(shape) != 4 or shape[1] not in (3, None):
        raise ModelError(f"expected an input (1, 3, H, W), got {shape}")
    for side, wanted in zip(shape[2:], size, strict=True):
        if isinstance(side, int) and side != wanted:
            fixed = f"{shape[3]}x{shape[2]}"
            raise ModelError(f"its size is fixed to {fixed}: --size {fixed}")
    return np.random.default_rng(0).random((1, 3, *size), np.float32)
