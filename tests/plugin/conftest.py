"""Fixture `shell`: a folder with one small suite, and a runner of pytest in it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ftcompare.compare import measured_cost
from pytest_ftcompare.gate import shared_inspection
from pytest_ftcompare.measure import timer
from pytest_ftcompare.training.prepare import PreparedCase

QUICK = 'options={"epochs": 2}'
FEW_ROWS = """
[tool.ftcompare.profiles.pocket]
test_rows = 40  # of the 200 or 400 of each test split: few session tests need accuracy
"""
PLUGIN = ("-p", "pytest_ftcompare.plugin", "-p", "no:cacheprovider", "--ftcompare-window=0")


class Shell:
    """Writes suites and runs pytest in its own folder; in this process, unless workers run."""

    plugin = PLUGIN

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.baselines = pytester.path / "baselines"
        pytester.makepyprojecttoml(FEW_ROWS)
        self.suite(methods=("full",))

    def every_row(self) -> None:
        """Use all test rows of the embedded data, for a test of accuracy."""
        (self.pytester.path / "pyproject.toml").unlink()

    def suite(
        self,
        methods=("full",),
        tasks=("pocket_sst",),
        shots=(2,),
        extra=f"{QUICK}, judge_accuracy=False",
    ) -> None:
        self.pytester.makepyfile(
            test_quick=f"""
            import pytest

            @pytest.mark.ftcompare(
                methods={tuple(methods)}, tasks={tuple(tasks)}, shots={tuple(shots)},
                models=("pocket/opt-0.4m",), {extra}
            )
            def test_quick(gate):
                gate()
            """
        )

    def run(self, *arguments: str, timed: bool = False) -> pytest.RunResult:
        """Run pytest, without timing unless `timed`: other tests should not meet its noise."""
        if not timed and not any(
            argument.startswith(("--update", "--benchmark")) for argument in arguments
        ):
            arguments = ("--benchmark-disable", *arguments)
        # Only workers need a process.
        if any(argument.startswith("-n") and argument != "-n0" for argument in arguments):
            return self.pytester.runpytest_subprocess(*PLUGIN, *arguments)
        return self.pytester.runpytest_inprocess(*PLUGIN, *arguments)

    def update(self, *arguments: str, seeds: int = 3) -> pytest.RunResult:
        result = self.run("--update-baselines", f"--ftcompare-seeds={seeds}", *arguments)
        assert result.ret == 0, result.stdout.str()
        return result

    def files(self) -> list[Path]:
        return sorted(self.baselines.rglob("*.json"))

    def edit(self, pattern: str, replacement: str) -> None:
        """Edit every baseline; the pattern must occur."""
        for file in self.files():
            text, count = re.subn(pattern, replacement, file.read_text())
            assert count, f"{pattern} does not occur in {file}"
            file.write_text(text)


@pytest.fixture(autouse=True)
def one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take one window of one round for each timed case: by the tests' clock all are alike."""
    monkeypatch.setattr(measured_cost, "BASELINE_WINDOWS", 1)
    monkeypatch.setattr(timer, "WARM_UP_CALLS", 1)
    monkeypatch.setattr(timer, "ROUNDS", 1)


def _experiment(prepared: PreparedCase) -> tuple[Any, ...]:
    """Return what tells an experiment from others, the functions of its method among it."""
    method = tuple(
        (kind, name, value)
        for kind in type(prepared.method).__mro__[:-1]
        for name, value in vars(kind).items()
        if callable(value) or isinstance(value, property)
    )
    return (
        prepared.fingerprint(),
        repr((prepared.config, prepared.recipe)),
        prepared.task,
        method,
    )


def _remember(compute: Callable[[PreparedCase], Any]) -> Callable[[PreparedCase], Any]:
    memory: dict[tuple[Any, ...], Any] = {}

    def compute_once(prepared: PreparedCase) -> Any:
        key = _experiment(prepared)
        if key not in memory:
            memory[key] = compute(prepared)
        return copy.deepcopy(memory[key])

    return compute_once


INSPECTED = _remember(shared_inspection.inspect_any_shots)
COUNTED = _remember(shared_inspection.count_update)


@pytest.fixture(autouse=True)
def inspected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inspect each experiment once for all sessions in this process: an inspection takes seconds.

    A test of an inspection belongs elsewhere. One that changes a function of a method gets an
    inspection of its own, one that changes another function that an inspection calls does not.
    """
    monkeypatch.setattr(shared_inspection, "inspect_any_shots", INSPECTED)
    monkeypatch.setattr(shared_inspection, "count_update", COUNTED)


@pytest.fixture
def shell(pytester: pytest.Pytester) -> Shell:
    return Shell(pytester)
