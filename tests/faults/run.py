"""Run the catalogue and record which changes the gate catches, and by which ring.

`python -m tests.faults.run docs/fault_catalogue.json [CHANGE ...] [--folder DIR] [--unchanged]`
makes the baselines that it needs in a folder, which `--folder` keeps for the next run. Each change
runs in its own process: first with one seed, then, if no exact ring saw it, with as many as needed.
The record and its page are written after each change. Without names, it runs the changes that are
not on record.

If a change comes with an upgrade, the environment claims other versions. The gate then excuses
differences of the trace; only invariants, structure, probe, counts and outcomes can catch it. With
`--unchanged` no change claims an upgrade, and a short training may judge a case. The record keeps
these results in `unchanged`, beside those with an upgrade.

A change can also name checks: items of the suites without baselines. They run with the installed
versions and judge by no baseline, so `--unchanged` leaves them out. A check that fails catches the
change in ring 0, unless it fails only because a known upstream fault no longer shows. A check that
fails without a change stops the run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pytest_ftcompare.compare.known_faults import FIXED_PREFIX

from . import BENIGN, FAULTS, page
from .change import MODEL, PATCH_ERRORS, REACHED, TASKS, Case, Change
from .rings import UNSETTLED, rings_of

ROOT = Path(__file__).parents[2]
UPGRADED_LIBRARIES = ("transformers", "peft", "torch")
EXTRA_SUITE = "test_options"  # the suite of the cases that the shipped suites lack
SUITE_HEAD = '"""Cases that the shipped suites lack."""\n\nimport pytest\n\n'
CASE_TABLE = (
    "@pytest.mark.ftcompare(methods=({method!r},), tasks=({task!r},), shots=({shots},), "
    "models=({model!r},), {rest})\n"
)
RunOutput = dict[str, Any]
VERDICT_FIELDS = ("verdict", "seeds", "divergences", "notes")
# By module; all others are "tuned".
SETS = {
    "held_out": "held out",
    "traincheck": "TrainCheck",
    **dict.fromkeys(("whole_life", "fresh_models", "derivatives"), "checks"),
}


def changes() -> dict[str, Change]:
    """Return all faults and the changes that must pass."""
    return FAULTS | BENIGN


def write_suite(folder: Path) -> None:
    """Write the suite of all cases that the shipped suites lack."""
    extra_cases = {
        case: None for change in changes().values() for case in change.cases if case.suite is None
    }
    text = SUITE_HEAD
    for case in extra_cases:
        rest = f"options={dict(case.options)!r}" + (
            "" if case.task in TASKS else ", judge_accuracy=False"
        )
        text += CASE_TABLE.format(
            method=case.method, task=case.task, shots=case.shots, model=MODEL, rest=rest
        )
    (folder / f"{EXTRA_SUITE}.py").write_text(f"{text}def {EXTRA_SUITE}(gate):\n    gate()\n")


def node(case: Case, folder: Path) -> str:
    """Return the test id of a case."""
    suite = EXTRA_SUITE if case.suite is None else f"test_{case.suite}"
    file = folder / f"{EXTRA_SUITE}.py" if case.suite is None else ROOT / "suites" / f"{suite}.py"
    return f"{file}::{suite}[{case.id}]"


def check_node(check: str) -> str:
    """Return the test id of a check."""
    return f"{ROOT / 'suites' / check}"


def _baseline(case: Case, folder: Path) -> Path:
    return (
        folder
        / "baselines"
        / "cpu"
        / (case.suite or EXTRA_SUITE.removeprefix("test_"))
        / f"{case.id}.json"
    )


def run(
    folder: Path,
    change: Change | None,
    cases: Iterable[Case],
    checks: Iterable[str] = (),
    *,
    seeds: int = 0,
    unchanged: bool = False,
) -> RunOutput:
    """Run cases and checks in a process with a change, and return the process's output.

    Without a change, the process makes the cases' baselines. `seeds` limits a case's seeds; 0 sets
    no limit. `unchanged` claims no upgrade.
    """
    file = folder / "verdicts.json"
    file.unlink(missing_ok=True)
    nodes = [node(case, folder) for case in cases] + [check_node(check) for check in checks]
    limit = [f"--ftcompare-seeds={seeds}"] if seeds else []
    command = [
        sys.executable,
        "-m",
        "tests.faults.run",
        "--run",
        change.name if change else "",
        str(int(unchanged)),
        str(folder),
    ]
    command += [*limit, *nodes]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environ = dict(os.environ) | {"PYTHONPATH": path} | dict(change.environ if change else {})
    with (folder / "log.txt").open("w") as log:
        subprocess.run(
            command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    if not file.exists():
        raise RuntimeError(
            f"expected verdicts from {' '.join(command)}, it wrote none: see {folder / 'log.txt'}"
        )
    output: RunOutput = json.loads(file.read_text())
    return output


def claim_upgrade(names: Sequence[str] = UPGRADED_LIBRARIES) -> None:
    """Make the environment of later results claim other versions of these libraries."""
    from pytest_ftcompare.measure import environment

    capture = environment.capture

    def upgraded(*arguments: Any) -> dict[str, str | int]:
        versions = capture(*arguments)
        return versions | {name: f"{versions[name]}.post1" for name in names}

    environment.capture = upgraded  # type: ignore[assignment]


class ChangePlugin:
    """A pytest plugin that applies a change at the start and collects verdicts and failures.

    `failures` has the text with which each check failed, "" if it did not.
    """

    def __init__(self, change: Change | None, *, unchanged: bool) -> None:
        self.change, self.unchanged = change, unchanged
        self.verdicts: dict[str, Any] = {}
        self.failures: dict[str, str] = {}

    def pytest_sessionstart(self) -> None:
        if self.change is not None:
            self.change.apply()
            if self.change.upgrade and not self.unchanged:
                claim_upgrade()

    def pytest_runtest_logreport(self, report: Any) -> None:
        text = getattr(report, "ftcompare", None)
        if text is not None:
            verdict = json.loads(text)["verdict"]
            self.verdicts[verdict["id"]] = verdict
        check = report.nodeid.removeprefix("suites/")
        self.failures.setdefault(check, "")

    def pytest_exception_interact(self, node: Any, call: Any) -> None:
        """Keep the error of a failed test. Expected failures and skips do not come here."""
        check = node.nodeid.removeprefix("suites/")
        error = call.excinfo.value
        kind = "" if isinstance(error, pytest.fail.Exception) else f"{type(error).__name__}: "
        self.failures[check] = self.failures.get(check, "") or f"{kind}{error}"


def _run_here(name: str, unchanged: bool, folder: Path, nodes: list[str]) -> None:
    change = changes()[name] if name else None
    plugin = ChangePlugin(change, unchanged=unchanged)
    mode = ["--benchmark-disable"] if change else ["--update-baselines"]
    configuration = [
        f"--rootdir={ROOT}",
        "-c",
        str(ROOT / "pyproject.toml"),
        f"--ftcompare-baselines={folder / 'baselines'}",
    ]
    quick = [
        "-p",
        "no:cacheprovider",
        "--ftcompare-window=0",
        "--tb=short",
        "-vv",  # an assertion's text is not shortened
        *(change.arguments if change else ()),
    ]
    code = pytest.main([*configuration, *quick, *mode, *nodes], plugins=[plugin])
    output = {
        "verdicts": plugin.verdicts,
        "failures": plugin.failures,
        "exit": int(code),
        "reached": sorted(REACHED),
        "broken": PATCH_ERRORS,
    }
    (folder / "verdicts.json").write_text(json.dumps(output))


def first_sentence(failure: str) -> str:
    """Return the first sentence of a check's failure that is no fault that vanished, or ""."""
    sentences = [line for line in failure.splitlines() if line.strip()]
    return next((line for line in sentences if not line.startswith(FIXED_PREFIX)), "")


