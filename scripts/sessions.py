"""Run sessions in which nothing changed, so that every failure is a false alarm.

`python -m scripts.sessions docs/sessions.json [COUNT] [STATE ...]` runs COUNT sessions (5) in each
state of the machine (all of `STATES`), against the baselines of this checkout and timed in turn
with a reference that is this environment. After each session it records how many failed, their
verdicts, and the outcomes of times. Python's version is part of a state.
"""

from __future__ import annotations

import json
import os
import platform
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

CASES = ("suites/", "-m", "ftcompare")
# Cases that compute otherwise than their baselines train in full, so fewer of them: of every kind.
FEW_CASES = (
    "-k",
    "pocket_cola-opt-1.4m-n32 and (full or lora or ia3 or bitfit or vera or icl or p_tuning)",
)
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
    "AVX2": State(variables={"ATEN_CPU_CAPABILITY": "avx2"}, options=FEW_CASES),
    # Without workers, which would share the cores.
    "two threads": State(options=(*FEW_CASES, "--ftcompare-threads=2", "-n", "0")),
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


def run(state: State) -> tuple[int, dict[str, Any]]:
    """Run one session in its own processes. Return its exit status and its JSON document."""
    with tempfile.TemporaryDirectory() as folder, busy(state.busy_loops):
        document = Path(folder) / "document.json"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *CASES, "-n", "2"]
        command += [f"--ftcompare-reference={sys.executable}", f"--ftcompare-report={document}"]
        status = subprocess.run(
            [*command, *state.options],
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
    """Run the sessions, and write the record after each one."""
    records: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    python = ".".join(platform.python_version_tuple()[:2])
    for name in names:
        records[f"{name}, Python {python}"] = record = {
            "date": date.today().isoformat(),
            "processor": host.processor(),
            **dict.fromkeys(("sessions", "red", "red by time"), 0),
            **{kind: {} for kind in ("verdicts", "times", "not compared")},
            "failures": [],
        }
        for number in range(1, count + 1):
            status, document = run(STATES[name])
            add_session(record, status, document)
            file.write_text(f"{json.dumps(records, indent=1)}\n", encoding="utf-8")
            print(f"{name}, {number} of {count}: status {status}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]) if len(sys.argv) > 2 else 5,
        sys.argv[3:] or list(STATES),
    )
