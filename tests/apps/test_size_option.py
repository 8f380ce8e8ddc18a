"""--shape goes on meaning the height first, and says what to write."""

import pytest

from pellucid import PellucidError
from pellucid_apps.size_option import sizes_asked_for


def test_shape_is_turned_into_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert sizes_asked_for("640x360", "") == "640x360"
    assert capsys.readouterr().err == ""
    assert sizes_asked_for("640x360", "dynamic, 720x1280") == "dynamic,1280x720"
    told = capsys.readouterr().err
    assert told == "--shape (height first) is old: write --size dynamic,1280x720\n"
    with pytest.raises(PellucidError, match="a size is WIDTHxHEIGHT"):
        sizes_asked_for("", "720")
