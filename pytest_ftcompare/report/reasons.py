"""Reasons that differ only in a share of time, told as one with the range of shares."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHARE = re.compile(r"\d+(?=%)")


def alike(reasons: Iterable[str]) -> dict[str, str]:
    """What is told for each reason: "waited for 7% of the time" and "... 12% ..." are "waited for 7 to 12% of the time"."""
    groups: dict[str, list[str]] = {}
    for one in reasons:
        groups.setdefault(SHARE.sub("", one), []).append(one)
    return {one: _ranged(group) for group in groups.values() for one in group}


def _ranged(group: list[str]) -> str:
    places = zip(*(map(int, SHARE.findall(one)) for one in group), strict=True)
    ranges = iter([f"{min(shares)} to {max(shares)}" if min(shares) < max(shares) else f"{shares[0]}" for shares in places])
    return SHARE.sub(lambda _: next(ranges), group[0])
