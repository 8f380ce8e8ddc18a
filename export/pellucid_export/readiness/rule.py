"""What a rule about an NPU says, and a target as the rules for one NPU."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from .graph import Graph, Layer


class Verdict(StrEnum):
    SUPPORTED = "supported"
    SLOW = "slow"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Rule:
    """verdict for every layer whose op is in `ops` (empty: any) and for which `when` holds."""

    verdict: Verdict
    ops: frozenset[str]
    when: Callable[[Layer, Graph], bool]
    why: str
    change: str
    source: str


@dataclass(frozen=True)
class Target:
    """supported: ops that `source` lists; what is not listed counts as unsupported."""

    key: str
    title: str
    supported: frozenset[str]
    source: str
    rules: tuple[Rule, ...]
    notes: tuple[str, ...] = ()
