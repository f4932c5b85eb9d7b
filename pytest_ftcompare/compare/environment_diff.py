"""List what changed between the environments of a baseline and a run, and say what it may excuse.

All comparisons in this folder and the gate call it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_ftcompare.results.baseline_store import DISTRIBUTIONS

# Value that a sentence shows for an entry that one side lacks.
ABSENT = "absent"
# Entries that are no difference: all distributions count, but only the libraries of other entries
# compute anything.
NOT_COMPARED = frozenset({DISTRIBUTIONS})


def is_source_file(name: str) -> bool:
    """Check whether an entry of the environment is a digest of source files."""
    return "/" in name or name.startswith("judge ")


@dataclass(frozen=True)
class Difference:
    """One entry of the environment with two values."""

    name: str
    base: str
    new: str

    @property
    def is_code(self) -> bool:
        """True for this project's own code, which the gate tests, so it excuses no result."""
        return self.name == "commit" or is_source_file(self.name)

    def __str__(self) -> str:
        if is_source_file(self.name):
            return f"{self.name} edited"
        return f"{self.name} {self.base} -> {self.new}"


def differences(base: Mapping[str, object], new: Mapping[str, object]) -> list[Difference]:
    """Return the entries that differ: packages and machine first, then code, the commit last."""
    names = sorted((set(base) | set(new)) - NOT_COMPARED)
    changes = [
        Difference(name, str(base.get(name, ABSENT)), str(new.get(name, ABSENT)))
        for name in names
        if base.get(name, ABSENT) != new.get(name, ABSENT)
    ]
    return sorted(
        changes, key=lambda change: (change.name == "commit", change.is_code, change.name)
    )


# Entries about the hardware that runs the software.
HARDWARE_ENTRIES = frozenset({"cpu", "instruction set", "machine"})
# Entries that change results by rounding only, or not at all. The first steps stay within their
# tolerance, so these entries excuse nothing.
ROUNDING_ENTRIES = HARDWARE_ENTRIES | {"python", "threads", "yardstick", "torch build"}


def has_library_change(changes: list[Difference]) -> bool:
    """Check whether a library's version or the device changed.

    Either may draw other random numbers.
    """
    return any(not change.is_code and change.name not in ROUNDING_ENTRIES for change in changes)


def nothing_changed(changes: Sequence[Difference]) -> bool:
    """Check whether software, hardware and options are unchanged.

    A machine's name and the commit compute nothing, so they may differ.
    """
    return all(change.name in ("commit", "machine") for change in changes)


def software_changed(changes: Sequence[Difference]) -> bool:
    """Check whether a library, a driver, an option or a file that the case executes changed.

    The commit does not count: the digests of the executed files do.
    """
    return any(
        change.name != "commit" and change.name not in HARDWARE_ENTRIES for change in changes
    )
