"""What the entries of a document say, in words: plain text, for who writes a page of it. Numbers may be missing (None)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pytest_ftcompare.compare.environment_diff import Difference
from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.compare.verdict import WORST_FIRST, repeated
from pytest_ftcompare.report.cost import MOVED, amount
from pytest_ftcompare.report.outcome import NAMES, UNKNOWN, number, sentence
from pytest_ftcompare.results.estimate import Estimate
from pytest_ftcompare.results.result import Json


def counted(count: int, what: str) -> str:
    """ "1 case", "1,204 cases"."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def headline(document: Json) -> str:
    """ "failed: 2 worse, 126 same of 128 cases; 1 changed of 66 claims"."""
    word = "failed" if document["failed"] else "passed"
    counts, claims = document["counts"], [one["verdict"] for one in document["claims"]]
    parts = [", ".join(f"{counts[one]:,} {one}" for one in WORST_FIRST if counts.get(one))]
    parts = (
        [f"{parts[0]} of {counted(len(document['cases']), 'case')}"]
        if parts[0]
        else ["no case ran"]
    )
    if claims:
        words = ", ".join(
            f"{claims.count(one)} {one}"
            for one in ("changed", "new", "noted", "held", "untested")
            if one in claims
        )
        parts.append(f"{words} of {counted(len(claims), 'claim')}")
    return f"{word}: {'; '.join(parts)}"


def comparison(one: Json, *, identical: bool = False) -> str:
    """ "accuracy 82.7% -> 52.3%: -30.4 pt ± 1.0 (noise 1.8 pt, p=1.4e-13, 5 seeds)"."""
    return sentence(ScoreComparison(**one), identical=identical, noise=True)


def cost(one: Json) -> str:
    """ "step 32.5 ms -> 34.9 ms: +7.4% ± 0.8 in yardsticks"."""
    base, new = (
        UNKNOWN if one[name] is None else amount(one[name], one["unit"]) for name in ("base", "new")
    )
    noise = f" ± {100 * one['error']:.1f}" if one["error"] else ""
    how = {"readings": "", "exact": ", counted"}.get(
        one["how"], f" in {one['how']}" if one["unit"] == "s" else f", {one['how']}"
    )
    return f"{one['metric']} {base} -> {new}: {number(one['change'], '+.1%')}{noise}{how}"


def moved(case: Json) -> Iterator[str]:
    """Everything in a case that is not as it was, the gravest first; its scores where there is nothing to compare with."""
    if case["verdict"] == "invalid":
        yield from case["divergences"][:1]
        return
    if case["judge_accuracy"]:
        for outcome in ("worse", "better", *(["open"] if case["verdict"] == "undecided" else [])):
            identical = repeated(case["notes"])
            yield from (
                comparison(one, identical=identical)
                for one in case["comparisons"]
                if one["outcome"] == outcome
            )
    for outcome in MOVED:
        yield from (cost(one) for one in case["costs"] if one["outcome"] == outcome)
    yield from (f"first divergence: {one}" for one in case["divergences"][:1])
    if len(case["divergences"]) > 1:
        yield f"and {counted(len(case['divergences']) - 1, 'more divergence')}"
    if case["verdict"] == "incomparable":
        yield from case["notes"][:1]
    elif not case["comparisons"]:
        yield from (
            f"{NAMES[name]} {number(score, '.1%')}"
            for name, score in case["scores"].items()
            if name in NAMES
        )


def changes(document: Json) -> Iterator[tuple[str, str, int]]:
    """The environment's differences, each once: name, "peft 0.20.0 -> 0.21.2", in how many cases; the commits last.

    Baselines of different age may have a file in different versions: it is edited all the same.
    """
    found: Counter[tuple[str, str]] = Counter()
    for one in sorted(document["changes"], key=lambda one: one["name"] == "commit"):
        found[one["name"], str(Difference(one["name"], one["base"], one["new"]))] += one["cases"]
    yield from ((name, text, cases) for (name, text), cases in found.items())


def turn(claim: Json) -> str:
    """ "was reproduced (+3.1 pt ± 0.4, n 16), is contradicted (-2.0 pt ± 0.5, n 16)"."""
    told = [f"was {_stated(claim['before'])}"] if claim["before"] else []
    if claim["outcome"]:
        told.append(f"is {_stated(claim)}")
    return ", ".join([*told, *([claim["note"]] if claim["note"] else [])])


def _stated(one: Json) -> str:
    estimate = one["estimate"]
    value = UNKNOWN if estimate["value"] is None else str(Estimate(**estimate))
    return f"{one['outcome']} ({value}, n {estimate['n']})"
