"""The systems of this package. A new one is a file here and an entry in this table."""

import importlib
from collections.abc import Mapping

from ..system import SystemKind
from . import diffuir, guided_deblur, prior, rddm, resshift

SYSTEMS: Mapping[str, SystemKind] = {
    kind.name: kind
    for kind in (diffuir.KIND, rddm.KIND, resshift.KIND, guided_deblur.KIND, prior.KIND)
}


def find_kind(name: str) -> SystemKind:
    """A kind by its name, or by MODULE:ATTRIBUTE for one that is not part of this package.

    Only a name that the user gives is imported, never one from a file. Raises ValueError.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        if name in SYSTEMS:
            return SYSTEMS[name]
        known = ", ".join(SYSTEMS)
        raise ValueError(f"no system {name!r}; known: {known}, or MODULE:KIND for your own")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"system {name!r}: {error}") from error
    if not isinstance(kind, SystemKind):
        raise ValueError(f"system {name!r}: expected a SystemKind, got {type(kind).__name__}")
    return kind


def kinds_with(own: str | None) -> Mapping[str, SystemKind]:
    """All kinds that files may name, and the one at MODULE:ATTRIBUTE. Raises ValueError."""
    if own is None:
        return SYSTEMS
    kind = find_kind(own)
    return {**SYSTEMS, kind.name: kind}
