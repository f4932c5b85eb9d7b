"""Read the requirements that an environment breaks from what `pip check` and `uv pip check` print.

New environments have no installer (lock.py), so a requirement of pip or uv is none that they break.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

from pytest_ftcompare.environments.lock import INSTALLERS

# pip: "peft 0.20.0 requires torch, which is not installed." and
# "peft 0.20.0 has requirement torch<2, but you have torch 2.13.0."
PIP_CONFLICT = re.compile(
    r"^(?P<package>\S+) \S+ (?:requires (?P<missing>.+), which is not installed"
    r"|has requirement (?P<broken>.+), but you have )"
)
# uv: "The package `peft` requires `torch<2`, but `2.13.0` is installed"
UV_CONFLICT = re.compile(r"^The package `(?P<package>[^`]+)` requires `(?P<requirement>[^`]+)`")
NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Conflict:
    """A requirement that a package's environment breaks, with the installer's sentence.

    The sentence names installed versions, so two conflicts are equal without it.
    """

    package: str
    requirement: str
    text: str = field(compare=False)

    @property
    def is_about_installer(self) -> bool:
        """Return whether pip or uv is missing or too old, or lacks something itself."""
        match = NAME.match(self.requirement)
        names = {self.package, match[0] if match else ""}
        return any(canonicalize_name(name) in INSTALLERS for name in names)


def read_pip(output: str) -> list[Conflict]:
    """Return the conflicts in what `pip check` printed, one a line."""
    conflicts = []
    for line in filter(None, map(str.strip, output.splitlines())):
        if match := PIP_CONFLICT.match(line):
            requirement = match["missing"] or match["broken"]
            conflicts.append(Conflict(match["package"], requirement, line))
        else:
            # Such as "peft 0.20.0 is not supported on this platform".
            conflicts.append(Conflict(line, "", line))
    return conflicts


def read_uv(output: str) -> list[Conflict]:
    """Return the conflicts in what `uv pip check` printed beside other lines."""
    matches = map(UV_CONFLICT.match, output.splitlines())
    return [Conflict(match[1], match[2], match.string) for match in matches if match]
