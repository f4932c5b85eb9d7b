"""The cost of a suite's cases: measured, stored, compared and reported."""

import json
import re

import pytest
import torch
from weather import CORES

from pytest_ftcompare.compare import measured_cost
from pytest_ftcompare.measure import cpu_contention, timed_window
from pytest_ftcompare.plugin.options import SETTINGS

FULL = "--ftcompare-full"


@pytest.fixture
def busy(monkeypatch):
    """A function that makes every later window one in which the worker lost its core."""
    return lambda: monkeypatch.setattr(cpu_contention, "MAX_LOST_SHARE", -1.0)


def results(shell):
    return {
        file.stem.split("-")[0] + file.stem.split("-n")[1][0]: json.loads(file.read_text())
        for file in shell.files()
    }


def faster(shell, times=10):
    """Divide all times in the baselines by `times`."""

    def less(match):
        return f"[{', '.join(str(float(value) / times) for value in match[1].split(', '))}]"

    for file in shell.files():
        text, count = re.subn(
            r"(?<=\": )\[([\d.e-]+, [\d.e-]+, [\d.e-]+)\](?=,?\n {4}\"|\n {3}\})",
            less,
            file.read_text(),
        )
        assert count
        file.write_text(text)


def test_the_first_case_of_a_method_carries_its_time_and_every_case_its_counts(shell, monkeypatch):
    monkeypatch.setattr(measured_cost, "BASELINE_WINDOWS", 3)
    shell.suite(methods=("full", "icl"), shots=(2, 3))
    shell.update()
    found = results(shell)
    assert {name: len(one["windows"]) for name, one in found.items()} == {
        "full2": 3,
        "full3": 0,
        "icl2": 3,
        "icl3": 0,
    }
    assert set(found["full2"]["windows"][0]["times"]) == {"step", "evaluation", "inference"}
    assert set(found["icl2"]["windows"][0]["times"]) == {"evaluation", "inference"}
    assert all(one["signature"]["execution"]["peak bytes"] > 0 for one in found.values())
    assert found["full2"]["signature"]["execution"]["state bytes"] > 0


def test_with_v_and_full_a_run_that_costs_the_same_has_a_table_of_costs(shell):
    shell.suite(methods=("full", "lora"))
    shell.update()
    shell.run("-v", FULL, timed=True).stdout.fnmatch_lines(
        [
            "quick: what a method costs",
            "cost                     step evaluation inference       peak        vs baseline",
            "*full *ms *ms *ms *MiB *",
            "  times compared in yardsticks; peak: bytes of one update, counted",
        ]
    )


def test_a_run_that_costs_the_same_has_no_table_of_costs(shell):
    shell.update()
    result = shell.run(FULL, timed=True)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*what a method costs*")


def test_a_case_without_a_baseline_shows_what_it_costs(shell):
    shell.run(timed=True).stdout.fnmatch_lines(
        ["quick: what a method costs", "full *ms *ms *ms *MiB *new"]
    )


def test_if_nothing_changed_nothing_is_timed_and_a_line_says_so(shell):
    shell.update()
    faster(shell)
    result = shell.run(timed=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "Not timed: 1 case (nothing changed that could move it)",
            "*1 case: 1 same.*",
            "-v shows every case, and, with --ftcompare-full, what each method costs.",
        ]
    )


@pytest.mark.parametrize(
    "asked", [(FULL,), ("--benchmark-json=out.json",), ("--ftcompare-history=history.sqlite",)]
)
def test_a_slower_step_with_nothing_changed_is_noted_and_does_not_fail(shell, asked):
    shell.update()
    faster(shell)
    result = shell.run(*asked, timed=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["Noted, not judged: evaluation +*", "*1 case: 1 same.*"])


def test_a_slower_step_under_another_library_is_timed_and_worse(shell):
    shell.update()
    shell.edit(r'"peft": "[^"]+"', '"peft": "0.1.0"')
    assert shell.run(timed=True).ret == 0
    faster(shell)
    result = shell.run(timed=True)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*: worse, its cost got worse.*", "*step * ms -> * ms: +*% in yardsticks*"]
    )


