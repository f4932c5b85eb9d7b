"""Values in a sentence: short ones as they are, long structures cut. For signs and for notes about imported settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftcompare.results.result import digest

LONG = 100  # characters of a value above which a sentence cuts it
KEPT = 50  # characters of such a value that the sentence keeps


def brief(value: object) -> str:
    """A value as a sentence shows it: a long structure is cut, with a digest of the whole, which its file holds."""
    text = str(value)
    if len(text) <= LONG:
        return text
    return f"{text[:KEPT]}… (cut: {len(text):,} characters, digest {digest(text)[:8]}, whole in its JSON file)"


def turn(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> str:
    """ "0.005 -> 0.05"."""
    return f"{brief(before.get(name, 'absent'))} -> {brief(after.get(name, 'absent'))}"
