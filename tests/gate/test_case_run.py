"""pytest-benchmark's extra_info describes the window that had the stored rounds."""

from make_results import make_result

from pytest_ftcompare.compare.verdict import without_baseline
from pytest_ftcompare.gate.run_case import CaseRun
from pytest_ftcompare.results.result import Window


def window(process, yardsticks, disturbed=""):
    return Window({"step": [0.1, yardsticks]}, process=process, disturbed=disturbed)


def test_extra_info_is_of_the_last_window_of_the_first_process():
    windows = [
        window("here", 1.0),
        window("fresh", 2.0),
        window("here", 3.0, "busy"),
        window("fresh", 4.0),
    ]
    result = make_result([0.7], windows=windows)
    result.signature["execution"] = {}
    result.environment["cpu"] = "AMD"
    info = CaseRun(without_baseline(result), result, "cpu").benchmark_info("step")
    assert (info["yardsticks"], info["disturbed"]) == (3.0, "busy")
