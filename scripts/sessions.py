"""Real sessions with nothing changed: every one that fails is a false alarm.

`python -m scripts.sessions docs/sessions.json [COUNT] [pytest's arguments]` makes baselines in a folder of its
own and runs the cases COUNT times (20) against them, each in processes of its own. Recorded are verdicts, the seeds that they
took, and each session that failed. Without arguments the cases are those of the few-shot suite at 16 shots, without timing.
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
    """A plugin that writes what every case was judged."""

    def __init__(self, file: Path) -> None:
        self.file, self.found = file, list[dict[str, Any]]()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if (text := getattr(report, "ftcompare", None)) is not None:
            self.found.append(json.loads(text)["verdict"])

    def pytest_sessionfinish(self) -> None:
        self.file.write_text(json.dumps(self.found), encoding="utf-8")


def run(folder: Path, arguments: Sequence[str]) -> tuple[int, list[dict[str, Any]]]:
    """The exit status and the verdicts of one session, in processes of its own."""
    command = [sys.executable, "-m", "scripts.sessions", "--run", str(folder), *arguments]
    status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    found: list[dict[str, Any]] = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    return status, found


def _run_here(folder: str, *arguments: str) -> int:
    import pytest

    options = [f"--ftcompare-baselines={folder}/baselines", "-p", "no:cacheprovider", *arguments]
    return int(pytest.main(options, plugins=[Verdicts(Path(folder) / "verdicts.json")]))


def main(file: Path, count: int, arguments: Sequence[str]) -> None:
    """Make the baselines, run the sessions, and write the record after each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        making = [one for one in arguments if one != "--benchmark-disable"]
        run(folder, [*making, "--update-baselines", "--ftcompare-window=0"])
        verdicts: Counter[str] = Counter()
        seeds: Counter[int] = Counter()
        failed: list[Any] = []
        for number in range(1, count + 1):
            status, found = run(folder, arguments)
            verdicts.update(one["verdict"] for one in found)
            seeds.update(one["seeds"] for one in found)
            if status:
                failed.append(
                    [one for one in found if one["verdict"] != "same"] or f"exit status {status}"
                )
            record = {
                "date": date.today().isoformat(),
                "arguments": list(arguments),
                "sessions": number,
                "cases": len(found),
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
