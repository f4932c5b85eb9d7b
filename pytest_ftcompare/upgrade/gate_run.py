"""Run the failing tests in an environment, and say how they fail.

`bisection.py` calls it for each entry of a history. The good end's results are the baselines. A
run without times is exact: probe, structure, counts and invariants repeat. A timed run takes its
rounds in turn with the good end.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_ftcompare.compare.session_verdict import UNJUDGED_FINDING
from pytest_ftcompare.environments.environment_cache import (
    EnvironmentCache,
    EnvironmentRefused,
    Say,
)
from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.results.cost_metrics import METRICS
from pytest_ftcompare.upgrade.history import Entry
from pytest_ftcompare.upgrade.noisy_search import Measurement
from pytest_ftcompare.upgrade.search import State
from pytest_ftcompare.upgrade.session import (
    PROVISIONAL,
    USAGE_ERRORS,
    Session,
    TryError,
    run_session,
)

# Levels of a sign at which different failures share the level, so that their sentences decide.
TOLD_APART_BY_TEXT = ("invariant", "test", "claim", "")
SIGNS = ("signs", "expected")  # fields of a result that have signs
# Ratio of the numbers in two sentences up to which both tell one failure. Chosen: the same fault
# gives other numbers beside other versions. Raising it takes a smaller fault for a larger one.
MAX_RATIO = 10.0
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
NAMES = re.compile(r"\S*/\S*|0x[0-9a-f]+|\d+(?:\.\d+){2,}")  # paths, addresses, versions


@dataclass(frozen=True)
class Sign:
    """How a case or a test failed: its verdict, the level of its first divergence, and a sentence.

    `metric` is the score or the cost that got worse where nothing diverged before it, else "".
    """

    case: str
    verdict: str
    level: str
    text: str
    metric: str = ""

    @property
    def is_noisy(self) -> bool:
        """Whether a repetition may give other numbers: a score, or a cost that is not counted."""
        return self.level == "outcome" or self.metric in METRICS

    def is_like(self, other: Sign) -> bool:
        """Return whether both failed alike.

        The numbers in their sentences may differ, but not by an order of magnitude.
        """
        if self._kind != other._kind:
            return False
        numbers = zip(self._numbers(), other._numbers(), strict=False)
        return self.is_noisy or all(_are_near(*pair) for pair in numbers)

    @property
    def _kind(self) -> tuple[str, ...]:
        words = NUMBER.sub("", self._plain) if self.level in TOLD_APART_BY_TEXT else ""
        case = self.case if self.level in ("test", "claim") else ""
        return self.level, self.metric, words, case

    @property
    def _plain(self) -> str:
        """The sentence without the case's name, paths, addresses and versions: they have digits."""
        return NAMES.sub("", self.text.replace(self.case, ""))

    def _numbers(self) -> list[float]:
        return [float(number.replace(",", "")) for number in NUMBER.findall(self._plain)]

    def __str__(self) -> str:
        where = f", {self.level}" if self.level else ""
        return f"{self.case}: {self.verdict}{where}: {self.text}"


def _are_near(first: float, second: float) -> bool:
    """Check that two numbers have one sign and about one size."""
    small, large = sorted((abs(first), abs(second)))
    return first * second >= 0 and (large <= MAX_RATIO * small or large == small)


