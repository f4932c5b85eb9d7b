"""Which processes time a case beside a reference."""

import math
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_ftcompare.gate import reference_timing
from pytest_ftcompare.gate.reference_timing import ReferenceTiming
from pytest_ftcompare.gate.remote import RemoteError


@pytest.mark.parametrize(("device", "keep"), [("cpu", True), ("cuda", False)])
def test_no_process_keeps_a_model_on_a_gpu(monkeypatch, device, keep):
    asked = []

    class Processes:
        @contextmanager
        def process_of(self, python, *, keep):
            asked.append((python, keep))
            yield None
            raise AssertionError

    def prepare(timing, remote):
        raise RemoteError("it ended")

    monkeypatch.setattr(reference_timing, "TIMING_PROCESSES", Processes())
    monkeypatch.setattr(ReferenceTiming, "_prepare", prepare)
    timing = ReferenceTiming(
        SimpleNamespace(
            config=SimpleNamespace(device=device),
            method=SimpleNamespace(trains=False, mergeable=True),
        ),
        None,
        SimpleNamespace(report_status=lambda text: None, clock=lambda: 0.0),
        SimpleNamespace(reference=SimpleNamespace(python_for=lambda *_: Path("python"))),
    )
    refused = timing.compare_times()
    assert refused.refusal == "no reference: it ended"
    # It says so of each piece of work that the method has.
    metrics = [comparison.metric for comparison in refused.comparisons]
    assert metrics == ["evaluation", "inference", "merged inference"]
    assert all(math.isnan(comparison.new) for comparison in refused.comparisons)
    assert asked == [(Path("python"), keep), (None, keep)]


def test_a_worker_lets_others_time_when_it_has_prepared_a_process():
    done = []
    timing = ReferenceTiming(
        SimpleNamespace(case="case", config="config"),
        None,
        SimpleNamespace(pause=lambda: done.append("pause")),
        SimpleNamespace(root=Path()),
    )
    timing._prepare(SimpleNamespace(prepare=lambda *_: done.append("prepare")))
    assert done == ["prepare", "pause"]
