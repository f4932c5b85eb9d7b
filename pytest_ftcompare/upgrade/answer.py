"""Make a search's answer: plain JSON data, which the terminal and the reports tell alike."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftcompare.results.result import Json
from pytest_ftcompare.upgrade.bisection import Bisection
from pytest_ftcompare.upgrade.search import Found


def make_answer(bisection: Bisection, found: Found, link: str, seconds: float) -> Json:
    """Return the answer; `document.schema.json` describes its fields.

    `link` says where the package tells its changes.
    """
    labels, states = bisection.labels, found.states
    ends = (found.last_good, found.first_bad)
    reasons = {number: result.reason for number, result in bisection.results.items()}
    return {
        "last_good": labels[found.last_good],
        "first_bad": labels[found.first_bad],
        "link": link,
        "sign": str(bisection.searched),
        "between": [f"{labels[number]} ({states[number]})" for number in found.untried],
        "out_of_order": [
            f"{labels[number]} is {states[number]}" for number in found.contradictions
        ],
        "remarks": list(_remarks(bisection, found)),
        "probability": round(found.probability, 4),
        "tried": len(bisection.results),
        "sessions": bisection.runs.count,
        "seconds": round(seconds, 1),
        "locks": [bisection.entry(number).lock.text().splitlines() for number in ends],
        "entries": [
            {
                "entry": label,
                "state": states.get(number, "not run"),
                "reason": reasons.get(number, ""),
            }
            for number, label in enumerate(labels)
        ],
    }


def _remarks(bisection: Bisection, found: Found) -> Iterator[str]:
    searched = bisection.searched
    assert searched is not None
    first, last = (bisection.results.get(number) for number in (found.first_bad, bisection.last))
    if first is not None and last is not None and bisection.bad_change is None:
        sentences = [
            {sign.text for sign in result.signs if sign.is_like(searched)}
            for result in (first, last)
        ]
        if sentences[0] and sentences[0].isdisjoint(sentences[1]):
            yield (
                f"the failure has other numbers there ({min(sentences[0])}): later entries changed "
                "it again, and --sweep shows all of them"
            )
    if bisection.bad_change is not None:
        unfit = [number for number, state in found.states.items() if state == "other"]
        for number in unfit:
            yield (
                f"{bisection.labels[number]} measures neither nothing nor the whole change: the "
                "history has another change, and --sweep shows all"
            )
    others = {str(sign) for sign in last.signs if not sign.is_like(searched)} if last else set()
    if others:
        yield (
            f"{bisection.labels[-1]} fails in {len(others)} other ways, which are other searches: "
            f"{min(others)}"
        )
