"""Being asked to end by the system: a closed terminal, a shutdown, `kill`."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

_NAMES = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class StopSignals:
    """Context manager: SIGTERM and SIGHUP call `stop` instead of ending the program at once.

    received: whether one came.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop, self.received = stop, False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
            self._before[number] = signal.signal(number, self._on)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        self._stop()
