"""Photos in clean/ that are not: a student learns to leave in what its targets show."""

import random
import time
from collections.abc import Collection
from pathlib import Path

from pellucid import PellucidError, Restorer

LOOK_S = 15.0
PLAIN = 0.5  # amount from which a degradation is plainly seen
FIRST = 5  # names that are shown
_SEED = 0  # of the order, so that the same photos are named again


def degraded_photos(
    data: str, leave_out: Collection[str] = (), seconds: float = LOOK_S
) -> tuple[int, list[tuple[Path, str]]]:
    """(photos looked at, those that look degraded with what is wrong, by name).

    data: training folder. Shards and addresses, which hold no names, are not looked at. seconds:
    after which it stops; the photos come in a random order, so that the share holds for all.
    """
    from pellucid_teacher.data.corpus import clean_files

    root, start = Path(data), time.monotonic()
    if not root.is_dir():
        return 0, []
    files = clean_files(root, leave_out)
    random.Random(_SEED).shuffle(files)
    judge, looked, found = Restorer("pico"), 0, []
    for path in files:
        if looked and time.monotonic() - start > seconds:
            break
        try:
            wrong = judge.look(path)
        except PellucidError:
            continue  # loading has its own word on files that cannot be read
        looked += 1
        plain = [f"{name} {a:.1f}" for name, a in wrong.amounts.items() if a >= PLAIN]
        if plain:
            found.append((path.relative_to(root), ", ".join(plain)))
    return looked, sorted(found)


def warning(looked: int, found: list[tuple[Path, str]]) -> str:
    """One line; empty where all look clean."""
    if not found:
        return ""
    first = "; ".join(f"{path} ({wrong})" for path, wrong in found[:FIRST])
    more = "; ..." if len(found) > FIRST else ""
    return (
        f"{len(found)} of {looked} clean photos that were looked at seem degraded; they are learnt "
        f"as clean: {first}{more}. --leave-out NAME, of a folder or file, keeps one out"
    )
