"""Check that pyproject.toml's lower bounds are the tested versions of constraints-oldest.txt."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
# Developers' tools, with their lower bounds in constraints.txt.
TOOLS = {"mypy", "playwright", "ruff", "uv"}


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for lines in lists for line in lines]


def pinned(name):
    lines = (ROOT / "baselines/cpu" / name).read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): next(iter(pin.specifier)) for pin in pins}


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_a_declared_lower_bound_is_the_oldest_version_tried(requirement):
    [bound] = requirement.specifier
    name = canonicalize_name(requirement.name)
    pin = pinned("constraints.txt" if name in TOOLS else "constraints-oldest.txt")[name]
    assert (bound.operator, pin.operator) == (">=", "==")
    assert Version(bound.version) == Version(pin.version)


def test_the_oldest_versions_are_no_newer_than_those_of_the_baselines():
    newest = pinned("constraints.txt")
    newer = [
        name
        for name, pin in pinned("constraints-oldest.txt").items()
        if name in newest and Version(pin.version) > Version(newest[name].version)
    ]
    assert newer == []
