"""What can be wrong with a photo: the names, what was found in one, and what is to be restored.

The amount of a degradation is 0 to 1: 0.5 is plainly seen, 0.8 is heavy.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .errors import PellucidError

# The order of the amounts that end a model's scene vector (card.degradations).
DEGRADATIONS = ("rain", "snow", "haze", "lowlight", "noise", "blur", "jpeg")
FOUND = 0.3  # an amount from here on is worth restoring
ASKED = 0.6  # least amount of what is asked for by name alone
ALL = "all"
ALSO_CALLED = {
    "fog": "haze", "mist": "haze", "smoke": "haze", "drizzle": "rain", "streaks": "rain",
    "flakes": "snow", "dark": "lowlight", "darkness": "lowlight", "night": "lowlight",
    "grain": "noise", "unsharp": "blur", "shake": "blur", "blocks": "jpeg", "artifacts": "jpeg",
}  # fmt: skip

Amounts = NDArray[np.float32]
Fix = str | Mapping[str, float] | Iterable[str]


@dataclass(frozen=True)
class Found:
    """What is wrong with a photo. amounts: 0..1, of every degradation that the model knows.

    True if anything is worth restoring; as text "rain 0.8, haze 0.3" or "nothing found".
    """

    amounts: Mapping[str, float]

    @classmethod
    def of(cls, names: Iterable[str], amounts: Amounts) -> "Found":
        """names: of the model (card.degradations). amounts: (len(names),)."""
        return cls({n: float(a) for n, a in zip(names, amounts, strict=True)})

    @classmethod
    def in_scene(cls, names: Sequence[str], scene: Amounts) -> "Found | None":
        """The amounts that end a scene vector; None for a model that takes none."""
        return cls.of(names, scene[-len(names) :]) if names else None

    @property
    def names(self) -> tuple[str, ...]:
        """Those at FOUND or above, the largest first."""
        above = (name for name, amount in self.amounts.items() if amount >= FOUND)
        return tuple(sorted(above, key=lambda name: -self.amounts[name]))

    def __bool__(self) -> bool:
        return bool(self.names)

    def __str__(self) -> str:
        text = ", ".join(f"{name} {self.amounts[name]:.1f}" for name in self.names)
        return text or "nothing found"


@dataclass(frozen=True)
class Choice:
    """What is to be restored; without arguments, whatever is found.

    fix: amounts by name, None for as much as is found, at least ASKED; nothing else is restored.
    everything: as much as is measured of each, however little. ignore: names that are not restored.
    least: amount from which something counts as found.
    """

    fix: Mapping[str, float | None] | None = None
    everything: bool = False
    ignore: frozenset[str] = frozenset()
    least: float = FOUND

    def __str__(self) -> str:
        """As the options that make it; empty if the model decides alone."""
        fixed = [name if a is None else f"{name}={a:g}" for name, a in (self.fix or {}).items()]
        parts = [ALL] * self.everything + sorted(fixed)
        fix = f"--fix {','.join(parts)}" if parts else ""
        return f"{fix} --ignore {','.join(sorted(self.ignore))}".strip() if self.ignore else fix

    @property
    def is_blind(self) -> bool:
        """Whether the model decides alone."""
        return self.fix is None and not self.everything and not self.ignore

    def apply(self, found: Found) -> Found:
        """The amounts that the model gets for a photo in which `found` was measured."""
        used = {}
        for name, amount in found.amounts.items():
            kept = 0.0 if name in self.ignore else amount
            if self.fix is not None and name in self.fix:
                given = self.fix[name]
                kept = max(amount, ASKED) if given is None else given
            elif self.fix is not None and not self.everything:
                kept = 0.0
            used[name] = kept
        return Found(used)

    def tell(self, scene: Amounts, names: Sequence[str]) -> Amounts:
        """A scene vector that ends with the amounts of `names` as measured -> as chosen."""
        found = Found.in_scene(names, scene)
        if found is None or self.is_blind:
            return scene
        amounts = list(self.apply(found).amounts.values())
        return np.concatenate([scene[: -len(names)], amounts], dtype=np.float32)

    def acts_on(self, found: Found) -> bool:
        """Whether the photo is restored at all; otherwise it is left as it is."""
        if self.fix is not None or self.everything:
            return True
        return max(self.apply(found).amounts.values(), default=0.0) >= self.least

    def leaves(self, found: Found | None) -> bool:
        """Whether a photo stays as it is. found: None from a model that cannot tell."""
        return found is not None and not self.acts_on(found)

    def brightens(self, found: Found) -> bool:
        """Whether darkness is restored: then highlights may become white."""
        asked = self.fix is not None and "lowlight" in self.fix
        return asked or self.apply(found).amounts.get("lowlight", 0.0) >= self.least

    def describe(self, found: Found) -> str:
        """What was found, and what becomes of it: one line for the user."""
        if not self.acts_on(found):
            return f"{found}, {'ignored, ' if found else ''}left as it is"
        if self.is_blind:
            return str(found)
        used = ((name, amount) for name, amount in self.apply(found).amounts.items() if amount)
        return f"{found}; restoring " + ", ".join(f"{name} {amount:.1f}" for name, amount in used)

    def check(self, names: Iterable[str], model: str) -> None:
        """PellucidError unless a model that knows `names` can do as chosen."""
        known = tuple(names)
        if self.is_blind:
            return
        if not known:
            raise PellucidError(
                f"{model} has no degradation estimator, so nothing can be chosen; use a bundled "
                "model, or export yours again with this pellucid"
            )
        for name in (*(self.fix or ()), *self.ignore):
            if name not in known:
                raise PellucidError(f"{model} does not know {name}; it knows {', '.join(known)}")


BLIND = Choice()


class SteadyChoice:
    """A choice for a stream: what is restored goes on being so until half of it is left or the shot
    ends. Amounts that waver about FOUND would else switch the network on and off."""

    def __init__(self, choice: Choice = BLIND) -> None:
        self._choice, self._restores = choice, False

    def update(self, found: Found | None, anew: bool) -> Choice:
        """What is chosen for a frame in which `found` was measured. anew: a shot begins."""
        least = FOUND / 2 if self._restores and not anew else FOUND
        choice = replace(self._choice, least=least)
        self._restores = found is not None and choice.acts_on(found)
        return choice


def read_choice(fix: Fix | None = None, ignore: str | Iterable[str] | None = None) -> Choice:
    """What a user chose: fix "rain,haze", "rain=0.5", "all" or {"rain": 0.5}; ignore "blur,jpeg".

    Raises PellucidError for unknown names and amounts outside (0, 1].
    """
    ignored = frozenset(_known(name) for name in _words(ignore or (), "ignore"))
    if fix is None:
        return Choice(ignore=ignored)
    wanted: dict[str, float | None] = {}
    everything = False
    entries = fix.items() if isinstance(fix, Mapping) else map(_entry, _words(fix, "fix"))
    for name, amount in entries:
        if name == ALL and amount is None:
            everything = True
            continue
        wanted[_known(name)] = None if amount is None else _amount(name, amount)
    if not wanted and not everything:
        raise PellucidError(f"fix names nothing; choose from {', '.join(DEGRADATIONS)} or all")
    if both := ignored & set(wanted):
        raise PellucidError(f"{', '.join(sorted(both))} cannot be both fixed and ignored")
    return Choice(wanted if wanted else None, everything, ignored)


def _words(given: str | Iterable[str], option: str) -> list[str]:
    parts = given.split(",") if isinstance(given, str) else list(given)
    if not all(isinstance(part, str) for part in parts):
        raise PellucidError(f"{option} takes names such as rain,haze; got {given!r}")
    return [part.strip().lower() for part in parts if part.strip()]


def _entry(word: str) -> tuple[str, float | None]:
    """ "rain=0.5" -> ("rain", 0.5), "rain" -> ("rain", None)."""
    name, is_given, amount = (part.strip() for part in word.partition("="))
    if not is_given:
        return name, None
    try:
        return name, float(amount)
    except ValueError:
        raise PellucidError(f"expected an amount such as {name}=0.5, got {word!r}") from None


def _amount(name: str, amount: float) -> float:
    if not isinstance(amount, int | float) or not 0.0 < amount <= 1.0:
        raise PellucidError(
            f"the amount of {name} must be above 0 and at most 1, got {amount!r}; "
            f"ignore {name} to leave it"
        )
    return float(amount)


def _known(name: str) -> str:
    if name in DEGRADATIONS:
        return name
    near = difflib.get_close_matches(name, DEGRADATIONS, n=1)
    meant = ALSO_CALLED.get(name) or next(iter(near), None)
    hint = f"did you mean {meant}? " if meant else ""
    raise PellucidError(f"no degradation {name!r}; {hint}known: {', '.join(DEGRADATIONS)}")
