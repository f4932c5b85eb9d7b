"""Runs the catalogue: what the gate finds of each change, and by what.

`python -m tests.faults.run docs/fault_catalogue.json [CHANGE ...] [--folder DIR] [--unchanged]` makes baselines
of the cases that it needs, in a folder (kept and used again where it is named), runs each change in a process
of its own, first with one seed, then, if no exact ring saw it, with as many as it takes, and writes the record,
and the page beside it, after each. Without names it runs those that are not on record yet.

A change that comes with an upgrade meets an environment that says so: then the gate excuses differences of the trace, and
only invariants, structure, probe, counts and outcomes can tell. With `--unchanged` no change says so: then a case may be
judged by a short training, and the record keeps its findings in `unchanged`, beside those with an upgrade.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from . import BENIGN, FAULTS, page
from .change import BROKEN, MODEL, REACHED, TASKS, Case, Change
from .rings import UNSEEN, seen

ROOT = Path(__file__).parents[2]
UPGRADED = ("transformers", "peft", "torch")
OPTIONS = "test_options"  # the suite of cases that the shipped ones lack
HEAD = '"""Cases that the shipped suites lack."""\n\nimport pytest\n\n'
TABLE = "@pytest.mark.ftcompare(methods=({method!r},), tasks=({task!r},), shots=({shots},), models=({model!r},), {rest})\n"
Found = dict[str, Any]
COLLECTED = ("verdict", "seeds", "divergences", "notes")


def changes() -> dict[str, Change]:
    """All faults, and the changes that must pass."""
    return FAULTS | BENIGN


def write_suite(folder: Path) -> None:
    """The suite of all cases that the shipped ones lack."""
    own = {
        case: None for change in changes().values() for case in change.cases if case.suite is None
    }
    text = HEAD
    for case in own:
        rest = f"options={dict(case.options)!r}" + (
            "" if case.task in TASKS else ", judge_accuracy=False"
        )
        text += TABLE.format(
            method=case.method, task=case.task, shots=case.shots, model=MODEL, rest=rest
        )
    (folder / f"{OPTIONS}.py").write_text(f"{text}def {OPTIONS}(gate):\n    gate()\n")


def node(case: Case, folder: Path) -> str:
    """The test of a case."""
    suite = OPTIONS if case.suite is None else f"test_{case.suite}"
    file = folder / f"{OPTIONS}.py" if case.suite is None else ROOT / "suites" / f"{suite}.py"
    return f"{file}::{suite}[{case.id}]"


def _baseline(case: Case, folder: Path) -> Path:
    return (
        folder
        / "baselines"
        / "cpu"
        / (case.suite or OPTIONS.removeprefix("test_"))
        / f"{case.id}.json"
    )


def run(
    folder: Path,
    change: Change | None,
    cases: Iterable[Case],
    *,
    seeds: int = 0,
    unchanged: bool = False,
) -> Found:
    """Run the cases in a process of its own with a change, or to make their baselines; what the process wrote.

    `seeds` bounds what a case may train, 0 leaves it as ever; `unchanged` claims no upgrade.
    """
    file = folder / "verdicts.json"
    file.unlink(missing_ok=True)
    nodes = [node(case, folder) for case in cases]
    bound = [f"--ftcompare-seeds={seeds}"] if seeds else []
    command = [
        sys.executable,
        "-m",
        "tests.faults.run",
        "--run",
        change.name if change else "",
        str(int(unchanged)),
        str(folder),
    ]
    command += [*bound, *nodes]
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
    found: Found = json.loads(file.read_text())
    return found


def upgrade(names: Sequence[str] = UPGRADED) -> None:
    """From here on, the environment that a run records has other versions of these libraries."""
    from pytest_ftcompare.measure import environment

    capture = environment.capture

    def upgraded(*arguments: Any) -> dict[str, str | int]:
        found = capture(*arguments)
        return found | {name: f"{found[name]}.post1" for name in names}

    environment.capture = upgraded  # type: ignore[assignment]


class Put:
    """A plugin that puts a change in before anything runs, and keeps the verdicts of the cases."""

    def __init__(self, change: Change | None, *, unchanged: bool) -> None:
        self.change, self.unchanged = change, unchanged
        self.verdicts: dict[str, Any] = {}
        self.errors: dict[str, str] = {}

    def pytest_sessionstart(self) -> None:
        if self.change is not None:
            self.change.apply()
            if self.change.upgrade and not self.unchanged:
                upgrade()

    def pytest_runtest_logreport(self, report: Any) -> None:
        text = getattr(report, "ftcompare", None)
        if text is not None:
            verdict = json.loads(text)["verdict"]
            self.verdicts[verdict["id"]] = verdict


def _run_here(name: str, unchanged: bool, folder: Path, nodes: list[str]) -> None:
    import pytest

    change = changes()[name] if name else None
    put = Put(change, unchanged=unchanged)
    mode = ["--benchmark-disable"] if change else ["--update-baselines"]
    places = [
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
        *(change.arguments if change else ()),
    ]
    code = pytest.main([*places, *quick, *mode, *nodes], plugins=[put])
    found = {
        "verdicts": put.verdicts,
        "exit": int(code),
        "reached": sorted(REACHED),
        "broken": BROKEN,
    }
    (folder / "verdicts.json").write_text(json.dumps(found))


def told(change: Change, found: Found) -> dict[str, Any]:
    """The record of a change: what each of its cases showed, and the ring that saw it first."""
    cases: dict[str, Any] = {}
    rings = []
    for case in change.cases:
        verdict = found["verdicts"].get(case.id)
        if verdict is None:
            raise RuntimeError(f"{change.name}: expected a verdict of {case.id}, the run gave none")
        mine = seen(verdict)
        rings += mine[:1]
        one = {name: verdict[name] for name in COLLECTED} | {"rings": mine}
        one["outcomes"] = {
            metric["metric"]: [round(metric[name], 4) for name in ("base", "delta", "p", "margin")]
            + [metric["outcome"]]
            for metric in verdict["comparisons"]
        }
        one["costs"] = {
            cost["metric"]: round(cost["change"], 4)
            for cost in verdict["costs"]
            if cost["outcome"] in ("worse", "changed")
        }
        cases[case.id] = one
    caught: int | str | None = min(rings, default=None)
    if caught is None and any(one["verdict"] in UNSEEN for one in cases.values()):
        caught = "open"
    elif caught is None and found["exit"] == 1:
        caught = "session"  # no case failed, the session did
    return {
        "area": change.area,
        "says": change.says,
        "upstream": change.upstream,
        "upgrade": change.upgrade,
        "held out": change.apply.__module__.endswith(".held_out"),
        "reached": found["reached"],
        "caught": caught,
        "cases": cases,
    }


def main(file: Path, names: list[str], folder: Path, *, unchanged: bool = False) -> None:
    """Run the named changes, or all that are not on record."""
    record: dict[str, Any] = (
        json.loads(file.read_text()) if file.exists() else {"faults": {}, "benign": {}}
    )
    if unknown := sorted(set(names) - set(changes())):
        raise SystemExit(
            f"expected names of changes, {unknown[0]!r} is none: one of {', '.join(changes())}"
        )
    on_record = record["faults"] | record["benign"]
    done = {name for name, one in on_record.items() if not unchanged or "unchanged" in one}
    given = (
        FAULTS if unchanged else changes()
    )  # without an upgrade, nothing that moves a number is benign
    chosen = [one for one in given.values() if one.name in (names or set(given) - done)]
    if unchanged and (early := [one.name for one in chosen if one.name not in on_record]):
        raise SystemExit(
            f"expected {early[0]} on record with an upgrade first: run it without --unchanged"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_suite(folder)
    for change in chosen:
        if missing := [case for case in change.cases if not _baseline(case, folder).exists()]:
            run(folder, None, missing)
            if lost := [case.id for case in missing if not _baseline(case, folder).exists()]:
                raise SystemExit(
                    f"expected an update to make a baseline of {lost[0]}: see {folder / 'log.txt'}"
                )
        one = told(change, run(folder, change, change.cases, seeds=1, unchanged=unchanged))
        if not isinstance(one["caught"], int):
            one = told(change, run(folder, change, change.cases, unchanged=unchanged))
        of = record["benign" if change.name in BENIGN else "faults"]
        if unchanged:
            of[change.name]["unchanged"] = {
                name: one[name] for name in ("reached", "caught", "cases")
            }
        else:
            of[change.name] = one | {
                name: of[change.name][name]
                for name in ("unchanged",)
                if name in of.get(change.name, {})
            }
        record["date"] = date.today().isoformat()
        record["catalogue"] = {"faults": len(FAULTS), "benign": len(BENIGN)}
        file.write_text(f"{json.dumps(record, indent=1)}\n")
        page.write(file)
        print(
            change.name,
            one["caught"],
            {name: case["verdict"] for name, case in one["cases"].items()},
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        _run_here(sys.argv[2], bool(int(sys.argv[3])), Path(sys.argv[4]), sys.argv[5:])
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("record", type=Path)
        parser.add_argument("changes", nargs="*")
        parser.add_argument(
            "--folder", type=Path, help="keeps the baselines; another run uses them again"
        )
        parser.add_argument(
            "--unchanged", action="store_true", help="claim no upgrade of any library"
        )
        given = parser.parse_args()
        with tempfile.TemporaryDirectory() as temporary:
            main(
                given.record.resolve(),
                given.changes,
                (given.folder or Path(temporary)).resolve(),
                unchanged=given.unchanged,
            )
