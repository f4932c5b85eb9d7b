"""The order of a session's tests under workers, and how they are handed out."""

from types import SimpleNamespace

import pytest

from pytest_ftcompare.gate.profiles import PROFILES
from pytest_ftcompare.gate.worker_status import WorkerStatus
from pytest_ftcompare.plugin.case_order import send_one_by_one, order_items
from pytest_ftcompare.results.case import Case


def item(name, shots=0, method="full", model="pocket/opt-1.4m"):
    """A test as pytest has it: of a case if it has shots."""
    case = Case("suite", method, "pocket_cola", model, shots)
    return SimpleNamespace(
        name=name, callspec=SimpleNamespace(params={"gate": case}) if shots else None
    )


def names(items):
    return [one.name for one in order_items(items, PROFILES["pocket"], "cpu")]


def test_the_shortest_case_then_from_the_longest_on_then_other_tests_in_their_order():
    items = [item("b"), item("short", 2), item("middle", 16), item("a"), item("long", 128)]
    assert names(items) == ["short", "long", "middle", "b", "a"]


def test_a_case_of_a_model_that_nobody_knows_the_size_of_counts_as_long():
    assert names([item("short", 2), item("long", 128), item("unknown", 2, model="who/knows")]) == [
        "short",
        "unknown",
        "long",
    ]


@pytest.mark.parametrize("items", [[], [item("a"), item("b")], [item("case", 2)]])
def test_what_has_no_order_keeps_its_own(items):
    assert order_items(items, PROFILES["pocket"], "cpu") == items


def config(scheduler):
    dsession = SimpleNamespace(sched=scheduler)
    return SimpleNamespace(pluginmanager=SimpleNamespace(getplugin={"dsession": dsession}.get))


@pytest.mark.parametrize(("before", "cases", "after"), [(None, 3, 1), (None, 0, None), (7, 3, 7)])
def test_tests_are_handed_out_one_by_one_where_there_are_cases_and_the_user_said_nothing_else(
    tmp_path, before, cases, after
):
    if cases:
        WorkerStatus(tmp_path, "gw0").write_total(cases)
    scheduler = SimpleNamespace(maxschedchunk=before)
    send_one_by_one(config(scheduler), tmp_path)
    assert scheduler.maxschedchunk == after


def test_another_scheduler_is_left_alone(tmp_path):
    WorkerStatus(tmp_path, "gw0").write_total(3)
    scheduler = SimpleNamespace()
    send_one_by_one(config(scheduler), tmp_path)
    assert vars(scheduler) == {}


def test_workers_run_cases_by_their_length_and_xdist_has_the_number_that_is_set(pytester):
    """By its documented option, and where `one_by_one` finds it."""
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_xdist_node_collection_finished(node):
            print("handed out", node.config.pluginmanager.getplugin("dsession").sched.maxschedchunk)
        """
    )
    pytester.makepyfile(
        test_quick="""
        import pytest

        def test_other():
            pass

        @pytest.mark.ftcompare(methods=("full", "icl"), tasks=("pocket_sst",), shots=(2,), judge_accuracy=False)
        def test_quick(gate):
            pass
        """
    )
    cases = pytester.runpytest_subprocess("-p", "pytest_ftcompare.plugin", "-n1", "-s", "-v")
    cases.assert_outcomes(passed=3)
    cases.stdout.fnmatch_lines(["*handed out 1"])
    cases.stdout.fnmatch_lines(["*PASSED*[[]icl-*", "*PASSED*[[]full-*", "*PASSED*::test_other*"])
    others = pytester.runpytest_subprocess(
        "-p", "pytest_ftcompare.plugin", "-n1", "-s", "-k", "other"
    )
    others.assert_outcomes(passed=1)
    others.stdout.fnmatch_lines(["*handed out None"])
