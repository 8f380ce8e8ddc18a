"""The models of a `pellucid restore`: one that restores, one that enlarges, or both in turn."""

from pathlib import Path

from pellucid import Enlarger, PellucidError, Restorer
from pellucid.bundled import bundled_names
from pellucid.degradations import Choice
from pellucid.enlarger import scale_of

ENLARGE_HELP = "Then enlarge photos by this model: sr4, or a file of one that enlarges."
SCALE_HELP = "Sides of the results over the inputs'; refused unless the models make just that."


def open_models(
    model: str,
    enlarge: str | None,
    scale: int | None,
    steps: int | None,
    threads: int | None,
    engine: str,
) -> tuple[Restorer | None, Enlarger | None]:
    """(what restores, what enlarges then). A `model` that enlarges does only that.

    Raises PellucidError where the models do not make pictures of `scale`.
    """
    restorer: Restorer | None = None
    enlarger: Enlarger | None = None
    if model in bundled_names() or scale_of(model, engine) == 1:
        restorer = Restorer(model, steps=steps, threads=threads, engine=engine)
        if enlarge is not None:
            enlarger = Enlarger(enlarge, threads=threads, engine=engine)
    else:
        if enlarge is not None or steps not in (None, 1):
            name = Path(model).name
            raise PellucidError(f"{name} enlarges, in one step; leave --enlarge and --steps away")
        enlarger = Enlarger(model, threads=threads, engine=engine)
    made = 1 if enlarger is None else enlarger.scale
    if scale is not None and scale != made:
        size = "keeps the size" if made == 1 else f"makes x{made}"
        raise PellucidError(
            f"--scale {scale}: {model} {size}; take -m sr4, or add --enlarge sr4, for x4"
        )
    return restorer, enlarger


def check_choice(
    restorer: Restorer | None, enlarger: Enlarger | None, choice: Choice, strength: float
) -> None:
    """PellucidError for a choice that the models cannot follow."""
    if restorer is not None:
        choice.check(restorer.card.degradations, restorer.card.id)
    elif enlarger is not None and (not choice.is_blind or strength != 1.0):
        raise PellucidError(
            f"{enlarger.card.id} only enlarges; --fix, --ignore and --strength are for models "
            "that restore: -m tiny --enlarge sr4 does both"
        )
