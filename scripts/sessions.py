"""Run sessions in which nothing changed, so that every failure is a false alarm.

`python -m scripts.sessions docs/sessions.json [COUNT] [pytest's arguments]` makes baselines in a
temporary folder and runs COUNT sessions (20) against them, each in its own processes. It records
verdicts, the number of seeds, and failed sessions. By default it runs the few-shot suite at 16
shots without timing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

CASES = ("suites/test_few_shot.py", "-k", "n16", "-n", "2", "--benchmark-disable")


class Verdicts:
    """A pytest plugin that writes every case's verdict to a file."""

    def __init__(self, file: Path) -> None:
        self.file, self.verdicts = file, list[dict[str, Any]]()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if (text := getattr(report, "ftcompare", None)) is not None:
            self.verdicts.append(json.loads(text)["verdict"])

    def pytest_sessionfinish(self) -> None:
        self.file.write_text(json.dumps(self.verdicts), encoding="utf-8")


def run(folder: Path, arguments: Sequence[str]) -> tuple[int, list[dict[str, Any]]]:
    """Run one session in its own processes. Return its exit status and verdicts."""
    command = [sys.executable, "-m", "scripts.sessions", "--run", str(folder), *arguments]
    status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    text = (folder / "verdicts.json").read_text(encoding="utf-8")
    verdicts: list[dict[str, Any]] = json.loads(text)
    return status, verdicts


def _run_here(folder: str, *arguments: str) -> int:
    import pytest

    options = [f"--ftcompare-baselines={folder}/baselines", "-p", "no:cacheprovider", *arguments]
    return int(pytest.main(options, plugins=[Verdicts(Path(folder) / "verdicts.json")]))


def main(file: Path, count: int, arguments: Sequence[str]) -> None:
    """Make the baselines, run the sessions, and write the record after each session."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for_baselines = [argument for argument in arguments if argument != "--benchmark-disable"]
        run(folder, [*for_baselines, "--update-baselines", "--ftcompare-window=0"])
        verdicts: Counter[str] = Counter()
        seeds: Counter[int] = Counter()
        failed: list[Any] = []
        for number in range(1, count + 1):
            status, session = run(folder, arguments)
            verdicts.update(case["verdict"] for case in session)
            seeds.update(case["seeds"] for case in session)
            if status:
                differing = [case for case in session if case["verdict"] != "same"]
                failed.append(differing or f"exit status {status}")
            record = {
                "date": date.today().isoformat(),
                "arguments": list(arguments),
                "sessions": number,
                "cases": len(session),
                "failed": failed,
                "verdicts": dict(verdicts),
                "seeds": dict(seeds),
            }
            file.write_text(f"{json.dumps(record, indent=1)}\n", encoding="utf-8")
            print(f"session {number} of {count}: exit status {status}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        sys.exit(_run_here(*sys.argv[2:]))
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20, sys.argv[3:] or CASES)
