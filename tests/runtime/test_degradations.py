"""Amounts: what counts as found, how a choice is read, and what it makes of a measurement."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import PellucidError
from pellucid.degradations import ASKED, BLIND, DEGRADATIONS, FOUND, Choice, Found, read_choice

RAINY = Found({"rain": 0.82, "haze": 0.31, "blur": 0.29})
CLEAN = Found(dict.fromkeys(DEGRADATIONS, 0.1))


def test_found_is_told_largest_first() -> None:
    assert RAINY.names == ("rain", "haze") and str(RAINY) == "rain 0.8, haze 0.3"
    assert not CLEAN and str(CLEAN) == "nothing found"
    assert Found.of(("rain", "jpeg"), np.array([0.5, 0.0], np.float32)).amounts == {
        "rain": 0.5,
        "jpeg": 0.0,
    }


@pytest.mark.parametrize(
    ("fix", "ignore", "told"),
    [
        (None, None, {"rain": 0.82, "haze": 0.31, "blur": 0.29}),
        (None, "haze", {"rain": 0.82, "haze": 0.0, "blur": 0.29}),
        ("rain,blur", None, {"rain": 0.82, "haze": 0.0, "blur": ASKED}),
        ("rain=0.5", None, {"rain": 0.5, "haze": 0.0, "blur": 0.0}),
        ({"rain": 0.5}, None, {"rain": 0.5, "haze": 0.0, "blur": 0.0}),
        (["haze"], None, {"rain": 0.0, "haze": ASKED, "blur": 0.0}),
        ("all", None, {"rain": 0.82, "haze": 0.31, "blur": 0.29}),
        ("all, Blur=1", ["rain"], {"rain": 0.0, "haze": 0.31, "blur": 1.0}),
    ],
)
def test_choices(fix: Any, ignore: Any, told: dict[str, float]) -> None:
    choice = read_choice(fix, ignore)
    assert choice.apply(RAINY).amounts == told
    fixed, _, ignored = str(choice).removeprefix("--fix ").partition("--ignore ")
    assert read_choice(fixed.strip() or None, ignored) == choice


@pytest.mark.parametrize(
    ("fix", "ignore", "line"),
    [
        (None, None, "rain 0.8, haze 0.3"),
        (None, "rain", "rain 0.8, haze 0.3; restoring haze 0.3, blur 0.3"),
        (None, "rain,haze", "rain 0.8, haze 0.3, ignored, left as it is"),
        ("blur", None, "rain 0.8, haze 0.3; restoring blur 0.6"),
    ],
)
def test_what_becomes_of_it_is_told(fix: Any, ignore: Any, line: str) -> None:
    assert read_choice(fix, ignore).describe(RAINY) == line


def test_what_is_good_is_left_unless_asked() -> None:
    assert BLIND.is_blind and not BLIND.acts_on(CLEAN) and BLIND.acts_on(RAINY)
    assert BLIND.describe(CLEAN) == "nothing found, left as it is"
    for fix in ("rain", "rain=0.1", "all"):
        assert read_choice(fix).acts_on(CLEAN)
    assert Choice(least=0.1).acts_on(CLEAN) and not Choice(least=0.11).acts_on(CLEAN)


def test_darkness_asked_or_found_may_make_white() -> None:
    dark = Found({"rain": 0.1, "lowlight": FOUND})
    assert BLIND.brightens(dark) and not BLIND.brightens(RAINY) and not BLIND.brightens(CLEAN)
    assert not read_choice(ignore="lowlight").brightens(dark)
    assert not read_choice("rain").brightens(dark)
    assert read_choice("lowlight=0.1").brightens(CLEAN)


@pytest.mark.parametrize(
    ("fix", "ignore", "message"),
    [
        ("fog", None, "no degradation 'fog'; did you mean haze. known: rain, snow, haze"),
        ("rian", None, "did you mean rain"),
        ("xyz", None, "no degradation 'xyz'; known: rain"),
        (None, "dark", "did you mean lowlight"),
        ("rain=much", None, "such as rain=0.5, got 'rain=much'"),
        ("rain=0", None, "above 0 and at most 1, got 0.0; ignore rain"),
        ({"rain": 1.5}, None, "above 0 and at most 1, got 1.5"),
        ({"rain": "1"}, None, "above 0"),
        ("rain=nan", None, "above 0"),
        ("all=0.5", None, "no degradation 'all'"),
        (" ,", None, "names nothing"),
        ({}, None, "names nothing"),
        ([1], None, "takes names"),
        ("rain,haze", "haze", "haze cannot be both"),
    ],
)
def test_senseless_choices(fix: Any, ignore: Any, message: str) -> None:
    with pytest.raises(PellucidError, match=message):
        read_choice(fix, ignore)


def test_a_model_must_know_what_is_chosen() -> None:
    BLIND.check((), "foreign")
    with pytest.raises(PellucidError, match="foreign has no degradation estimator"):
        read_choice("rain").check((), "foreign")
    with pytest.raises(PellucidError, match="half does not know haze; it knows rain"):
        read_choice("rain", "haze").check(("rain",), "half")


@given(
    st.fixed_dictionaries({name: st.floats(0.0, 1.0) for name in DEGRADATIONS}),
    st.sets(st.sampled_from(DEGRADATIONS)),
    st.sets(st.sampled_from(DEGRADATIONS)),
)
def test_ignored_is_never_restored_and_asked_always_is(
    amounts: dict[str, float], fix: set[str], ignore: set[str]
) -> None:
    found = Found(amounts)
    choice = read_choice(sorted(fix - ignore) or None, sorted(ignore))
    told = choice.apply(found).amounts
    assert all(told[name] == 0.0 for name in ignore)
    assert all(told[name] >= max(ASKED, amounts[name]) for name in fix - ignore)
    assert choice.acts_on(found) == (bool(fix - ignore) or bool(choice.apply(found)))