@dataclass(frozen=True)
class RunResult:
    """The signs of what failed in an entry, and each case's measured changes.

    `expected` are signs of tests that fail for a known reason. `skipped` says why the entry could
    not be tried, `incomparable` which case was compared in nothing, and `unsettled` which case has
    no answer on its scores. `measured` is by case and metric, with the logarithm of a cost's ratio
    or the loss of a score. `unmeasured` says why a time was not compared.
    """

    signs: list[Sign]
    skipped: str = ""
    expected: list[Sign] = field(default_factory=list)
    incomparable: str = ""
    unsettled: str = ""
    measured: dict[str, Measurement] = field(default_factory=dict)
    unmeasured: str = ""

    def state(self, searched: Sign) -> State:
        """Return the entry's state for the exact failure that is searched."""
        if self.skipped:
            return "skipped"
        if any(sign.is_like(searched) for sign in (*self.signs, *self.expected)):
            return "bad"
        # A case that is unsettled by its scores has passed all exact checks.
        unanswered = self.incomparable or (searched.is_noisy and self.unsettled)
        return "other" if self.signs or unanswered else "good"

    def measurement(self, searched: Sign) -> Measurement | None:
        """Return what was measured of the case and the metric that are searched."""
        return self.measured.get(_key(searched.case, searched.metric))

    @property
    def reason(self) -> str:
        """Why the entry is not good, in a sentence; "" if it is."""
        return self.skipped or (str(self.signs[0]) if self.signs else self.unanswered)

    @property
    def unanswered(self) -> str:
        """Which case has no answer, in a sentence; "" if each has."""
        return self.incomparable or self.unsettled

    @classmethod
    def from_json(cls, text: str) -> RunResult:
        data = json.loads(text)
        measured = {name: Measurement(*values) for name, values in data.pop("measured").items()}
        signs, expected = ([Sign(**sign) for sign in data.pop(name)] for name in SIGNS)
        return cls(signs, expected=expected, measured=measured, **data)


def _key(case: str, metric: str) -> str:
    return f"{case}: {metric}"


def read_session(session: Session) -> RunResult:
    """Return the signs and the measurements of a session that ran to its end."""
    document = session.document
    signs = [_sign_of_case(case) for case in document["cases"] if case["failed"]]
    signs += [
        Sign(claim["name"], claim["verdict"], "claim", claim["note"] or "the claim moved")
        for claim in document["claims"]
        if claim["failed"]
    ]
    signs += [
        Sign(nodeid, "failed", "test", text) for nodeid, text in session.other_failed_tests.items()
    ]
    expected = [
        Sign(nodeid, "expected to fail", "test", text)
        for nodeid, text in session.expected_failures.items()
    ]
    # A sentence on the whole session is a sign only if nothing else failed.
    signs = signs or [
        Sign("all cases", "failed", "together", text)
        for text in document["findings"]
        if UNJUDGED_FINDING not in text
    ]
    incomparable, unsettled = (
        [f"{case['id']} is {verdict}" for case in document["cases"] if case["verdict"] == verdict]
        for verdict in ("incomparable", "undecided")
    )
    costs = [cost for case in document["cases"] for cost in case["costs"]]
    unmeasured = [
        cost["note"] for cost in costs if cost["unit"] == "s" and cost["outcome"] == "incomparable"
    ]
    return RunResult(
        signs,
        expected=expected,
        incomparable=incomparable[0] if incomparable else "",
        unsettled=unsettled[0] if unsettled else "",
        measured=dict(_measurements(document["cases"])),
        unmeasured=unmeasured[0] if unmeasured else "",
    )


def _sign_of_case(case: Mapping[str, Any]) -> Sign:
    """Return a failed case's sign: what diverged exactly, else the metric that got worse."""
    if case["divergences"]:
        level, text = case["first_divergence"], case["divergences"][0]
        return Sign(case["id"], case["verdict"], level, text)
    for cost in case["costs"]:
        if cost["outcome"] in ("worse", "changed"):
            text = f"{cost['metric']} {_change_text(cost)}"
            return Sign(case["id"], case["verdict"], "cost", text, cost["metric"])
    for comparison in case["comparisons"]:
        if comparison["outcome"] == "worse":
            metric, delta = comparison["metric"], comparison["delta"]
            text = f"{metric} {delta:+.1%} of the rows"
            return Sign(case["id"], case["verdict"], "outcome", text, metric)
    return Sign(case["id"], case["verdict"], case["first_divergence"], "it has no sentence")


