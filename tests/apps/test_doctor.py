"""`pellucid doctor`: optional engines."""

import sys

import pytest

from pellucid_apps import doctor


def test_openvino_devices_are_named() -> None:
    pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    found = doctor._openvino_devices()
    assert found.state == "ok" and "CPU" in found.what


def test_a_broken_openvino_is_a_note_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # importing it raises
    found = doctor._openvino_devices()
    assert found.state == "note" and "reinstall openvino" in found.fix
