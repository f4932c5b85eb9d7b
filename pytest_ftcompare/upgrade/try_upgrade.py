"""Gate one environment against another: the cases run in the old one, then in the new one.

`python -m pytest_ftcompare try` calls it. The old environment's results are baselines in the cache,
by its lock, the code and the machine. The new environment is compared with them as with any
baseline, and its times with the old environment itself, in turn in the same window. One seed
settles the cases that repeat bit for bit; the others run again with more.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pytest_ftcompare.compare.audit import MIN_BASELINE_SEEDS
from pytest_ftcompare.compare.noise import SCORE_METRICS
from pytest_ftcompare.compare.session_verdict import (
    MAX_UNJUDGED_SHARE,
    UNJUDGED_FINDING,
    is_unjudged,
)
from pytest_ftcompare.compare.verdict import WORST_FIRST
from pytest_ftcompare.environments.environment_cache import Say
from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.report.document import OTHER_TESTS_FAILED
from pytest_ftcompare.results import atomic_write
from pytest_ftcompare.upgrade.session import (
    NO_TESTS,
    PROVISIONAL,
    Session,
    TryError,
    results_key,
    run_session,
)

# Seeds of the old environment in the second stage: enough where results agree to rounding. Raising
# it makes the stage longer, and leaves fewer cases to run with all.
FEW_SEEDS = MIN_BASELINE_SEEDS
WHOLE = "whole.json"  # in a folder of results that no interruption cut
# Marks of the tests of cases, of claims, and of both.
CASES, CLAIMS = "ftcompare", "ftcompare_claims"
GATED = f"{CASES} or {CLAIMS}"


@dataclass(frozen=True)
class Stage:
    """A comparison with a number of seeds of the old environment, None for the profile's.

    `old_marks` and `new_marks` choose the tests that run in each environment.
    """

    name: str
    seeds: int | None
    old_marks: str
    new_marks: str


# Most upgrades repeat most cases bit for bit, and one seed of each environment shows that. Tests
# that are no cases need no baseline: only the new environment runs them.
SCREENING = Stage("1-seed", 1, CASES, f"not {CLAIMS}")
LATER = (
    Stage(f"{FEW_SEEDS}-seeds", FEW_SEEDS, GATED, GATED),
    Stage("all-seeds", None, CASES, CASES),
)


@dataclass(frozen=True)
class Environment:
    """One of the two environments: what it is called, its lock, and its interpreter."""

    name: str
    lock: Lock
    python: Path


@dataclass(frozen=True)
class Trial:
    """An upgrade to try: both environments, pytest's arguments, and the folder of results.

    `report` is the path of the new environment's reports, without their endings.
    """

    old: Environment
    new: Environment
    arguments: Sequence[str]
    results: Path
    report: Path
    say: Say

    def run(self) -> bool:
        """Run the cases in both environments, and return whether the gate passes."""
        folder = self.results / self._key()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder.with_suffix(".lock"), timeout=0):
                return self._run(folder)
        except Timeout:
            raise TryError(
                "another process compares with this environment: wait for it, then repeat the "
                "command"
            ) from None

    def _run(self, folder: Path) -> bool:
        """Run the stages until no case is open; each stage decides on the cases that it runs."""
        first = self._stage(folder, SCREENING, (), self.report)
        broken = self._broken_tests(folder / SCREENING.name, first)
        cases = {case["nodeid"]: case for case in first.document["cases"]}
        claims: dict[str, Mapping[str, Any]] = {}
        findings = [text for text in first.document["findings"] if text != OTHER_TESTS_FAILED]
        # A claim rests on its cases, and on more than one seed of each.
        all_again = not all(case["identical"] for case in cases.values()) and self._has_claims()
        for stage in LATER:
            still_open = {nodeid for nodeid, case in cases.items() if is_open(case)}
            again = all_again and stage is LATER[0]
            if not (still_open or again):
                break
            count = "all cases and claims" if again else _count(len(still_open), "case")
            self.say(f"{count} again with {stage.seeds or 'all'} seeds")
            settled = [] if again else sorted((cases.keys() | claims.keys()) - still_open)
            report = self.report.with_name(f"{self.report.name}-{stage.name}")
            document = self._stage(folder, stage, settled, report).document
            cases |= {case["nodeid"]: case for case in document["cases"]}
            claims |= {claim["nodeid"]: claim for claim in document["claims"]}
            findings = [text for text in findings if not _is_superseded(text)]
            findings += [text for text in document["findings"] if UNJUDGED_FINDING not in text]
        findings = [text for text in findings if UNJUDGED_FINDING not in text]
        findings += [*_too_many_unjudged(list(cases.values())), *broken]
        self._conclude(list(cases.values()), findings)
        tests = [*cases.values(), *claims.values()]
        return not (findings or any(test["failed"] for test in tests))

    def _has_claims(self) -> bool:
        """Check whether the arguments choose claims."""
        marks = ["-m", marked(self.arguments, CLAIMS)]
        command = [str(self.old.python), "-m", "pytest", *self.arguments, *marks, "--collect-only"]
        return subprocess.run(command, capture_output=True).returncode == 0

    def _stage(self, folder: Path, stage: Stage, left_out: Sequence[str], report: Path) -> Session:
        """Run a stage in the old environment unless its results are whole, then in the new one.

        Return the new one's session. `left_out` are tests that do not run. Cases that fail in the
        old environment do not run in the new one.
        """
        folder = folder / stage.name
        baselines = f"--ftcompare-baselines={folder / 'baselines'}"
        common = [*self.arguments, baselines, "--ftcompare-resume"]
        seeds = [f"--ftcompare-seeds={stage.seeds}"] if stage.seeds else []
        old_marks = ["-m", marked(self.arguments, stage.old_marks)]
        failing = self._old_failures(folder, [*common, *seeds, *old_marks], left_out)
        self.say(f"{self.new.name}: the cases run in it, beside the other one")
        arguments = [
            *common,
            *("-m", marked(self.arguments, stage.new_marks)),
            *(seeds if stage is SCREENING else ()),
            *_deselect([*left_out, *failing]),
            *(f"--ftcompare-report={report}{ending}" for ending in (".json", ".html")),
            f"--ftcompare-reference={self.old.python}",
        ]
        session = run_session(self.new.python, arguments, folder, "new")
        self._expect(self.new, session)
        return session

    def _old_failures(
        self, folder: Path, arguments: Sequence[str], left_out: Sequence[str]
    ) -> list[str]:
        """Make the old environment's results; return its tests that fail there already."""
        file, wanted = folder / WHOLE, [*arguments, *left_out]
        stored = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if stored.get("arguments") == wanted:
            self.say(f"{self.old.name}: its results are in the cache")
        else:
            self.say(f"{self.old.name}: the cases run in it first")
            update = ["--update-baselines", *PROVISIONAL, *_deselect(left_out)]
            session = run_session(self.old.python, [*arguments, *update], folder, "old")
            # Arguments may choose tests that are no cases alone.
            if session.status != NO_TESTS:
                self._expect(self.old, session)
            tests = [*session.document.get("cases", ()), *session.document.get("claims", ())]
            # A case whose worker died, or whose fixture failed, is in no document.
            without_verdict = [*session.other_failed_tests]
            failed = [test["nodeid"] for test in tests if test["failed"]] + without_verdict
            if failed and len(failed) == len(tests) + len(without_verdict):
                raise TryError(
                    f"every case fails in {self.old.name}: there is nothing to compare with"
                )
            stored = {"arguments": wanted, "failed": failed}
            atomic_write.write(file, json.dumps(stored))
        failing: list[str] = stored["failed"]
        for nodeid in failing:
            self.say(f"{nodeid} fails in {self.old.name}, and is left out")
        return failing

    def _broken_tests(self, folder: Path, session: Session) -> list[str]:
        """Return a sentence for each test, not a case, that fails in the new environment only."""
        failed = session.other_failed_tests
        if not failed:
            return []
        self.say(f"{self.old.name}: the tests that are no cases run in it, as some failed")
        others = ["-m", marked(self.arguments, f"not ({GATED})")]
        old = run_session(self.old.python, [*self.arguments, *others], folder, "old-others")
        if old.status != NO_TESTS:
            self._expect(self.old, old)
        for nodeid in sorted(failed.keys() & old.failed_tests.keys()):
            self.say(f"{nodeid} fails in both environments")
        return [
            f"{nodeid} fails in {self.new.name} only: {text}"
            for nodeid, text in failed.items()
            if nodeid not in old.failed_tests
        ]

    def _expect(self, environment: Environment, session: Session) -> None:
        """Raise `TryError` unless the session ran to its end."""
        if not session.ran:
            raise TryError(
                f"pytest ended with status {session.status} in {environment.name}: its output "
                "above says why; repeat the command to go on"
            )

    def _key(self) -> str:
        """Return a digest of what the old environment's results depend on."""
        return results_key(self.old.lock.content_digest(), *self.arguments)

    def _conclude(self, cases: Sequence[Mapping[str, Any]], findings: Sequence[str]) -> None:
        for finding in findings:
            self.say(finding)
        reasons = Counter(
            cost["note"]
            for case in cases
            for cost in case["costs"]
            if cost["unit"] == "s" and cost["outcome"] == "incomparable"
        )
        for reason, _ in reasons.most_common(1):
            self.say(f"{_count(reasons.total(), 'time')} not compared: {reason}")
        counts = Counter(case["verdict"] for case in cases)
        verdicts = ", ".join(f"{counts[name]} {name}" for name in WORST_FIRST if counts[name])
        self.say(f"{_count(len(cases), 'case')}: {verdicts}")


