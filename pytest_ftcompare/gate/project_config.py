"""What a project's pyproject.toml adds, under `[tool.ftcompare]`: its profiles, data sets, methods and judges.

[tool.ftcompare.profiles.ours]           # the fields of Profile; `base` names the profile that gives the rest
[tool.ftcompare.tasks.tickets]           # a data set with its columns, see tasks/custom.py
[tool.ftcompare.methods]                 # name = "path/of/its/file.py"
[tool.ftcompare.judges]                  # task = "path/of/its/file.py:function"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pytest_ftcompare import methods, tasks
from pytest_ftcompare.gate.profiles import PROFILES, Profile
from pytest_ftcompare.tasks import DataError, Task
from pytest_ftcompare.tasks.custom import make_task
from pytest_ftcompare.tasks.judge import Judge

KEYS = ("profiles", "tasks", "methods", "judges")
WORDS = {
    Mapping: "a table",
    tuple: "a list",
    str: "a text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
}


class ProjectConfigError(ValueError):
    """The table `[tool.ftcompare]` says something that cannot be; the message says what, where, and what to do."""


@dataclass(frozen=True)
class ProjectConfig:
    """The additions: all profiles by name, the shipped ones with them; the project's tasks; the files of its methods."""

    profiles: Mapping[str, Profile] = field(default_factory=lambda: PROFILES)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    methods: Mapping[str, Path] = field(default_factory=dict)

    def register(self) -> None:
        """From here on, the tasks and methods have names like the shipped ones."""
        tasks.ADDED.update(self.tasks)
        methods.ADDED.update(self.methods)

    def unregister(self) -> None:
        """The names of another session's additions mean nothing."""
        for one in self.tasks:
            tasks.ADDED.pop(one, None)
        for one in self.methods:
            methods.ADDED.pop(one, None)


def read(root: Path) -> ProjectConfig:
    """What the pyproject.toml in `root` adds; nothing where there is none."""
    file = root / "pyproject.toml"
    if not file.is_file():
        return ProjectConfig()
    try:
        tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectConfigError(f"{file} is not TOML ({error})") from None
    table = tool.get("ftcompare", {})
    if unknown := sorted(set(table) - set(KEYS)):
        raise ProjectConfigError(
            f"{file}: expected {_list(KEYS)} in [tool.ftcompare], found {unknown[0]}: options go into [tool.pytest.ini_options]"
        )
    profiles = dict(PROFILES)
    for name, given in table.get("profiles", {}).items():
        profiles[name] = _profile(
            name, given, profiles, f"{file}, [tool.ftcompare.profiles.{name}]"
        )
    made = {}
    for name, given in table.get("tasks", {}).items():
        if name in tasks.NAMES:
            raise ProjectConfigError(
                f"{file}: expected another name than {name} for a task, it is taken by tasks/{name}.py"
            )
        try:
            made[name] = make_task(name, given, root)
        except DataError as error:
            raise ProjectConfigError(f"{file}, [tool.ftcompare.tasks.{name}]: {error}") from None
    for name, given in table.get("judges", {}).items():
        if name not in made and name not in tasks.NAMES:
            raise ProjectConfigError(
                f"{file}, [tool.ftcompare.judges]: expected a task, no task is called {name!r}"
            )
        judged = made[name] if name in made else tasks.load(name)
        if not judged.generative:
            raise ProjectConfigError(
                f"{file}, [tool.ftcompare.judges]: expected a task whose answers are written, {name} has classes"
            )
        made[name] = replace(judged, score=_judge(given, root, file))
    return ProjectConfig(
        profiles,
        made,
        {
            name: _method(name, given, root, file)
            for name, given in table.get("methods", {}).items()
        },
    )


def _list(names: Any) -> str:
    return ", ".join(names)


def _profile(name: str, given: Any, profiles: Mapping[str, Profile], where: str) -> Profile:
    if not isinstance(given, dict):
        raise ProjectConfigError(f"{where}: expected a table, got {given!r}")
    values = dict(given)
    base = values.pop("base", name if name in profiles else "pocket")
    if base not in profiles:
        raise ProjectConfigError(
            f"{where}: expected base to be one of {_list(profiles)}, got {base!r}"
        )
    known = {
        one.name: getattr(profiles[base], one.name) for one in fields(Profile) if one.name != "name"
    }
    if unknown := sorted(set(values) - set(known)):
        raise ProjectConfigError(f"{where}: expected base, {_list(known)}; found {unknown[0]}")
    for key, value in values.items():
        kind = next(
            one
            for one in WORDS
            if isinstance(known[key], one) and (one is not int or not isinstance(known[key], bool))
        )
        values[key] = _value(
            value, kind, f"{where}: expected {key} to be {WORDS[kind]}, got {value!r}"
        )
        if kind is Mapping:  # what the base names stays, unless it is named again
            values[key] = {**known[key], **values[key]}
    for what, numbers in values.get("shots", {}).items():
        values["shots"][what] = tuple(numbers) if isinstance(numbers, list) else numbers
    return replace(profiles[base], name=name, **values)


def _value(value: Any, kind: type, otherwise: str) -> Any:
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (kind is int and isinstance(value, bool)) or not isinstance(value, kind):
        raise ProjectConfigError(otherwise)
    return value


def _judge(given: Any, root: Path, file: Path) -> Judge:
    path, _, function = str(given).rpartition(":")
    if not (root / path).is_file() or not function.isidentifier():
        raise ProjectConfigError(
            f"{file}, [tool.ftcompare.judges]: expected a file and its function, 'ours/judge.py:score', got {given!r}"
        )
    return Judge(root / path, function)


def _method(name: str, given: Any, root: Path, file: Path) -> Path:
    if name in methods.NAMES:
        raise ProjectConfigError(
            f"{file}: expected another name than {name} for a method, it is taken by methods/{name}.py"
        )
    path = root / str(given)
    if path.suffix != ".py" or not path.is_file():
        raise ProjectConfigError(
            f"{file}, [tool.ftcompare.methods]: expected the Python file of {name} at {path}, there is none"
        )
    return path
