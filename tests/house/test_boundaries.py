"""The house: who may import whom, and that `import pellucid` stays light."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pellucid

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "onnx", "typer", "rich", "PIL", "matplotlib", "openvino")


def loaded_after(code: str) -> set[str]:
    """Heavy packages that a fresh interpreter holds after `code`."""
    report = f"{code}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_the_runtime_loads_nothing_heavy() -> None:
    code = "import numpy; from pellucid import Restorer; Restorer()(numpy.zeros((8, 8, 3)))"
    assert loaded_after(code) == set()


def test_this_check_can_fail() -> None:
    assert loaded_after("import rich, pellucid") == {"rich"}


def test_commands_load_no_torch() -> None:
    assert "torch" not in loaded_after("import pellucid_apps.cli")


def test_public_names_are_true() -> None:
    assert sorted(pellucid.__all__) == pellucid.__all__
    assert all(hasattr(pellucid, name) for name in pellucid.__all__)


def test_import_layers_are_kept() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert "2 kept, 0 broken" in done.stdout


def test_version_is_told_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == pellucid.__version__


@pytest.mark.parametrize(
    "source", sorted(ROOT.glob("[!.]*/pellucid*/**/*.py")), ids=lambda p: p.name
)
def test_files_stay_short(source: Path) -> None:
    assert len(source.read_text().splitlines()) <= 400


def test_readme_commands_exist() -> None:
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in text and f"\n{target}:" in makefile


def test_files_that_are_named_exist() -> None:
    """In READMEs, docs and docstrings; the log tells of its own day."""
    sources = [*ROOT.glob("[!.]*/pellucid*/**/*.py"), *ROOT.glob("bench/*.py")]
    beside = {path.name for path in [*ROOT.glob("*/*.py"), *ROOT.glob("tests/*/*.py")]}
    known = {path.name for path in sources} | beside | {"utils.py"}  # the one that shall not be
    pages = [*ROOT.glob("*.md"), *ROOT.glob("[!.]*/**/README.md"), *ROOT.glob("docs/*.md")]
    texts = [path for path in pages if "log" not in path.parts] + sources
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts
        for name in re.findall(r"\b[a-z_]+\.py\b", path.read_text(encoding="utf-8"))
        if name not in known
    }
    assert missing == set()
