"""Find the options that pytest reads in a project's folder, without starting pytest.

`start_project.py` asks where they are, `check_project.py` takes its defaults from them. pytest's
documentation has the files and their order
(docs.pytest.org/en/stable/reference/customize.html).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Files that pytest reads even without options in them.
PYTEST_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
# pytest's first major version that reads pytest.toml and [tool.pytest]; earlier ones ignore both.
FIRST_NATIVE_TOML = 9
# Other tools' files, and the section that pytest reads if it is there.
SHARED_FILES = {"tox.ini": "pytest", "setup.cfg": "tool:pytest"}


class PytestOptionsError(ValueError):
    """A file of pytest's options cannot be read; the message names it and says why."""


@dataclass(frozen=True)
class PytestOptions:
    """The file from which pytest reads its options, its table there, and the options.

    `file` is None if no file of the folder has any.
    """

    file: Path | None = None
    table: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def read_options(root: Path) -> PytestOptions:
    """Return the options that pytest reads if it runs in `root`."""
    native_toml = int(version("pytest").split(".")[0]) >= FIRST_NATIVE_TOML
    for name in PYTEST_FILES:
        if name.endswith(".toml") and not native_toml:
            continue
        if (file := root / name).is_file():
            values = _toml(file) if file.suffix == ".toml" else _ini(file)
            return PytestOptions(file, "pytest", values.get("pytest", {}))
    if (file := root / "pyproject.toml").is_file():
        table = _toml(file).get("tool", {}).get("pytest", {})
        native = {name: value for name, value in table.items() if name != "ini_options"}
        if native and native_toml:
            return PytestOptions(file, "tool.pytest", native)
        if "ini_options" in table:
            return PytestOptions(file, "tool.pytest.ini_options", table["ini_options"])
    for name, section in SHARED_FILES.items():
        if (file := root / name).is_file() and section in (values := _ini(file)):
            return PytestOptions(file, section, values[section])
    return PytestOptions()


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PytestOptionsError(f"{file} is not TOML ({error}): correct it first") from None


def _ini(file: Path) -> dict[str, dict[str, str]]:
    """Return the sections of an INI file; it needs no values, as a tool's section may lack them."""
    parser = ConfigParser(interpolation=None, allow_no_value=True, strict=False)
    try:
        parser.read_string(file.read_text(encoding="utf-8"), source=file.name)
    except (IniError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise PytestOptionsError(f"{file} is not INI ({reason}): correct it first") from None
    return {name: dict(parser[name]) for name in parser.sections()}
