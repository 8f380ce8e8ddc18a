"""What `pellucid doctor` finds, and a limit on how long it waits for an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """state: "ok", "note" (works, could be better) or "FAIL" (the main job fails)."""

    state: str
    what: str
    fix: str = ""

    def line(self) -> str:
        return f"{self.state:5} {self.what}" + (f"\n      fix: {self.fix}" if self.fix else "")


def ask(question: Callable[[], T], seconds: float) -> T:
    """The answer to a question that a driver may never answer.

    Raises TimeoutError after `seconds`; the question is then left alone in its thread, which does
    not keep the program from ending. What the question raises is raised here.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            answers.append(question())
        except Exception as error:  # carried over to the asking thread
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return answers[0]
