"""Run the faults of cost in timed cases, and record which metrics show them.

`python -m tests.faults.timed docs/faults.json [FAULT ...] [--reference]` makes baselines of a few
small cases in a temporary folder. It then runs each fault `RUNS` times, on an otherwise idle
machine: all faults, or the named ones while the others stay on record. The environment claims an
upgrade, because the gate does not judge times without one. `--reference` times each run beside this
same environment.
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
from .run import claim_upgrade

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


class FaultPlugin:
    """A pytest plugin that applies a fault at the start and collects the verdicts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.verdicts: dict[str, Any] = {}

    def pytest_sessionstart(self) -> None:
        claim_upgrade(["peft", "transformers"])  # another torch would have other yardsticks
        TIMED[self.name]()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if (text := getattr(report, "ftcompare", None)) is not None:
            verdict = json.loads(text)["verdict"]
            self.verdicts[verdict["id"]] = verdict


def run(folder: Path, name: str, *arguments: str) -> dict[str, dict[str, Any]]:
    """Run the cases with a fault in another process, and return verdicts by case."""
    (folder / "verdicts.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.faults.timed", "--run", name, str(folder), *arguments]
    subprocess.run(command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, check=False)
    verdicts: dict[str, dict[str, Any]] = json.loads((folder / "verdicts.json").read_text())
    return verdicts


def _run_here(name: str, folder: str, *arguments: str) -> None:
    import pytest

    # The fault belongs to this environment: its timing processes have it, a reference's do not.
    (Path(folder) / "sitecustomize.py").write_text(
        f"from tests.faults.timed import TIMED\n\nTIMED[{name!r}]()\n"
    )
    sys.path.insert(0, folder)
    plugin = FaultPlugin(name)
    folders = [f"--rootdir={folder}", f"--ftcompare-baselines={folder}/baselines"]
    pytest.main(
        [*folders, "-p", "no:cacheprovider", "--ftcompare-seeds=3", *arguments, folder],
        plugins=[plugin],
    )
    (Path(folder) / "verdicts.json").write_text(json.dumps(plugin.verdicts))


def main(file: Path, names: Sequence[str]) -> None:
    """Run the faults, and write the record after each one."""
    record: dict[str, Any] = json.loads(file.read_text())["faults"] if file.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_faults.py").write_text(SUITE)
        run(folder, "nothing", "--update-baselines")
        reference = [f"--ftcompare-reference={sys.executable}"] if "--reference" in names else []
        for fault in [option for option in names if option != "--reference"] or TIMED:
            runs = [run(folder, fault, *reference) for _ in range(RUNS)]
            entry = record[fault] = {}
            for case in runs[0]:
                moved: Counter[str] = Counter()
                for verdicts_by_case in runs:
                    moved.update(
                        cost["metric"]
                        for cost in verdicts_by_case[case]["costs"]
                        if cost["outcome"] in ("worse", "changed")
                    )
                verdicts = Counter(run_verdicts[case]["verdict"] for run_verdicts in runs)
                entry[case.split("-", 1)[0]] = {
                    "verdicts": dict(verdicts),
                    "moved": dict(sorted(moved.items())),
                }
            print(fault, json.dumps(entry), file=sys.stderr, flush=True)
            content = {"date": date.today().isoformat(), "runs": RUNS, "faults": record}
            file.write_text(f"{json.dumps(content, indent=1)}\n")


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        _run_here(*sys.argv[2:])
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
