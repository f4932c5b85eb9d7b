"""The order of tests under xdist, and how workers get them."""

from types import SimpleNamespace

import pytest

from pytest_ftcompare.gate.profiles import PROFILES
from pytest_ftcompare.gate.worker_status import WorkerStatus
from pytest_ftcompare.plugin.case_order import order_items, send_one_by_one
from pytest_ftcompare.results.case import Case


def item(name, shots=0, method="full", model="pocket/opt-1.4m"):
    """Return a test like pytest's, with a case if it has shots."""
    case = Case("suite", method, "pocket_cola", model, shots)
    return SimpleNamespace(
        name=name, callspec=SimpleNamespace(params={"gate": case}) if shots else None
    )


def names(items):
    return [item.name for item in order_items(items, PROFILES["pocket"], "cpu")]


def test_the_order_is_shortest_case_longest_cases_other_tests():
    items = [item("b"), item("short", 2), item("middle", 16), item("a"), item("long", 128)]
    assert names(items) == ["short", "long", "middle", "b", "a"]


def test_a_case_of_a_model_of_unknown_size_counts_as_long():
    assert names([item("short", 2), item("long", 128), item("unknown", 2, model="who/knows")]) == [
        "short",
        "unknown",
        "long",
    ]


@pytest.mark.parametrize("items", [[], [item("a"), item("b")], [item("case", 2)]])
def test_tests_without_cases_and_a_single_case_keep_their_order(items):
    assert order_items(items, PROFILES["pocket"], "cpu") == items


def config(scheduler):
    dsession = SimpleNamespace(sched=scheduler)
    return SimpleNamespace(pluginmanager=SimpleNamespace(getplugin={"dsession": dsession}.get))


@pytest.mark.parametrize(("before", "cases", "after"), [(None, 3, 1), (None, 0, None), (7, 3, 7)])
def test_workers_get_tests_one_by_one_if_there_are_cases_and_no_user_setting(
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


def test_workers_run_cases_by_length_and_xdist_uses_the_chunk_size(pytester):
    """xdist uses `maxschedchunk` where `send_one_by_one` sets it."""
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

        @pytest.mark.ftcompare(
            methods=("full", "icl"), tasks=("pocket_sst",), shots=(2,), judge_accuracy=False
        )
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
