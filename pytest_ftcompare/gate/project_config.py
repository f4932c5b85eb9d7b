"""Read a project's profiles, tasks, methods and judges from `[tool.ftcompare]` in pyproject.toml.

The plugin's options call it, and the command `check`.

[tool.ftcompare.profiles.ours]    # fields of Profile; `base` names the profile that gives the rest
[tool.ftcompare.tasks.tickets]    # a data set with its columns, see tasks/custom.py
[tool.ftcompare.methods]          # name = "path/of/its/file.py"
[tool.ftcompare.judges]           # task = "path/of/its/file.py:function"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

from pytest_ftcompare import methods, tasks
from pytest_ftcompare.gate.profiles import PROFILES, Precision, Profile
from pytest_ftcompare.measure.library_versions import package_files
from pytest_ftcompare.tasks import DataError, Task, files
from pytest_ftcompare.tasks.custom import make_task, split_names
from pytest_ftcompare.tasks.judge import Judge

TABLES = ("profiles", "tasks", "methods", "judges")
# How messages name the types of a profile's fields.
TYPE_NAMES = {
    Mapping: "a table",
    tuple: "a list",
    str: "a text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
}
# Fields of a profile that may have a fraction, although a shipped profile writes 10.
FRACTIONS = [
    profile_field.name for profile_field in fields(Profile) if profile_field.type == "float"
]
# The least value of a profile's numbers.
LEAST = {
    **dict.fromkeys(("seeds", "max_length"), 1),
    **dict.fromkeys(("threads", "test_rows", "memory", "gpu_memory", "window"), 0),
}
PRECISIONS: tuple[str, ...] = get_args(Precision)


class ProjectConfigError(ValueError):
    """`[tool.ftcompare]` has a wrong value; the message says where and what to do."""


@dataclass(frozen=True)
class ProjectConfig:
    """All profiles with the shipped ones, and the project's tasks and methods' files, by name.

    `data` are the tasks' files and their folders of `Dataset.save_to_disk`.
    """

    profiles: Mapping[str, Profile] = field(default_factory=lambda: PROFILES)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    methods: Mapping[str, Path] = field(default_factory=dict)
    data: frozenset[Path] = frozenset()

    def data_files(self) -> Iterator[Path]:
        """Yield the files that the tasks read, those in folders too."""
        for path in self.data:
            yield from package_files(path) if path.is_dir() else (path,)

    def register(self) -> None:
        """Make tasks and methods available by name, like the shipped ones."""
        tasks.ADDED.update(self.tasks)
        methods.ADDED.update(self.methods)

    def unregister(self) -> None:
        """Make them unavailable, for another session in this process."""
        for name in self.tasks:
            tasks.ADDED.pop(name, None)
        for name in self.methods:
            methods.ADDED.pop(name, None)


def read(root: Path) -> ProjectConfig:
    """Read the pyproject.toml in `root`; without one, return the shipped profiles.

    Raise `ProjectConfigError` for a wrong value.
    """
    file = root / "pyproject.toml"
    if not file.is_file():
        return ProjectConfig()
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectConfigError(f"{file} is not TOML ({error})") from None
    tool = _table(content, "tool", f"{file}: ")
    project = _table(tool, "ftcompare", f"{file}: tool.")
    if unknown := sorted(set(project) - set(TABLES)):
        raise ProjectConfigError(
            f"{file}: expected {_join(TABLES)} in [tool.ftcompare], found {unknown[0]}: "
            "options go into [tool.pytest.ini_options]"
        )
    tables = {name: _table(project, name, f"{file}: tool.ftcompare.") for name in TABLES}
    for kind in ("tasks", "methods"):
        for name in tables[kind]:
            if not re.fullmatch(r"[\w.]+", name):
                raise ProjectConfigError(
                    f"{file}, [tool.ftcompare.{kind}]: expected names of letters, digits, _ and ., "
                    f"got {name!r}: dashes separate the parts of a case's name"
                )
    profiles = dict(PROFILES)
    for name, value in tables["profiles"].items():
        profiles[name] = _make_profile(
            name, value, profiles, f"{file}, [tool.ftcompare.profiles.{name}]"
        )
    project_tasks: dict[str, Task] = {}
    data: set[Path] = set()
    for name, value in tables["tasks"].items():
        if name in tasks.NAMES:
            raise ProjectConfigError(
                f"{file}: expected another name than {name} for a task, "
                f"it is taken by tasks/{name}.py"
            )
        try:
            project_tasks[name] = make_task(name, value, root)
            data |= _data_of(value, root.resolve())
        except DataError as error:
            raise ProjectConfigError(f"{file}, [tool.ftcompare.tasks.{name}]: {error}") from None
    for name, value in tables["judges"].items():
        if name not in project_tasks and name not in tasks.NAMES:
            raise ProjectConfigError(
                f"{file}, [tool.ftcompare.judges]: expected a task, no task is called {name!r}"
            )
        task = project_tasks[name] if name in project_tasks else tasks.load(name)
        if not task.generative:
            raise ProjectConfigError(
                f"{file}, [tool.ftcompare.judges]: expected a generative task, {name} has classes"
            )
        project_tasks[name] = replace(task, score=_make_judge(value, root, file))
    return ProjectConfig(
        profiles,
        project_tasks,
        {name: _method_path(name, value, root, file) for name, value in tables["methods"].items()},
        frozenset(data),
    )


def _data_of(table: Mapping[str, Any], root: Path) -> set[Path]:
    """Return the files and `save_to_disk` folders of a table that `make_task` takes."""
    return {
        path for name in split_names(table, root).values() for path in files.files_of(root, name)
    }


def _table(parent: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """Return a table of `parent`, {} if it is missing; raise `ProjectConfigError` for a value."""
    table = parent.get(name, {})
    if not isinstance(table, dict):
        raise ProjectConfigError(f"{where}{name}: expected a table, got {table!r}")
    return table


def _join(names: Any) -> str:
    return ", ".join(names)


def _make_profile(name: str, table: Any, profiles: Mapping[str, Profile], where: str) -> Profile:
    if not isinstance(table, dict):
        raise ProjectConfigError(f"{where}: expected a table, got {table!r}")
    values = dict(table)
    base = values.pop("base", name if name in profiles else "pocket")
    if not isinstance(base, str) or base not in profiles:
        raise ProjectConfigError(
            f"{where}: expected base to be one of {_join(profiles)}, got {base!r}"
        )
    known = {
        profile_field.name: getattr(profiles[base], profile_field.name)
        for profile_field in fields(Profile)
        if profile_field.name != "name"
    }
    if unknown := sorted(set(values) - set(known)):
        raise ProjectConfigError(f"{where}: expected base, {_join(known)}; found {unknown[0]}")
    for key, value in values.items():
        kind = (
            float
            if key in FRACTIONS
            else next(
                type_
                for type_ in TYPE_NAMES
                if isinstance(known[key], type_)
                and (type_ is not int or not isinstance(known[key], bool))
            )
        )
        values[key] = _convert_value(
            value, kind, f"{where}: expected {key} to be {TYPE_NAMES[kind]}, got {value!r}"
        )
        if key in LEAST and values[key] < LEAST[key]:
            raise ProjectConfigError(
                f"{where}: expected {key} to be at least {LEAST[key]}, got {value!r}"
            )
        # A table adds to the base profile's.
        if kind is Mapping:
            values[key] = {**known[key], **values[key]}
    if not all(isinstance(model, str) for model in values.get("models", ())):
        raise ProjectConfigError(
            f"{where}: expected models to be hub ids, got {list(values['models'])!r}"
        )
    if values.get("precision", PRECISIONS[0]) not in PRECISIONS:
        raise ProjectConfigError(
            f"{where}: expected precision to be one of {_join(PRECISIONS)}, "
            f"got {values['precision']!r}"
        )
    for shots_name, numbers in values.get("shots", {}).items():
        values["shots"][shots_name] = tuple(numbers) if isinstance(numbers, list) else numbers
    return replace(profiles[base], name=name, **values)


def _convert_value(value: Any, kind: type, message: str) -> Any:
    """Return `value` as `kind`; raise `ProjectConfigError` with the message if it cannot be."""
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (kind is int and isinstance(value, bool)) or not isinstance(value, kind):
        raise ProjectConfigError(message)
    return value


def _make_judge(value: Any, root: Path, file: Path) -> Judge:
    path, _, function = str(value).rpartition(":")
    if not (root / path).is_file() or not function.isidentifier():
        raise ProjectConfigError(
            f"{file}, [tool.ftcompare.judges]: expected a file and its function, "
            f"'ours/judge.py:score', got {value!r}"
        )
    return Judge(root / path, function)


def _method_path(name: str, value: Any, root: Path, file: Path) -> Path:
    if name in methods.NAMES:
        raise ProjectConfigError(
            f"{file}: expected another name than {name} for a method, "
            f"it is taken by methods/{name}.py"
        )
    path = root / str(value)
    if path.suffix != ".py" or not path.is_file():
        raise ProjectConfigError(
            f"{file}, [tool.ftcompare.methods]: expected the Python file of {name} at {path}, "
            "there is none"
        )
    return path
