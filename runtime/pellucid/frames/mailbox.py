"""A reader thread and a mailbox for one frame: whoever is slow sees the newest, never a queue."""

import threading
from collections.abc import Iterator

from .frame import Clock, Frame, FrameError, Source

TICK_S = 0.1  # how long a reader of the mailbox waits before it may look at its keys


class Mailbox:
    """One slot. A new frame replaces one that nobody took, and that one counts as dropped.

    wait: `put` waits for the slot instead, so that every frame arrives.
    """

    def __init__(self, wait: bool = False) -> None:
        self._wait = wait
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._closed = False
        self.dropped = 0

    def put(self, frame: Frame) -> bool:
        """Leave a frame; False if nobody will take any more."""
        with self._changed:
            if self._wait:
                self._changed.wait_for(lambda: self._frame is None or self._closed)
            if self._closed:
                return False
            self.dropped += self._frame is not None
            self._frame = frame
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float) -> Frame | None:
        """The frame in the slot, waiting for one at most timeout_s; None if none came."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._closed, timeout_s)
            frame, self._frame = self._frame, None
            self._changed.notify_all()
            return frame

    def close(self) -> None:
        """No more frames; the last one may still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def over(self) -> bool:
        """Closed and empty."""
        with self._changed:
            return self._closed and self._frame is None


class NewestFrames:
    """Frames of a source, read by a thread of their own; a context manager and an iterator.

    Iterating gives the newest frame, or None about every TICK_S seconds while there is none. It
    ends with the source; FrameError if the source broke or fell silent for its patience.
    every_frame: the source waits for the taker and no frame is lost.
    """

    def __init__(self, source: Source, clock: Clock, every_frame: bool = False) -> None:
        self._source, self._clock = source, clock
        self._box = Mailbox(wait=every_frame)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="pellucid-reader", daemon=True)
        self.empty = 0

    @property
    def dropped(self) -> int:
        """Frames that were replaced by newer ones before anybody took them."""
        return self._box.dropped

    def __enter__(self) -> "NewestFrames":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._box.close()
        # A driver may hang in its read for ever; the thread is a daemon and dies with the program.
        self._thread.join(timeout=1.0)
        self._source.close()
        self._thread.join(timeout=1.0)

    def __iter__(self) -> Iterator[Frame | None]:
        heard = self._clock.now()
        patience = self._source.patience_s
        while True:
            frame = self._box.take(TICK_S)
            if frame is not None:
                heard = self._clock.now()
                yield frame
                continue
            if self._box.over:
                break
            if patience is not None and self._clock.now() - heard > patience:
                raise FrameError(
                    f"{self._source.name} gave no frame for {patience:g} s; "
                    "is it plugged in, and does no other program use it?"
                )
            yield None
        if self._error is not None:
            raise self._error

    def _read(self) -> None:
        try:
            while (frame := self._source.read()) is not None:
                if frame.pixels.size == 0:
                    self.empty += 1
                elif not self._box.put(frame):
                    break
        except BaseException as error:  # raised again where the frames are used
            self._error = error
        finally:
            self._box.close()
