"""Check the layers of the package: what may import what, and what an import loads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "pytest_ftcompare"
# The layers from the bottom up. A file imports from its own layer and earlier ones, also inside
# functions and for type checkers.
LAYERS = (
    *("results", "compare", "pocket", "tasks", "methods", "training", "checks", "measure"),
    *("environments", "gate", "report", "plugin", "upgrade"),
)
TORCH = {"torch", "transformers", "peft", "datasets", "bitsandbytes", "safetensors"}
PYTEST = {"pytest", "_pytest"}
# Packages that importing a layer or a file must not load, also indirectly.
UNLOADED = {
    "results": TORCH | PYTEST,
    "compare": TORCH | PYTEST,
    "pocket": TORCH | PYTEST,
    "tasks": TORCH | PYTEST,
    "methods": PYTEST,
    "training": PYTEST,
    "checks": PYTEST,
    "measure": PYTEST,
    "environments": TORCH | PYTEST,
    "gate": PYTEST,
    "report": TORCH | PYTEST,
    "plugin": TORCH,
    "upgrade": TORCH | PYTEST,
    "gate.run_case": TORCH,
    "gate.session": TORCH,
    "methods.base": TORCH,
    "__main__": TORCH | PYTEST,
}
MAKES_MODELS = {"pocket.pretrain", "pocket.tokenizer"}  # run by scripts/make_pocket.py alone


class Import(NamedTuple):
    name: str  # of a module
    loads: bool  # on import of the module: not inside a function or for type checkers alone


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(
        part for part in (parts if parts[0] == PACKAGE else (PACKAGE, *parts)) if part != "__init__"
    )


FILES = {
    _name(file): file
    for place in (PACKAGE, "methods")
    for file in sorted((ROOT / place).rglob("*.py"))
    if not any(folder.is_symlink() for folder in file.parents)
}


def read_imports(name: str, file: Path) -> Iterator[Import]:
    """Yield the imports of a file, with relative ones resolved."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing = {
        id(node) for test in ast.walk(tree) if _is_for_typing(test) for node in ast.walk(test)
    }
    functions = {
        id(node)
        for definition in ast.walk(tree)
        if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(definition)
    }
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        loads = id(node) not in typing and id(node) not in functions
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, loads) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = (
                package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            )
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(
                    f"{module}.{alias.name}" if f"{module}.{alias.name}" in FILES else module, loads
                )


def _is_for_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


@cache
def imports(name: str) -> frozenset[Import]:
    return frozenset(read_imports(name, FILES[name]))


def layer_of(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def loaded_with(name: str) -> set[str]:
    """Return what importing a module loads: itself, its packages, and their top-level imports."""
    loaded: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module in loaded:
            continue
        loaded.add(module)
        if module in FILES:
            waiting += [package for package in _packages(module) if package in FILES]
            waiting += [entry.name for entry in imports(module) if entry.loads]
    return loaded


def _packages(module: str) -> Iterator[str]:
    while module := module.rpartition(".")[0]:
        yield module


def upward(name: str) -> list[str]:
    """Return the modules of later layers that a file imports."""
    if layer_of(name) not in LAYERS:
        return []
    height = LAYERS.index(layer_of(name))
    others = {entry.name for entry in imports(name) if entry.name in FILES} - {PACKAGE}
    return sorted(other for other in others if layer_of(other) not in LAYERS[: height + 1])


def test_every_file_is_in_a_layer_of_the_list():
    outside = {layer_of(name) for name in FILES} - set(LAYERS)
    assert outside == {"", "__main__"}


def test_no_file_imports_from_a_later_layer():
    assert not {(name, other) for name in FILES for other in upward(name)}


def test_no_files_import_each_other_in_a_circle():
    """Imports inside functions and for type checkers count too: they could hide a circle."""
    assert not [name for name in FILES if name in _reached_from(name)]


def _reached_from(name: str) -> set[str]:
    reached: set[str] = set()
    waiting = [entry.name for entry in imports(name) if entry.name in FILES and entry.name != name]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += [entry.name for entry in imports(module) if entry.name in FILES]
    return reached


@pytest.mark.parametrize("place", UNLOADED)
def test_importing_a_layer_loads_no_forbidden_package(place):
    for name in FILES:
        if (
            f"{name}.".startswith(f"{PACKAGE}.{place}.")
            and name.removeprefix(f"{PACKAGE}.") not in MAKES_MODELS
        ):
            packages = {module.partition(".")[0] for module in loaded_with(name)}
            assert not packages & UNLOADED[place], name


def test_methods_have_one_name():
    """A link puts methods/ into the package: a second name would make a second class."""
    assert (ROOT / PACKAGE / "methods").resolve() == ROOT / "methods"
    assert not [
        name for name in FILES for entry in imports(name) if entry.name.split(".")[0] == "methods"
    ]


def test_every_module_has_a_docstring_and_a_name_that_says_its_purpose():
    everywhere = [
        *FILES.values(),
        *(ROOT / "suites").glob("*.py"),
        *(ROOT / "scripts").glob("*.py"),
    ]
    assert not [
        file
        for file in everywhere
        if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not [file for file in everywhere if file.stem in {"utils", "helpers", "common", "misc"}]


def test_the_top_of_the_package_has_its_layers_and_two_files():
    entries = {path.name for path in (ROOT / PACKAGE).iterdir() if path.name != "__pycache__"}
    assert entries == {"__init__.py", "__main__.py", *LAYERS}


def test_no_two_files_of_tests_have_one_name():
    """pytest imports test files by name alone and refuses a second one."""
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_a_broken_rule_is_found(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import peft\n"
        "def f():\n    from torch import nn\n"
    )
    assert set(read_imports(f"{PACKAGE}.compare.bad", file)) == {
        Import("typing", True),
        Import("peft", False),
        Import("torch", False),
    }


def test_every_method_file_is_named_and_every_name_has_a_file():
    from pytest_ftcompare import methods

    present = {file.stem for file in (ROOT / "methods").glob("*.py")} - {
        "__init__",
        "base",
        "through_peft",
    }
    assert present == {methods.FILES.get(name, name) for name in methods.NAMES}


@pytest.mark.parametrize(
    "file", sorted((ROOT / "methods").glob("*.py")), ids=lambda file: file.stem
)
def test_a_methods_file_is_read_without_torch(file):
    """Collection reads it."""
    assert not {module.partition(".")[0] for module in loaded_with(_name(file))} & TORCH