def _change_text(cost: Mapping[str, Any]) -> str:
    """Return a cost's change; from nothing, there is no relative one."""
    if cost["change"] is None:
        return f"{cost['base']:g} -> {cost['new']:g}"
    return f"{cost['change']:+.1%}"


def _measurements(cases: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Measurement]]:
    for case in cases:
        for score in case["comparisons"]:
            key = _key(case["id"], score["metric"])
            yield key, Measurement(-score["delta"], score["error"])
        for cost in case["costs"]:
            is_measured = cost["metric"] in METRICS and cost["change"] is not None
            if is_measured and cost["outcome"] not in ("incomparable", "new"):
                key = _key(case["id"], cost["metric"])
                yield key, Measurement(math.log1p(cost["change"]), cost["error"])


@dataclass
class GateRuns:
    """Runs the tests that pytest's arguments choose; results stay in `folder` and are used again.

    `folder` belongs to one good end. `seeds` is its number of seeds, None for the profile's.
    `count` is the number of sessions that this process ran.
    """

    environments: EnvironmentCache
    folder: Path
    good: Entry
    arguments: Sequence[str]
    say: Say
    seeds: int | None
    count: int = 0

    def make_baselines(self) -> None:
        """Run the cases in the good end, whose results the others are compared with."""
        whole = self.folder / "whole"
        if whole.is_file():
            return
        self.say(f"{self.good.label}: the tests run in it first")
        few = [] if self.seeds is None else [f"--ftcompare-seeds={self.seeds}"]
        update = ["--update-baselines", *PROVISIONAL, "--ftcompare-resume"]
        session = self._session(self.good, [*update, *few], "good")
        if not session.ran:
            raise TryError(self._did_not_run(self.good, session, "good"))
        failed = [sign for sign in read_session(session).signs if sign.level != "together"]
        if failed:
            raise TryError(f"expected tests that pass in {self.good.label}, {failed[0]}")
        atomic_write.write(whole, self.good.label)

    def run(self, entry: Entry) -> RunResult:
        """Return how an entry's tests fail, without times."""
        return self._result(entry, "", ["--benchmark-disable"])

    def time(self, entry: Entry, repeat: int) -> RunResult:
        """Return an entry's times, taken in turn with the good end's; `repeat` counts from 0."""
        # One seed is enough: outcomes were compared by `run`.
        reference = self.environments.get(self.good.lock, self.say)
        options = [f"--ftcompare-reference={reference}", "--ftcompare-seeds=1"]
        return self._result(entry, f"-times-{repeat}", options)

    def _result(self, entry: Entry, suffix: str, options: Sequence[str]) -> RunResult:
        """Return a run's result; the result of an earlier call is read."""
        name = f"{entry.key}{suffix}"
        file = self.folder / f"{name}.result.json"
        if file.is_file():
            return RunResult.from_json(file.read_text(encoding="utf-8"))
        self.say(f"{entry.label}: running{', timed beside the good end' if suffix else ''}")
        try:
            session = self._session(entry, options, name)
        except EnvironmentRefused as error:
            return RunResult([], str(error))
        if session.status in USAGE_ERRORS:
            raise TryError(self._did_not_run(entry, session, name))
        if not session.ran:
            return RunResult([], self._did_not_run(entry, session, name))
        result = read_session(session)
        # What could not be tried may work another time, and is not kept.
        if not result.unmeasured:
            atomic_write.write(file, json.dumps(asdict(result)))
        return result

    def _session(self, entry: Entry, options: Sequence[str], name: str) -> Session:
        python = self.environments.get(entry.lock, self.say)
        baselines = f"--ftcompare-baselines={self.folder / 'baselines'}"
        self.count += 1
        # A regression that the project accepts for a while is searched, too.
        arguments = [*self.arguments, baselines, "--ftcompare-accept=", *options]
        return run_session(python, arguments, self.folder, name, log=True)

    def _did_not_run(self, entry: Entry, session: Session, name: str) -> str:
        log = self.folder / f"{name}.log"
        return f"pytest ended with status {session.status} in {entry.label}: {log} says why"
