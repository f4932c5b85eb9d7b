"""Cases that read their results from a file and train nothing, to test the session around them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from make_results import make_result, make_seed_result

from pytest_ftcompare.compare.known_faults import CaseFacts
from pytest_ftcompare.gate.case_work import CaseError, Progress
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.results.case import Case
from pytest_ftcompare.results.result import Json, Result, SeedResult, Window

FILE = "recorded.json"
SCORES = [0.70, 0.72, 0.68, 0.71, 0.69, 0.70, 0.73, 0.67]
CONFTEST = """
import sys

sys.path.insert(0, {tests!r})

def pytest_configure(config):
    from recorded import RecordedCases

    from pytest_ftcompare.plugin.worker import OPENER

    config.stash[OPENER] = RecordedCases(config.rootpath)
"""


class RecordedCase:
    """An open case with numbers from a file, by method, or defaults."""

    device, remarks = "cpu", ()

    def __init__(self, case: Case, run_context: RunContext, folder: Path) -> None:
        self.case, self.run_context, self._folder = case, run_context, folder
        self.facts = CaseFacts(case.method, "head", "opt")

    def _recorded(self, name: str, default: Any) -> Any:
        return (
            json.loads((self._folder / FILE).read_text())
            .get(self.case.method, {})
            .get(name, default)
        )

    def candidate(self) -> Result:
        case = self.case
        result = make_result(
            [],
            id=case.id,
            suite=case.suite,
            identity=case.identity(),
            judge_accuracy=case.judge_accuracy,
        )
        return replace(result, fingerprint=self._recorded("fingerprint", "f"))

    def run_audits(self) -> list[str]:
        return []

    def row_names(self) -> dict[str, list[str]]:
        return {}

    def inspect(self) -> tuple[Json, Json, list[str]]:
        result = make_result([])
        return dict(result.signature), result.probe, self._recorded("broken", [])

    def count(self) -> Json:
        return {"peak bytes": self._recorded("peak", 2**20)}

    def row_digests(self, seeds: int) -> dict[str, str]:
        return {str(seed): make_seed_result(seed, 0.5).training_rows for seed in range(seeds)}

    def run_seed(self, seed: int, progress: Progress) -> SeedResult:
        if sentence := self._recorded("raises", ""):
            raise CaseError(sentence)
        scores = self._recorded("scores", SCORES)
        score = scores[seed % len(scores)]
        name = f"{self.case.method}-{score}"  # no two methods train or predict the same
        return replace(
            make_seed_result(seed, score, trace=name), predictions_digest=f"{name}-{seed}"
        )

    def short_training(self, progress: Progress) -> str:
        return self._recorded("short training", "")

    def repeats_short_training(self, digest: str) -> bool:
        return True

    def why_untimed(self, baseline: Result | None, candidate: Result, *, update: bool) -> str:
        return ""

    def take_windows(
        self, baseline: Result | None, candidate: Result, *, update: bool
    ) -> dict[str, Any]:
        step = self._recorded("step", 2.5)
        candidate.windows.extend(
            [Window({"step": [step / 100, step]}, process=self._recorded("process", "p"))] * 3
        )
        return {}


class RecordedCases:
    """Opens recorded cases; the gate and the session are the real ones.

    Claims about times, and about counts of cases that the session does not run, need torch.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(
        self, case: Case, settings: Settings, run_context: RunContext
    ) -> Iterator[RecordedCase]:
        yield RecordedCase(case, run_context, self._folder)


class RecordedSuite:
    """A folder with a suite of recorded cases; `record` sets each method's numbers."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester, self.baselines = pytester, pytester.path / "baselines"
        pytester.makeconftest(CONFTEST.format(tests=str(Path(__file__).parent)))
        self.record()
        self.suite()

    def record(self, **methods: dict[str, Any]) -> None:
        (self.pytester.path / FILE).write_text(json.dumps(methods))

    def suite(
        self, methods=("full", "icl", "lora"), name="test_quick", more="", **table: Any
    ) -> None:
        table = {"tasks": ("pocket_sst",), "shots": (2,), "models": ("pocket/opt-0.4m",), **table}
        values = ", ".join(f"{key}={value!r}" for key, value in table.items() if value is not None)
        self.pytester.makepyfile(
            **{
                name: "import pytest\n\n"
                f"@pytest.mark.ftcompare(methods={tuple(methods)}, {values})\n"
                f"def test_quick(gate):\n    gate()\n\n{more}"
            }
        )

    def run(self, *arguments: str) -> pytest.RunResult:
        options = ("-p", "pytest_ftcompare.plugin", *arguments)
        # Only workers need processes.
        if any(option.startswith("-n") and option != "-n0" for option in arguments):
            return self.pytester.runpytest_subprocess(*options)
        return self.pytester.runpytest_inprocess(*options)

    def update(self, *arguments: str) -> pytest.RunResult:
        result = self.run("--update-baselines", *arguments)
        assert result.ret == 0, result.stdout.str()
        return result

    def file(self, name: str) -> Path:
        """Return the baseline file of the only case with this prefix."""
        (path,) = self.baselines.rglob(f"{name}-*.json")
        return path

    def names(self) -> list[str]:
        """Return the methods that have a baseline."""
        return sorted(path.stem.split("-")[0] for path in self.baselines.rglob("*.json"))
