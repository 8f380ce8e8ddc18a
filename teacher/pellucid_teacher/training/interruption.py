"""Ctrl-C and SIGTERM while training: the step at hand is finished and saved first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # the second is what Slurm, Kubernetes, torchrun send


class Interruption:
    """asked: whether a signal came. A second one ends the process at once, as without this."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within this block a first signal sets `asked`. Only in the main thread, which alone gets
        signals; elsewhere it does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}

        def note(number: int, frame: FrameType | None) -> None:
            self.asked = True
            signal.signal(number, before[signal.Signals(number)])

        for number in _SIGNALS:
            signal.signal(number, note)
        try:
            yield
        finally:
            # An abandoned run ends when it is collected, perhaps in the middle of another one,
            # whose handlers must stay.
            for number, handler in before.items():
                if signal.getsignal(number) is note:
                    signal.signal(number, handler)