def marked(arguments: Sequence[str], expression: str) -> str:
    """Return an expression for pytest's -m that also holds to the arguments' own, the last one."""
    pairs = zip(["", *arguments], arguments, strict=False)
    own = [
        text if before == "-m" else text[2:]
        for before, text in pairs
        if before == "-m" or (text.startswith("-m") and len(text) > 2)
    ]
    return f"({own[-1]}) and ({expression})" if own else expression


def _is_superseded(finding: str) -> bool:
    """Check whether a later stage judges a finding's subject again: scores, not costs."""
    return UNJUDGED_FINDING in finding or finding.startswith(tuple(SCORE_METRICS))


def _deselect(nodeids: Sequence[str]) -> list[str]:
    return [f"--deselect={nodeid}" for nodeid in nodeids]


def is_open(case: Mapping[str, Any]) -> bool:
    """Check whether more seeds of the old environment could change a case's verdict.

    Divergences of recipe, structure or probe need no seed, and a cost has its own rounds.
    """
    outcomes = {comparison["outcome"] for comparison in case["comparisons"]}
    is_half_accepted = case["allowed"] and "open" in outcomes
    return bool(case["judge_accuracy"]) and bool(
        case["verdict"] == "undecided" or is_half_accepted or outcomes & {"worse", "better"}
    )


def _too_many_unjudged(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the session's finding on cases without an answer, over both passes."""
    judged = [case for case in cases if case["judge_accuracy"]]
    unjudged = [
        case
        for case in judged
        if is_unjudged(
            case["verdict"],
            [comparison["outcome"] for comparison in case["comparisons"]],
            allowed=case["allowed"],
        )
    ]
    if len(unjudged) <= MAX_UNJUDGED_SHARE * len(judged):
        return []
    return [f"{len(unjudged)} of {len(judged)} cases {UNJUDGED_FINDING}: too many to pass"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
