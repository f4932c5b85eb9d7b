"""What changed between the environment of a baseline and that of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ABSENT = "absent"  # what stands for an entry that one side does not have


@dataclass(frozen=True)
class Difference:
    """One entry of the environment that is not what it was."""

    name: str
    base: str
    new: str

    @property
    def is_code(self) -> bool:
        """The project's own code: the subject of the comparison, so it never excuses a changed result."""
        return self.name == "commit" or "/" in self.name

    def __str__(self) -> str:
        if "/" in self.name:
            return f"{self.name} edited"
        return f"{self.name} {self.base} -> {self.new}"


def differences(base: Mapping[str, object], new: Mapping[str, object]) -> list[Difference]:
    """Entries that differ: packages and machine first, then code, the commit last."""
    names = sorted(set(base) | set(new))
    found = [
        Difference(name, str(base.get(name, ABSENT)), str(new.get(name, ABSENT)))
        for name in names
        if base.get(name, ABSENT) != new.get(name, ABSENT)
    ]
    return sorted(found, key=lambda one: (one.name == "commit", one.is_code, one.name))


HARDWARE_ENTRIES = frozenset(
    {"cpu", "instruction set", "machine"}
)  # what runs the software, not the software
# These move numbers by rounding only, or not at all: the first steps stay within their tolerance, so they excuse nothing.
ROUNDING_ENTRIES = HARDWARE_ENTRIES | {"python", "threads", "yardstick", "torch build"}


def has_library_change(found: list[Difference]) -> bool:
    """Whether something changed that may draw other random numbers: a version of a library, or the device."""
    return any(not one.is_code and one.name not in ROUNDING_ENTRIES for one in found)


def nothing_changed(changes: Sequence[Difference]) -> bool:
    """Whether software, hardware and options are what they were; a machine's name and the commit compute nothing."""
    return all(change.name in ("commit", "machine") for change in changes)


def software_changed(changes: Sequence[Difference]) -> bool:
    """Whether a library, a driver, an option or a file that the case executes is not what it was.

    A commit says nothing of what the case executes; the digests of its files do.
    """
    return any(change.name != "commit" and change.name not in HARDWARE_ENTRIES for change in changes)
