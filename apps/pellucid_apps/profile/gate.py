"""Compare a profile with a saved one by ratios: milliseconds of two days do not compare."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid import PellucidError

DEFAULT = 0.10


class GateError(PellucidError):
    """The saved profile or the tolerance cannot be used."""


@dataclass(frozen=True)
class Entry:
    """before, now: ratios to the reference. error: half the 95 % interval of `now`, over it."""

    key: str
    before: float
    now: float | None
    tolerance: float
    error: float | None = None

    @property
    def failed(self) -> bool:
        return self.now is None or self.now > self.before * (1.0 + self.tolerance)

    @property
    def line(self) -> str:
        word = "FAIL" if self.failed else "ok  "
        if self.now is None:
            return f"{word} {self.key}: ratio was {self.before:.2f}, not measured now"
        growth = self.now / self.before - 1.0
        sure = "" if self.error is None else f" +-{self.error:.0%}"
        change = f"{self.key}: ratio {self.before:.2f} -> {self.now:.2f}"
        line = f"{word} {change} ({growth:+.1%}{sure}, allowed {self.tolerance:+.0%})"
        doubtful = self.failed and self.error is not None and growth - self.error < self.tolerance
        return f"{line}; uncertain, repeat it with more --seconds" if doubtful else line


def read(path: Path, fail_over: str) -> dict[str, Any]:
    """The saved document; `tolerance`: --fail-over, else the file's own, else 10 %."""
    given = parse_share(fail_over) if fail_over else None
    try:
        baseline: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = [(row["key"], row["ratio"]) for row in baseline["rows"]], baseline["reference"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GateError(
            f"{path}: not a saved profile ({error!r}); write one with pellucid profile --save"
        ) from error
    tolerance = baseline.get("tolerance", DEFAULT) if given is None else given
    baseline["tolerance"] = float(tolerance)
    return baseline


def parse_share(text: str) -> float:
    """'10%' or '10' -> 0.10."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text.strip())
    if match is None:
        raise GateError(f"--fail-over is a percentage like 10%, got {text!r}")
    return float(match[1]) / 100.0


def compare(new: dict[str, Any], old: dict[str, Any]) -> list[Entry]:
    """One entry for each row that the saved profile measured."""
    if new["reference"] != old["reference"]:
        raise GateError(
            f"the saved profile's ratios are to {old['reference']}, these to {new['reference']}; "
            "save a new one"
        )
    now = {row["key"]: (row["ratio"], row["ratio_error"]) for row in new["rows"]}
    nothing = (None, None)
    return [
        Entry(row["key"], row["ratio"], ratio, old["tolerance"], error)
        for row in old["rows"]
        if row["ratio"] is not None
        for ratio, error in [now.get(row["key"], nothing)]
    ]
