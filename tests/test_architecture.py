"""The import rules of the layout, read from the sources."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TORCH = {"torch", "transformers", "peft", "datasets", "bitsandbytes", "safetensors"}
# Folder or file -> packages that it must not import at all, not even inside a function.
FORBIDDEN = {
    "methods": {"pytest", "_pytest", "pytest_ftcompare.plugin", "pytest_ftcompare.compare"},
    "pytest_ftcompare/compare": {*TORCH, "pytest", "_pytest", "pytest_ftcompare.experiment", "methods"},
    "pytest_ftcompare/experiment": {"pytest", "_pytest", "pytest_ftcompare.plugin", "pytest_ftcompare.compare"},
    "pytest_ftcompare/tasks": {*TORCH, "pytest", "_pytest", "methods", "pytest_ftcompare.experiment"},
    "pytest_ftcompare/report": {*TORCH, "pytest", "_pytest", "methods", "pytest_ftcompare.experiment"},
    "pytest_ftcompare/history": {*TORCH, "pytest", "_pytest", "methods", "pytest_ftcompare.experiment"},
    "pytest_ftcompare/result.py": {*TORCH, "pytest", "_pytest"},
    "pytest_ftcompare/gate.py": {"pytest", "_pytest"},
    "pytest_ftcompare/bench.py": {"pytest", "_pytest"},
    "pytest_ftcompare/kept.py": {"pytest", "_pytest"},
    "pytest_ftcompare/evidence.py": {"pytest", "_pytest"},
    "pytest_ftcompare/measure": {"pytest", "_pytest", "pytest_ftcompare.plugin", "pytest_ftcompare.compare"},
}
# What may not be imported while options are parsed or cases are collected.
LAZY = (
    "plugin.py",
    "benchmarks.py",
    "bench.py",
    "options.py",
    "parametrize.py",
    "profiles.py",
    "case.py",
    "gate.py",
    "arms.py",
    "cases.py",
    "claims.py",
    "item.py",
    "evidence.py",
    "kept.py",
    "session.py",
    "runs.py",
    "collector.py",
    "run_key.py",
    "reports.py",
    "told.py",
    "progress.py",
    "hub.py",
    "live.py",
)


def imports(file, *, top_only=False):
    tree = ast.parse(file.read_text())
    typing_only = {
        id(one)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for one in ast.walk(node)
    }
    for node in tree.body if top_only else ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def files(place):
    path = ROOT / place
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def breaks(name, forbidden):
    return any(name == one or name.startswith(f"{one}.") for one in forbidden)


@pytest.mark.parametrize("place", FORBIDDEN)
def test_no_file_imports_what_its_side_must_not_know(place):
    found = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files(place)
        for name in imports(file)
        if breaks(name, FORBIDDEN[place])
    ]
    assert not found


def test_methods_are_reached_by_the_name_that_an_installed_package_has_too():
    assert not [
        file for file in files("pytest_ftcompare") if breaks("methods", set(imports(file))) or "methods.base" in imports(file)
    ]


def test_nobody_imports_the_plugin():
    everywhere = [*files("pytest_ftcompare"), *files("methods"), *files("suites")]
    assert not [file for file in everywhere if "pytest_ftcompare.plugin" in set(imports(file))]


@pytest.mark.parametrize("name", LAZY)
def test_what_runs_before_a_case_imports_no_torch_at_its_top(name):
    assert not [one for one in imports(ROOT / "pytest_ftcompare" / name, top_only=True) if breaks(one, TORCH)]


def test_every_module_says_what_it_is_for_and_is_called_for_it():
    everywhere = [*files("pytest_ftcompare"), *files("methods"), *files("suites")]
    assert not [file for file in everywhere if not ast.get_docstring(ast.parse(file.read_text()))]
    assert not [file for file in everywhere if file.stem in {"utils", "helpers", "common", "misc"}]


def test_no_two_files_of_tests_have_one_name():
    """pytest imports them by their names alone, and refuses the second."""
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_a_rule_that_is_broken_is_seen(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text("def f():\n    from torch import nn\n")
    assert any(breaks(name, TORCH) for name in imports(file))


def test_every_method_file_is_named_and_every_name_has_a_file():
    from pytest_ftcompare import methods

    present = {file.stem for file in (ROOT / "methods").glob("*.py")} - {"__init__", "base", "through_peft"}
    assert present == {methods.FILES.get(name, name) for name in methods.NAMES}


@pytest.mark.parametrize("file", sorted((ROOT / "methods").glob("*.py")), ids=lambda one: one.stem)
def test_a_methods_file_can_be_read_without_torch(file):
    assert not [one for one in imports(file, top_only=True) if breaks(one, TORCH)]
