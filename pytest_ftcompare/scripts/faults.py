"""Faults of cost, injected into running cases from outside: which of them the gate finds, and by what.

`python -m pytest_ftcompare.scripts.faults docs/faults.json [FAULT ...]` makes baselines of a few small cases in a folder of its
own, and runs them with one fault after the other, some times each; all faults, or those named, the others staying on record. A
fault is what a library upgrade may bring: more work, a wait, a wider type, a lost option, a forgotten copy.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

RUNS = 5
SUITE = """
import pytest

@pytest.mark.ftcompare(
    methods=("full", "lora", "bitfit"),
    tasks=("cola",),
    shots=(16,),
    options={"checkpointing": True, "epochs": 2},
    outcome=False,
)
def test_faults(gate):
    gate()
"""
LEFT: list[object] = []


def more_work() -> None:
    """A twentieth of the update's FLOPs again, in a matrix product."""
    import torch

    from pytest_ftcompare.experiment.train import Training

    update = Training.update
    sizes: WeakKeyDictionary[Training, torch.Tensor] = WeakKeyDictionary()

    def costlier(self: Training, chosen: list[int]) -> Any:
        if self not in sizes:
            tokens = sum(len(self.stage.rows[one]) for one in chosen)
            flops = 6 * tokens * sum(one.numel() for one in self.model.parameters())
            sizes[self] = torch.ones(round((0.05 * flops / 2) ** (1 / 3)), device=self.stage.targets.device).diag()
        _ = sizes[self] @ sizes[self]
        return update(self, chosen)

    Training.update = costlier  # type: ignore[method-assign]


def sleep() -> None:
    """A twentieth of the time of the fastest update so far, spent waiting."""
    from pytest_ftcompare.experiment.train import Training

    update = Training.update
    fastest: WeakKeyDictionary[Training, float] = WeakKeyDictionary()

    def waiting(self: Training, chosen: list[int]) -> Any:
        start = time.perf_counter()
        step = update(self, chosen)
        fastest[self] = min(time.perf_counter() - start, fastest.get(self, 1e9))
        time.sleep(0.05 * fastest[self])
        return step

    Training.update = waiting  # type: ignore[method-assign]


def wider_state() -> None:
    """Between updates the optimiser keeps its moments in twice the width."""
    import torch

    step = torch.optim.AdamW.step

    def wide(self: torch.optim.AdamW, *arguments: Any) -> Any:
        for state in self.state.values():
            state["exp_avg"], state["exp_avg_sq"] = state["exp_avg"].float(), state["exp_avg_sq"].float()
        done = step(self, *arguments)
        for state in self.state.values():
            state["exp_avg"], state["exp_avg_sq"] = state["exp_avg"].double(), state["exp_avg_sq"].double()
        return done

    torch.optim.AdamW.step = wide  # type: ignore[method-assign,assignment]


def no_checkpointing() -> None:
    """The option is taken and not acted on."""
    from transformers import PreTrainedModel

    PreTrainedModel.gradient_checkpointing_enable = lambda self, **_: None  # type: ignore[method-assign]


def second_copy() -> None:
    """The weights as they were are kept alive by nobody's model."""
    from pytest_ftcompare import methods

    for name in ("full", "lora", "bitfit"):
        method = methods.load(name)

        def leaking(self: Any, model: Any, apply: Callable[..., Any] = method.apply) -> Any:
            LEFT.append(copy.deepcopy(model))
            return apply(self, model)

        method.apply = leaking


FAULTS: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "5 % more work in the step": more_work,
    "5 % of the step asleep": sleep,
    "optimiser state in a wider type": wider_state,
    "gradient checkpointing off": no_checkpointing,
    "a second copy of the weights kept alive": second_copy,
}


class Fault:
    """A plugin that puts one fault in before anything runs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def pytest_sessionstart(self) -> None:
        FAULTS[self.name]()


def run(folder: Path, name: str, *arguments: str) -> dict[str, dict[str, Any]]:
    """Case -> its judgement, of one run with a fault in a process of its own."""
    (folder / "judgements.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest_ftcompare.scripts.faults", "--run", name, str(folder), *arguments]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False)
    found: dict[str, dict[str, Any]] = json.loads((folder / "judgements.json").read_text())
    return found


def _run_here(name: str, folder: str, *arguments: str) -> None:
    import pytest

    class Judgements:
        def __init__(self) -> None:
            self.found: dict[str, Any] = {}

        def pytest_runtest_logreport(self, report: Any) -> None:
            if (text := getattr(report, "ftcompare", None)) is not None:
                judgement = json.loads(text)["judgement"]
                self.found[judgement["id"]] = judgement

    seen = Judgements()
    pytest.main(["-p", "no:cacheprovider", "--ftcompare-seeds=3", *arguments, folder], plugins=[Fault(name), seen])
    (Path(folder) / "judgements.json").write_text(json.dumps(seen.found))


def main(file: Path, names: Sequence[str]) -> None:
    """Run the faults, and write the record."""
    record: dict[str, Any] = json.loads(file.read_text())["faults"] if file.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_faults.py").write_text(SUITE)
        run(folder, "nothing", "--update-baselines")
        for fault in names or FAULTS:
            runs = [run(folder, fault) for _ in range(RUNS)]
            one = record[fault] = {}
            for case in runs[0]:
                moved: Counter[str] = Counter()
                for found in runs:
                    moved.update(cost["metric"] for cost in found[case]["costs"] if cost["outcome"] in ("worse", "changed"))
                verdicts = Counter(found[case]["verdict"] for found in runs)
                one[case.split("-", 1)[0]] = {"verdicts": dict(verdicts), "moved": dict(sorted(moved.items()))}
            print(fault, json.dumps(one), file=sys.stderr, flush=True)
    file.write_text(f"{json.dumps({'date': date.today().isoformat(), 'runs': RUNS, 'faults': record}, indent=1)}\n")


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        _run_here(*sys.argv[2:])
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
