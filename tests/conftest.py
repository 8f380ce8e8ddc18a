"""Fixtures that several folders share."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
from fakes import card, doubling_model, estimator_model, strided_model

pytest_plugins = ["web_fixtures"]


@pytest.fixture(scope="session", autouse=True)
def graphs_are_kept() -> Iterator[None]:
    """Only if tests that were collected export: torch loads slowly."""
    if "pellucid_export.onnx.file" not in sys.modules:
        yield
        return
    from traced_graphs import traced_once

    with traced_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def banks_are_small() -> Iterator[None]:
    if (compound := sys.modules.get("pellucid_teacher.data.compound")) is None:
        yield
        return
    from tiny_training import SMALL_BANKS

    with pytest.MonkeyPatch.context() as patch:
        for name, count in SMALL_BANKS.items():
            patch.setattr(compound, name, count)
        yield


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


@pytest.fixture(scope="session")
def estimator_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with an estimator, both with known answers (fakes.estimator_model)."""
    path = tmp_path_factory.mktemp("models") / "estimator.onnx"
    onnx.save(estimator_model(), path)
    return path


@pytest.fixture
def double(tmp_path: Path) -> Path:
    """A model that enlarges: each pixel becomes 2 x 2 alike. A test's own, which may change it."""
    onnx.save(doubling_model(), tmp_path / "double.onnx")
    return tmp_path / "double.onnx"
