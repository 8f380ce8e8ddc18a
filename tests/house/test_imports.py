"""No circular imports among our modules, those inside functions and for types included."""

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

PACKAGES = ("pellucid", "pellucid_teacher", "pellucid_student", "pellucid_export", "pellucid_apps")


def check_acyclic(imports: dict[str, set[str]]) -> None:
    """Raises CycleError whose args[1] is the circle, each module imported by the next."""
    TopologicalSorter(imports).prepare()


def test_no_module_imports_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert sum(map(len, imports.values())) > 300  # it has read the tree
    check_acyclic(imports)


def test_this_check_can_fail() -> None:
    with pytest.raises(CycleError):
        check_acyclic({"a": {"b"}, "b": {"c"}, "c": {"a"}})