def test_a_machine_of_another_speed_is_not_timed_and_a_line_says_why(shell, monkeypatch):
    shell.update()
    shell.edit(r'"peft": "[^"]+"', '"peft": "0.1.0"')
    faster(shell)
    measure = timed_window.measure_machine_speed
    monkeypatch.setattr(
        timed_window,
        "measure_machine_speed",
        lambda *of: {kind: 2 * seconds for kind, seconds in measure(*of).items()},
    )
    result = shell.run(timed=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["Not timed: 1 case (another machine: the yardstick * takes 2.00 times*"]
    )


@pytest.mark.parametrize("asked", ["--benchmark-only", "--benchmark-json=out.json"])
def test_workers_know_that_an_option_requests_times(shell, asked):
    """The controller hides the first option from pytest-benchmark; a worker lacks the second."""
    shell.update()
    faster(shell)
    result = shell.run(asked, "-n1", timed=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["Noted, not judged: evaluation +*"])


@pytest.mark.parametrize(
    ("arguments", "full"),
    [
        ((), False),
        (("--benchmark-enable",), False),
        (("--benchmark-disable",), False),
        (("--benchmark-only",), True),
        (("--benchmark-autosave",), True),
        (("--benchmark-sort=name",), True),
        (("--ftcompare-history=h.db",), True),
        ((FULL,), True),
    ],
)
def test_options_that_request_times_turn_full_on(shell, arguments, full):
    config = shell.pytester.parseconfigure("-p", "pytest_ftcompare.plugin", *arguments)
    assert config.stash[SETTINGS].full is full


def test_a_slower_step_is_worse_under_strict_times_and_reported_in_yardsticks(shell):
    shell.update()
    faster(shell)
    result = shell.run("--ftcompare-strict-times", timed=True)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*full-pocket_sst-opt-0.4m-n2-epochs=2: worse, its cost got worse.*",
            "*step * ms -> * ms: +*% in yardsticks*",
            "*1 case: 1 worse.*",
        ]
    )
    result.stdout.no_fnmatch_line("*first divergence: *")


def test_another_thread_count_makes_time_incomparable_and_the_case_is_still_judged(shell):
    shell.update()
    faster(shell)
    result = shell.run("--ftcompare-threads=2", timed=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["Not timed: 1 case (threads 1 -> 2)", "*1 case: 1 same.*"])
    result = shell.run("--ftcompare-threads=2", FULL, timed=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "Not compared in 1 case: evaluation, inference, step (threads 1 -> 2)",
            "*1 case: 1 same.*",
        ]
    )


def test_a_worker_that_lost_its_core_is_not_called_slow(shell, busy):
    shell.update()
    faster(shell)
    busy()
    result = shell.run(FULL, timed=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["Not compared in 1 case: *(other processes had this*", "*1 case: 1 same.*"]
    )


def test_an_update_on_a_busy_machine_reports_baselines_without_times(shell, busy):
    busy()
    shell.update().stdout.fnmatch_lines(
        ["1 baselines hold no time, as every window was disturbed: update*", "*on a quiet machine."]
    )
    assert len(results(shell)["full2"]["windows"]) == 2 * measured_cost.BASELINE_WINDOWS


def test_more_work_in_a_step_is_found_by_counting_on_the_busiest_machine(shell, monkeypatch):
    from pytest_ftcompare.methods import full

    shell.update()
    matrix = torch.ones(64, 64)
    monkeypatch.setattr(full.Full, "penalty", lambda self, model: 0.0 * (matrix @ matrix).sum())
    result = shell.run("--benchmark-disable")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*: changed, it computes something else*", "*flops * -> *: +*%, counted*", "*operations *"]
    )


def test_a_second_copy_of_the_weights_is_found_by_counting(shell, monkeypatch):
    import copy

    from pytest_ftcompare.methods import full

    def apply(self, model):
        self.second = copy.deepcopy(model)
        return model

    def penalty(self, model):
        return 0.0 * sum(tensor.sum() for tensor in self.second.parameters()).detach()

    shell.update()
    monkeypatch.setattr(full.Full, "apply", apply)
    monkeypatch.setattr(full.Full, "penalty", penalty)
    result = shell.run("--benchmark-disable")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*: worse, its cost got worse.*", "*peak bytes *MiB -> *MiB: +*%, counted*"]
    )


