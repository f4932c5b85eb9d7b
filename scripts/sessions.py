"""Run sessions in which nothing changed, so that every failure is a false alarm.

`python -m scripts.sessions docs/sessions.json [COUNT] [STATE ...]` makes baselines in a temporary
folder. It then runs COUNT sessions (5) in each state of the machine (all of `STATES`), each timed
in turn with a reference that is this environment. After each session it records how many failed,
their verdicts, and the outcomes of times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pytest_ftcompare.measure import host

# Timed cases of every kind: all weights, adapters in layers, a prompt, no training, an answer.
CASES = (
    "suites/test_peft_methods.py",
    "suites/test_instruction_tuning.py",
    "-k",
    "(pocket_cola and n32 and (full- or [lora- or ia3- or bitfit- or vera- or p_tuning- or icl-)) "
    "or full-pocket_requests-opt-0.4m-n60",
)
ONE_SEED = "--ftcompare-seeds=1"
BUSY_LOOP = "while True: pass"


@dataclass(frozen=True)
class State:
    """What differs from a quiet machine: other processes, variables, pytest's options."""

    busy_loops: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()


STATES = {
    "quiet": State(),
    "one busy loop": State(busy_loops=1),
    "two busy loops": State(busy_loops=2),
    "AVX2": State(variables={"ATEN_CPU_CAPABILITY": "avx2"}),
    # Without workers, which would share the cores.
    "two threads": State(options=("--ftcompare-threads=2", "-n", "0")),
}


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep as many processes busy as `loops`."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run(folder: Path, *options: str, state: State = STATES["quiet"]) -> tuple[int, dict[str, Any]]:
    """Run one session in its own processes. Return its exit status and its JSON document."""
    document = folder / "document.json"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *CASES, "-n", "2"]
    command += [f"--ftcompare-baselines={folder}/baselines", f"--ftcompare-report={document}"]
    with busy(state.busy_loops):
        status = subprocess.run(
            [*command, ONE_SEED, *state.options, *options],
            env={**os.environ, **state.variables},
            stdout=subprocess.DEVNULL,
            check=False,
        ).returncode
    return status, json.loads(document.read_text(encoding="utf-8"))


def add_session(record: dict[str, Any], status: int, document: Mapping[str, Any]) -> None:
    """Add a session to a state's record."""
    record["sessions"] += 1
    cases = document["cases"]
    times = [cost for case in cases for cost in case["costs"] if cost["unit"] == "s"]
    slower = [cost for cost in times if cost["outcome"] == "worse"]
    pooled = [finding for finding in document["findings"] if " slower " in finding]
    record["red"] += status != 0
    record["red by time"] += bool(slower or pooled)
    counts = {
        "verdicts": [case["verdict"] for case in cases],
        "times": [cost["outcome"] for cost in times],
        "not compared": [
            cost["note"].replace(sys.executable, "the reference")
            for cost in times
            if cost["outcome"] == "incomparable"
        ],
    }
    for name, values in counts.items():
        record[name] = dict(Counter(record[name]) + Counter(values))
    record["failures"] += [f"{cost['metric']} {cost['change']:+.1%}" for cost in slower] + document[
        "findings"
    ]


def main(file: Path, count: int, names: list[str]) -> None:
    """Make the baselines, run the sessions, and write the record after each session."""
    records: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # One seed is too little for the audits of a kept baseline.
        update = ("--update-baselines", "--ftcompare-provisional", "--ftcompare-window=0")
        status, _ = run(folder, *update)
        if status:
            sys.exit(f"expected baselines, pytest ended with status {status}")
        for state in names:
            records[state] = record = {
                "date": date.today().isoformat(),
                "processor": host.processor(),
                **dict.fromkeys(("sessions", "red", "red by time"), 0),
                **{kind: {} for kind in ("verdicts", "times", "not compared")},
                "failures": [],
            }
            for number in range(1, count + 1):
                status, document = run(
                    folder,
                    f"--ftcompare-reference={sys.executable}",
                    "--ftcompare-full",
                    state=STATES[state],
                )
                add_session(record, status, document)
                file.write_text(f"{json.dumps(records, indent=1)}\n", encoding="utf-8")
                print(f"{state}, {number} of {count}: status {status}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]) if len(sys.argv) > 2 else 5,
        sys.argv[3:] or list(STATES),
    )
