"""A folder with one small suite, and a runner that plays a stranger at a shell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_ftcompare.compare import measured_cost
from pytest_ftcompare.measure import timer

QUICK = 'options={"epochs": 2}'
FEW_ROWS = """
[tool.ftcompare.profiles.pocket]
test_rows = 40  # of each test split, of 200 or 400 rows: few tests of a session ask how well a model does
"""
PLUGIN = ("-p", "pytest_ftcompare.plugin", "-p", "no:cacheprovider", "--ftcompare-window=0")


class Shell:
    """Writes suites and runs pytest in a folder of its own, in this process unless workers are asked for."""

    plugin = PLUGIN

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.baselines = pytester.path / "baselines"
        pytester.makepyprojecttoml(FEW_ROWS)
        self.suite(methods=("full",))

    def every_row(self) -> None:
        """Test on all rows of the embedded data, for a test of how well a model does."""
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
                methods={tuple(methods)}, tasks={tuple(tasks)}, shots={tuple(shots)}, models=("pocket/opt-0.4m",), {extra}
            )
            def test_quick(gate):
                gate()
            """
        )

    def run(self, *arguments: str, timed: bool = False) -> pytest.RunResult:
        """Run pytest; nothing is timed unless a test is about time, whose noise no other test should meet."""
        if not timed and not any(one.startswith(("--update", "--benchmark")) for one in arguments):
            arguments = ("--benchmark-disable", *arguments)
        if any(
            one.startswith("-n") and one != "-n0" for one in arguments
        ):  # only workers need processes
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
    """An update takes one window of each timed case, not three, and of a round: by the clock of tests they are alike."""
    monkeypatch.setattr(measured_cost, "BASELINE_WINDOWS", 1)
    monkeypatch.setattr(timer, "WARM_UP_CALLS", 1)
    monkeypatch.setattr(timer, "ROUNDS", 1)


@pytest.fixture
def shell(pytester: pytest.Pytester) -> Shell:
    return Shell(pytester)