def _result_of(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the record keeps of a case's verdict."""
    result = {name: verdict[name] for name in VERDICT_FIELDS} | {"rings": rings_of(verdict)}
    result["outcomes"] = {
        metric["metric"]: [round(metric[name], 4) for name in ("base", "delta", "p", "margin")]
        + [metric["outcome"]]
        for metric in verdict["comparisons"]
    }
    result["costs"] = {
        cost["metric"]: round(cost["change"], 4)
        for cost in verdict["costs"]
        if cost["outcome"] in ("worse", "changed")
    }
    return result


def _caught_by_cases(cases: Mapping[str, Any], exit_code: int) -> int | str | None:
    """Return the first ring that saw a change in a case, "open", "session" or None."""
    rings = [result["rings"][0] for result in cases.values() if result["rings"]]
    if rings:
        return min(rings)
    if any(result["verdict"] in UNSETTLED for result in cases.values()):
        return "open"
    # The session failed, but no case did.
    return "session" if cases and exit_code == 1 else None


def make_record(change: Change, output: RunOutput, checks: Sequence[str] = ()) -> dict[str, Any]:
    """Return the record of a change: its cases' and checks' results, and the first ring.

    `gate` is the first ring of the cases alone. It is there if the change names checks.
    """
    for case in change.cases:
        if case.id not in output["verdicts"]:
            raise RuntimeError(f"{change.name}: expected a verdict of {case.id}, the run gave none")
    for check in checks:
        if check not in output["failures"]:
            raise RuntimeError(f"{change.name}: expected a result of {check}, the run gave none")
    cases = {case.id: _result_of(output["verdicts"][case.id]) for case in change.cases}
    sentences = {check: first_sentence(output["failures"][check]) for check in checks}
    failed = any(output["failures"][check] for check in checks)
    gate = _caught_by_cases(cases, 0 if failed else output["exit"])
    entry: dict[str, Any] = {
        "area": change.area,
        "says": change.description,
        "upstream": change.upstream,
        "upgrade": change.upgrade,
        "set": SETS.get(change.apply.__module__.rpartition(".")[2], "tuned"),
        "reached": output["reached"],
        "caught": 0 if any(sentences.values()) else gate,
        "cases": cases,
    }
    return entry | {"gate": gate, "checks": sentences} if checks else entry


def _prepare(change: Change, folder: Path, checks: Sequence[str]) -> None:
    """Make the baselines that a change needs, and see that its checks pass without it.

    The folder keeps both for the next change.
    """
    if missing := [case for case in change.cases if not _baseline(case, folder).exists()]:
        run(folder, None, missing)
        if lost := [case.id for case in missing if not _baseline(case, folder).exists()]:
            raise SystemExit(
                f"expected an update to make a baseline of {lost[0]}: see {folder / 'log.txt'}"
            )
    file = folder / "checks.json"
    failures = json.loads(file.read_text()) if file.exists() else {}
    if new := [check for check in checks if check not in failures]:
        output = run(folder, None, (), new)
        failures |= {check: output["failures"][check] for check in new}
        file.write_text(json.dumps(failures, indent=1))
    if failing := [check for check in checks if failures[check]]:
        raise SystemExit(
            f"expected {failing[0]} to pass without a change, it fails: {failures[failing[0]]}"
        )


def main(file: Path, names: list[str], folder: Path, *, unchanged: bool = False) -> None:
    """Run the named changes, or all changes that are not on record."""
    record: dict[str, Any] = (
        json.loads(file.read_text()) if file.exists() else {"faults": {}, "benign": {}}
    )
    if unknown := sorted(set(names) - set(changes())):
        raise SystemExit(
            f"expected names of changes, {unknown[0]!r} is none: one of {', '.join(changes())}"
        )
    on_record = record["faults"] | record["benign"]
    done = {name for name, entry in on_record.items() if not unchanged or "unchanged" in entry}
    # Without an upgrade, a change that moves a number is not benign, and a check sees nothing new.
    candidates = (
        {name: change for name, change in FAULTS.items() if change.cases}
        if unchanged
        else changes()
    )
    chosen = [
        change for change in candidates.values() if change.name in (names or set(candidates) - done)
    ]
    if unchanged and (
        unrecorded := [change.name for change in chosen if change.name not in on_record]
    ):
        raise SystemExit(
            f"expected {unrecorded[0]} on record with an upgrade first: run it without --unchanged"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_suite(folder)
    for change in chosen:
        checks = () if unchanged else change.checks
        _prepare(change, folder, checks)
        output = run(folder, change, change.cases, checks, seeds=1, unchanged=unchanged)
        entry = make_record(change, output, checks)
        if change.cases and not isinstance(entry.get("gate", entry["caught"]), int):
            output = run(folder, change, change.cases, checks, unchanged=unchanged)
            entry = make_record(change, output, checks)
        entries = record["benign" if change.name in BENIGN else "faults"]
        if unchanged:
            entries[change.name]["unchanged"] = {
                name: entry[name] for name in ("reached", "caught", "cases")
            }
        else:
            entries[change.name] = entry | {
                name: entries[change.name][name]
                for name in ("unchanged",)
                if name in entries.get(change.name, {})
            }
        record["date"] = date.today().isoformat()
        record["catalogue"] = {"faults": len(FAULTS), "benign": len(BENIGN)}
        file.write_text(f"{json.dumps(record, indent=1)}\n")
        page.write(file)
        print(
            change.name,
            entry["caught"],
            {name: case["verdict"] for name, case in entry["cases"].items()},
            *entry.get("checks", {}).values(),
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        _run_here(sys.argv[2], bool(int(sys.argv[3])), Path(sys.argv[4]), sys.argv[5:])
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("record", type=Path)
        parser.add_argument("changes", nargs="*")
        parser.add_argument("--folder", type=Path, help="keep the baselines here for the next run")
        parser.add_argument(
            "--unchanged", action="store_true", help="claim no upgrade of a library"
        )
        given = parser.parse_args()
        with tempfile.TemporaryDirectory() as temporary:
            main(
                given.record.resolve(),
                given.changes,
                (given.folder or Path(temporary)).resolve(),
                unchanged=given.unchanged,
            )
