"""Single keys of the terminal, without Enter."""

import os
import select
import sys
from typing import Any


class Keyboard:
    """Context manager; `pressed` never waits. Does nothing where there is no terminal.

    wanted: False leaves standard input alone, because frames come from it.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted and sys.stdin.isatty()
        self._before: Any = None

    def __enter__(self) -> "Keyboard":
        if self._wanted and sys.platform != "win32":
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin.fileno())
            tty.setcbreak(sys.stdin.fileno())
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None and sys.platform != "win32":
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)

    def pressed(self) -> str:
        """Keys pressed since the last call, oldest first."""
        if not self._wanted:
            return ""
        if sys.platform == "win32":
            import msvcrt

            keys = ""
            while msvcrt.kbhit():
                keys += msvcrt.getwch()
            return keys
        if not select.select([sys.stdin], [], [], 0)[0]:
            return ""
        return os.read(sys.stdin.fileno(), 32).decode("utf-8", "ignore")
