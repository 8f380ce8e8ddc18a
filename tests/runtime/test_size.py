"""One parser of sizes: the width first, as people write them."""

import pytest

from pellucid import PellucidError
from pellucid.size import parse_size, rounded_up, size_text


def test_the_width_comes_first() -> None:
    assert parse_size("1280x720") == (720, 1280)
    assert parse_size(" 64X48 ") == (48, 64)
    assert size_text(parse_size("1x16384")) == "1x16384"
    assert rounded_up((1080, 1920), 16) == (1088, 1920)


@pytest.mark.parametrize("text", ["", "720", "720x", "720,1280", "-1x5", "1x2x3", "١x٢"])
def test_texts_that_are_no_size(text: str) -> None:
    with pytest.raises(PellucidError, match=f"a size is WIDTHxHEIGHT .*, got '{text}'"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0x5", "5x0", "7x9", "16385x9", "99999999x99999999"])
def test_sizes_out_of_bounds(text: str) -> None:
    with pytest.raises(PellucidError, match=f"size {text}: its sides must be 8 to 16384"):
        parse_size(text, least=8)
