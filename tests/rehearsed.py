"""Cases that train nothing: what they compute and score is read from a file, so that only the session around them is tested."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from results import make_result, make_sample

from pytest_ftcompare.result import Window

FILE = "rehearsed.json"
SCORES = [0.70, 0.72, 0.68, 0.71, 0.69, 0.70, 0.73, 0.67]
CONFTEST = """
import sys

import pytest

sys.path.insert(0, {tests!r})

def pytest_configure(config):
    from rehearsed import rehearse

    config.rehearsed = pytest.MonkeyPatch()
    rehearse(config.rehearsed, config.rootpath)

def pytest_unconfigure(config):
    config.rehearsed.undo()
"""


class Unfit(Exception):
    """What a rehearsed case raises instead of training."""


class Never(Exception):
    """In the place of errors that no rehearsed case raises."""


@contextmanager
def quietly(device: str, say: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    yield say


def rehearse(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Stand-ins for whatever needs torch; the gate, its judge and the session stay as they are."""

    def said(case: Any, name: str, default: Any) -> Any:
        return json.loads((folder / FILE).read_text()).get(case.method, {}).get(name, default)

    def prepare(case: Any, setting: Any) -> Any:
        model = SimpleNamespace(model_type="opt")
        asked = SimpleNamespace(config=model)
        return SimpleNamespace(case=case, method=SimpleNamespace(ask="head"), ask=asked, told=(), examples={})

    def make_candidate(prepared: Any) -> Any:
        case = prepared.case
        found = make_result([], id=case.id, suite=case.suite, identity=case.identity(), outcome=case.outcome)
        return replace(found, fingerprint=said(case, "fingerprint", "f"))

    class Once:
        def __init__(self, prepared: Any, _: Path) -> None:
            self.case = prepared.case

        def inspected(self) -> Any:
            found = make_result([])
            return dict(found.signature), found.probe, said(self.case, "broken", [])

        def counted(self) -> Any:
            return {"peak bytes": said(self.case, "peak", 2**20)}

    def run_seed(prepared: Any, seed: int, say: Callable[..., None]) -> Any:
        if sentence := said(prepared.case, "raises", ""):
            raise Unfit(sentence)
        scores = said(prepared.case, "scores", SCORES)
        score = scores[seed % len(scores)]
        name = f"{prepared.case.method}-{score}"  # no two methods train or predict the same
        return replace(make_sample(seed, score, trace=name), predictions=f"{name}-{seed}")

    def digest_of_short_training(prepared: Any, say: Callable[..., None]) -> Any:
        return said(prepared.case, "short training", "")

    def take_windows(prepared: Any, accepted: Any, found: Any, *_: Any, update: bool) -> dict[str, Any]:
        step = said(prepared.case, "step", 2.5)
        found.windows.extend([Window({"step": [step / 100, step]}, process=said(prepared.case, "process", "p"))] * 3)
        return {}

    modules: dict[str, dict[str, Any]] = {
        "experiment.quiet": {"quiet": lambda: None},
        "experiment.environment": {"device_name": lambda device: device},
        "experiment.model": {"ModelError": Never},
        "experiment.prepare": {"prepare": prepare},
        "experiment.train": {"TrainingError": Unfit},
        "once": {"Once": Once},
        "experiment.drawn": {"subsets": lambda *_: {}},
        "experiment.run": {"run_seed": run_seed},
        "experiment.short_training": {"digest_of_short_training": digest_of_short_training},
        "measure.exhausted": {"Exhausted": Never, "told_when_exhausted": quietly, "free_memory": lambda: None},
        "measure.meter": {"ClockError": Never},
    }
    for name, content in modules.items():
        patch.setitem(sys.modules, f"pytest_ftcompare.{name}", SimpleNamespace(**content))
    gate = import_module("pytest_ftcompare.gate")  # not as its package's attribute: pytester forgets what a run imported
    patch.setattr(gate, "make_setting", lambda _: SimpleNamespace(device="cpu"))
    patch.setattr(gate, "make_candidate", make_candidate)
    patch.setattr(gate, "refused", lambda _: [])
    patch.setattr(gate, "take_windows", take_windows)
    patch.setattr(gate, "why_untimed", lambda *_, **__: "")


class Rehearsal:
    """A folder with a suite whose cases are rehearsed; `says` what each method gives."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester, self.baselines = pytester, pytester.path / "baselines"
        pytester.makeconftest(CONFTEST.format(tests=str(Path(__file__).parent)))
        self.says()
        self.suite()

    def says(self, **methods: dict[str, Any]) -> None:
        (self.pytester.path / FILE).write_text(json.dumps(methods))

    def suite(self, methods=("full", "icl", "lora"), name="test_quick", more="", **table: Any) -> None:
        table = {"tasks": ("pocket_sst",), "shots": (2,), "models": ("pocket/opt-0.4m",), **table}
        values = ", ".join(f"{key}={value!r}" for key, value in table.items() if value is not None)
        self.pytester.makepyfile(
            **{
                name: f"import pytest\n\n@pytest.mark.ftcompare(methods={tuple(methods)}, {values})\n"
                f"def test_quick(gate):\n    gate()\n\n{more}"
            }
        )

    def run(self, *arguments: str) -> pytest.RunResult:
        own = ("-p", "pytest_ftcompare.plugin", *arguments)
        if any(one.startswith("-n") and one != "-n0" for one in arguments):  # only workers need processes
            return self.pytester.runpytest_subprocess(*own)
        return self.pytester.runpytest_inprocess(*own)

    def update(self, *arguments: str) -> pytest.RunResult:
        result = self.run("--update-baselines", *arguments)
        assert result.ret == 0, result.stdout.str()
        return result

    def file(self, name: str) -> Path:
        """The baseline of the one case whose name begins so."""
        (found,) = self.baselines.rglob(f"{name}-*.json")
        return found

    def names(self) -> list[str]:
        """The methods that have a baseline."""
        return sorted(one.stem.split("-")[0] for one in self.baselines.rglob("*.json"))
