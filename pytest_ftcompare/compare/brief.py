"""Show values in a sentence: cut long ones. Divergences and notes about settings use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftcompare.results.result import digest

# Characters of a value: a longer value is cut to `CUT_LENGTH`. Chosen for readable sentences.
MAX_LENGTH = 100
CUT_LENGTH = 50


def shorten(value: object) -> str:
    """Return a value as text. A long text is cut, with a digest of the whole."""
    text = str(value)
    if len(text) <= MAX_LENGTH:
        return text
    return (
        f"{text[:CUT_LENGTH]}… (cut: {len(text):,} characters, digest {digest(text)[:8]}, "
        "whole in its JSON file)"
    )


def describe_change(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> str:
    """Return the change of an entry, such as "0.005 -> 0.05"."""
    return f"{shorten(before.get(name, 'absent'))} -> {shorten(after.get(name, 'absent'))}"
