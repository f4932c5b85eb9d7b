"""Faults of cost in cases that are timed: which of them the gate finds, and by what.

`python -m tests.faults.timed docs/faults.json [FAULT ...]` makes baselines of a few small cases in a folder of its own, and
runs them with one fault after the other, some times each, on an otherwise idle machine; all faults, or those named, the others
staying on record. The environment says that an upgrade came with each run, or times would not be judged; what moves is the
fault's. `--reference` runs them beside an environment of the same versions, this one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from .cost import more_work, no_checkpointing, second_copy, waiting, wider_state
from .run import upgrade

RUNS = 5
SUITE = """
import pytest

@pytest.mark.ftcompare(
    methods=("full", "lora", "bitfit"),
    tasks=("cola",),
    shots=(16,),
    options={"gradient_checkpointing": True, "epochs": 2},
    judge_accuracy=False,
)
def test_faults(gate):
    gate()
"""
TIMED: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "5 % more work in the step": more_work,
    "5 % of the step asleep": waiting,
    "optimiser state in a wider type": wider_state,
    "gradient checkpointing off": no_checkpointing,
    "a second copy of the weights kept alive": second_copy,
}


class Put:
    """A plugin that puts one fault in before anything runs, and keeps the verdicts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: dict[str, Any] = {}

    def pytest_sessionstart(self) -> None:
        upgrade(["peft", "transformers"])  # with another torch, yardsticks would be others
        TIMED[self.name]()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if (text := getattr(report, "ftcompare", None)) is not None:
            verdict = json.loads(text)["verdict"]
            self.found[verdict["id"]] = verdict


def run(folder: Path, name: str, *arguments: str) -> dict[str, dict[str, Any]]:
    """Case -> its verdict, of one run with a fault in a process of its own."""
    (folder / "verdicts.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.faults.timed", "--run", name, str(folder), *arguments]
    subprocess.run(command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, check=False)
    found: dict[str, dict[str, Any]] = json.loads((folder / "verdicts.json").read_text())
    return found


def _run_here(name: str, folder: str, *arguments: str) -> None:
    import pytest

    # The fault is this environment's: processes that it starts to time in have it, a reference's do not.
    (Path(folder) / "sitecustomize.py").write_text(
        f"from tests.faults.timed import TIMED\n\nTIMED[{name!r}]()\n"
    )
    sys.path.insert(0, folder)
    put = Put(name)
    places = [f"--rootdir={folder}", f"--ftcompare-baselines={folder}/baselines"]
    pytest.main(
        [*places, "-p", "no:cacheprovider", "--ftcompare-seeds=3", *arguments, folder],
        plugins=[put],
    )
    (Path(folder) / "verdicts.json").write_text(json.dumps(put.found))


def main(file: Path, names: Sequence[str]) -> None:
    """Run the faults, and write the record."""
    record: dict[str, Any] = json.loads(file.read_text())["faults"] if file.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_faults.py").write_text(SUITE)
        run(folder, "nothing", "--update-baselines")
        beside = [f"--ftcompare-reference={sys.executable}"] if "--reference" in names else []
        for fault in [one for one in names if one != "--reference"] or TIMED:
            runs = [run(folder, fault, *beside) for _ in range(RUNS)]
            one = record[fault] = {}
            for case in runs[0]:
                moved: Counter[str] = Counter()
                for found in runs:
                    moved.update(
                        cost["metric"]
                        for cost in found[case]["costs"]
                        if cost["outcome"] in ("worse", "changed")
                    )
                verdicts = Counter(found[case]["verdict"] for found in runs)
                one[case.split("-", 1)[0]] = {
                    "verdicts": dict(verdicts),
                    "moved": dict(sorted(moved.items())),
                }
            print(fault, json.dumps(one), file=sys.stderr, flush=True)
    file.write_text(
        f"{json.dumps({'date': date.today().isoformat(), 'runs': RUNS, 'faults': record}, indent=1)}\n"
    )


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        _run_here(*sys.argv[2:])
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
