"""A case takes no window where its times were not asked for, or could not be judged."""

from types import SimpleNamespace

import pytest

from pytest_ftcompare.gate.timing import why_untimed


def reason(device="cpu", *, timed=True, provisional=True, update=True, clock=True):
    return why_untimed(
        SimpleNamespace(case=SimpleNamespace(timed=timed), config=SimpleNamespace(device=device)),
        None,
        None,
        SimpleNamespace(clock=object() if clock else None),
        SimpleNamespace(provisional=provisional, full=False, reference=None, strict_times=False),
        update=update,
    )


@pytest.mark.parametrize("update", [True, False])
def test_no_time_is_taken_that_was_not_asked_for(update):
    assert reason(update=update) == "--ftcompare-provisional"


@pytest.mark.parametrize(
    "changes",
    [{"device": "cuda"}, {"provisional": False}, {"timed": False}, {"clock": False}],
    ids=["a GPU's memory is read", "asked for", "not a timed case", "nothing is timed at all"],
)
def test_other_windows_are_taken_as_ever(changes):
    assert reason(**changes) == ""
