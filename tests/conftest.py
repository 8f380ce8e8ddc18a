"""Fixtures that several folders share."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from fakes import card, strided_model


@pytest.fixture(scope="session")
def write_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, dict[str, str]], Path]:
    folder = tmp_path_factory.mktemp("models")

    def write(name: str, metadata: dict[str, str]) -> Path:
        onnx.save(strided_model(metadata), folder / name)
        return folder / name

    return write


@pytest.fixture(scope="session")
def model_file(write_model: Callable[[str, dict[str, str]], Path]) -> Path:
    return write_model("fake.onnx", {"pellucid.config": card()})