def test_with_benchmarks_disabled_nothing_is_timed_and_counts_are_compared(shell):
    shell.update()
    faster(shell)
    result = shell.run("--benchmark-disable")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*what a method costs*")


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["without xdist", "n2"])
@pytest.mark.parametrize("how", ["--benchmark-disable", "--benchmark-skip"])
def test_an_update_without_timing_is_refused_before_anything_runs(shell, how, workers):
    result = shell.run("--update-baselines", how, *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*--update-baselines also stores times: expected pytest-benchmark to be installed "
            "and enabled*"
        ]
    )
    assert shell.files() == []


def test_without_pytest_benchmark_the_gate_still_judges_what_it_can(shell):
    shell.update()
    assert shell.run("-p", "no:benchmark", timed=True).ret == 0
    assert shell.run("-p", "no:benchmark", "--update-baselines").ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["without xdist", "n2"])
def test_pytest_benchmarks_storage_has_every_timed_piece_once_with_its_results(shell, workers):
    shell.suite(methods=("full", "icl"), shots=(2, 3))
    shell.run("--benchmark-json=out.json", *workers)
    found = json.loads((shell.pytester.path / "out.json").read_text())
    names = [one["name"] for one in found["benchmarks"]]
    full, icl = (f"test_quick[{name}-pocket_sst-opt-0.4m-n2-epochs=2]" for name in ("full", "icl"))
    assert sorted(names) == sorted(
        [
            f"{full}:step",
            f"{full}:evaluation",
            f"{full}:inference",
            f"{icl}:evaluation",
            f"{icl}:inference",
        ]
    )
    info = found["benchmarks"][names.index(f"{full}:step")]["extra_info"]
    assert info["verdict"] == "new"
    assert 0 < info["accuracy"] <= 1
    assert info["peak bytes"] > info["weights bytes"] > 0
    assert info["environment"]["threads"] == 1
    assert found["machine_info"]["ftcompare"]["devices"] == [info["device"]]


def test_benchmark_only_runs_the_cases_that_are_timed(shell):
    shell.suite(methods=("full", "icl"), shots=(2, 3))
    shell.update()
    outcomes = shell.run("--benchmark-only").parseoutcomes()
    assert outcomes["skipped"] == 2


def test_running_out_of_memory_is_one_sentence_and_the_next_case_runs(shell, monkeypatch):
    from pytest_ftcompare.methods import full

    shell.suite(methods=("full", "icl"))
    shell.update()
    monkeypatch.setattr(
        full.Full, "penalty", lambda self, model: torch.empty(2**60, dtype=torch.uint8)
    )
    result = shell.run("--benchmark-disable")
    result.stdout.fnmatch_lines(
        ["*out of memory after 'inspecting': it needed 1048576.00 TiB more, *"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.fnmatch_lines(["2 cases: 1 same, 1 invalid."])


def test_auto_workers_are_as_many_as_cores_and_memory_allow(shell, monkeypatch):
    from pytest_ftcompare import plugin
    from pytest_ftcompare.measure import gpu_assignment, host

    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    monkeypatch.setattr(host, "cpus", lambda: 16)
    monkeypatch.setattr(host, "available_memory", lambda: 5 * 2**30)
    monkeypatch.setattr(gpu_assignment, "count_gpus", lambda: 0)
    config = shell.pytester.parseconfig("-p", "pytest_ftcompare.plugin", "-n", "1")
    config.option.numprocesses = "auto"
    assert plugin.pytest_xdist_auto_num_workers(config) == 3
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "7")
    assert plugin.pytest_xdist_auto_num_workers(config) is None


def test_auto_workers_start_in_a_real_run(shell):
    shell.pytester.makepyfile(test_nothing="def test_nothing(): pass")
    result = shell.pytester.runpytest_subprocess(
        "-p", "pytest_ftcompare.plugin", "-n", "auto", "test_nothing.py"
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"created: {CORES}/{CORES} workers*"])
