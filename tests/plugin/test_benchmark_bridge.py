"""pytest-benchmark with the gate's entries: the same without xdist, and with 0 or 2 workers."""

import json
from fnmatch import fnmatch

import pytest
from plugin.conftest import PLUGIN

from pytest_ftcompare.plugin import benchmark_bridge

# Each reading of the clock is STEP after the last one, so that durations are known.
CLOCK = """
import itertools, os

ticks = itertools.count()

def clock():
    return next(ticks) * float(os.environ.get("STEP", "1"))
"""
CONFTEST = """
import os, pytest
from pytest_ftcompare.plugin import benchmark_bridge

@pytest.fixture
def spend(benchmark):
    return lambda: benchmark.pedantic(len, args=([],), rounds=3, iterations=2)

@pytest.fixture
def meter(benchmark):
    def measure():
        now = benchmark_bridge.timer(benchmark)
        start = now()
        seconds = [now() - start, 4.0]
        device = {"name": os.environ.get("DEVICE", "a CPU")}
        benchmark_bridge.record(benchmark, "step", seconds, 2, {"accuracy": 0.5, "device": device})
        benchmark_bridge.record(benchmark, "inference", [0.25], 1, {"device": device})
    return measure

@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_generate_machine_info(config):
    return {"cpu": "any"}

@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_generate_commit_info(config):
    return {"id": "none"}
"""
TESTS = """
import pytest
from clock import clock
from pytest_ftcompare.results.case import Case

pytestmark = pytest.mark.benchmark(timer=clock)

cases = [Case("s", method, "cola", "opt", 4) for method in ("lora", "full")]

@pytest.mark.parametrize("case", cases, ids=lambda case: case.id)
def test_later_in_the_alphabet(spend, case):
    spend()

def test_early(spend, benchmark):
    benchmark.extra_info["kept"] = {"in order": [1, 2]}
    spend()

def test_gated(meter):
    meter()

def test_plain():
    pass
"""
LATER = "test_some.py::test_later_in_the_alphabet"
NAMES = [
    f"{LATER}[lora-cola-opt-n4]",
    f"{LATER}[full-cola-opt-n4]",
    "test_some.py::test_early",
    "test_some.py::test_gated:step",
    "test_some.py::test_gated:inference",
]
WAYS = {"without xdist": ("-p", "no:xdist"), "n0": ("-n0",), "n2": ("-n2",)}


class Bench:
    """A folder with benchmarks, and a runner of pytest in one of `WAYS`."""

    def __init__(self, pytester, way=()):
        self.pytester, self.way, self.path = pytester, way, pytester.path
        pytester.makeconftest(CONFTEST)
        pytester.syspathinsert()
        pytester.makepyfile(test_some=TESTS, clock=CLOCK)

    def run(self, *arguments, way=None):
        way = self.way if way is None else way
        # A regression is an exception that ends the process.
        apart = "-n2" in way or any("fail" in argument for argument in arguments)
        run = self.pytester.runpytest_subprocess if apart else self.pytester.runpytest_inprocess
        result = run(*PLUGIN, *way, *arguments)
        assert "automatically disabled" not in result.stdout.str() + result.stderr.str()
        return result

    def json(self, *arguments, way=None):
        """Return the result of --benchmark-json."""
        self.run("--benchmark-json=out.json", *arguments, way=way)
        return json.loads((self.path / "out.json").read_text())


@pytest.fixture
def bench(pytester):
    return Bench(pytester)


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def each(pytester, request):
    return Bench(pytester, request.param)


def names(content):
    return [entry["fullname"] for entry in content["benchmarks"]]


def test_the_json_has_all_measurements_in_every_way(each):
    content = each.json()
    assert names(content) == NAMES
    first, _, early, step, inference = content["benchmarks"]
    assert first["params"] == {"case": "lora-cola-opt-n4"}
    assert (early["stats"]["data"], early["stats"]["rounds"], early["stats"]["iterations"]) == (
        [0.5] * 3,
        3,
        2,
    )
    assert (early["params"], early["group"], early["extra_info"]) == (
        None,
        None,
        {"kept": {"in order": [1, 2]}},
    )
    assert early["options"]["timer"] == "clock"
    assert (step["name"], step["group"]) == ("test_gated:step", "step")
    assert step["stats"]["data"] == [0.5, 2.0]  # of one call: two to a round
    assert step["extra_info"] == {"accuracy": 0.5, "device": {"name": "a CPU"}}
    assert (inference["group"], inference["stats"]["data"]) == ("inference", [0.25])
    assert inference["extra_info"] == {"device": {"name": "a CPU"}}
    assert content["machine_info"] == {"cpu": "any", "ftcompare": {"devices": [{"name": "a CPU"}]}}


@pytest.mark.parametrize("option", ["--benchmark-save=mine", "--benchmark-autosave"])
def test_one_file_is_saved_in_the_storage(each, option):
    result = each.run(option, "--benchmark-storage=kept")
    assert result.ret == 0
    # A worker would say so.
    assert "Not saving anything" not in result.stdout.str() + result.stderr.str()
    (file,) = (each.path / "kept").rglob("*.json")
    assert file.name.startswith("0001_mine" if "mine" in option else "0001_")
    assert names(json.loads(file.read_text())) == NAMES


def test_a_comparison_shows_both_runs_and_fails_on_a_regression(each, monkeypatch):
    each.run("--benchmark-save=base", way=())
    compare = ("--benchmark-compare", "--benchmark-compare-fail=mean:5%")
    same = each.run(*compare)
    assert same.ret == 0
    assert same.stderr.str().count("Comparing against benchmarks from") == 1
    same.stdout.fnmatch_lines(["*test_early (0001_base)*", "*test_early (NOW)*"])
    assert "machine_info is different" not in same.stdout.str() + same.stderr.str()
    monkeypatch.setenv("STEP", "2")
    slower = each.run(*compare)
    assert slower.ret == 1
    slower.stderr.fnmatch_lines(
        ["*Performance has regressed*", "*test_early (0001_base) - Field 'mean' has failed*"]
    )


@pytest.mark.parametrize("option", [(), ("--benchmark-disable",)], ids=["enabled", "disabled"])
def test_is_active_counts_as_using_the_fixture(bench, option):
    bench.pytester.makepyfile(
        test_some="from pytest_ftcompare.plugin import benchmark_bridge\n\n"
        "def test_asks(benchmark):\n"
        f"    assert benchmark_bridge.is_active(benchmark) is {not option}\n"
    )
    result = bench.run(*option)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*was not used at all*")


@pytest.mark.parametrize(
    ("options", "passed", "measured"),
    [
        ("--benchmark-only", 4, NAMES),
        ("--benchmark-skip", 1, []),
        ("--benchmark-only --benchmark-skip", 4, NAMES),
        ("--benchmark-disable", 5, []),
        ("--benchmark-disable --benchmark-enable", 5, NAMES),
    ],
)
def test_options_choose_the_tests_that_run_and_that_are_measured(each, options, passed, measured):
    result = each.run("--benchmark-json=out.json", *options.split())
    result.assert_outcomes(passed=passed, skipped=5 - passed)
    file = each.path / "out.json"
    assert (names(json.loads(file.read_text())) if file.exists() else []) == measured


def test_benchmark_only_and_benchmark_disable_together_are_refused(each):
    result = each.run("--benchmark-only", "--benchmark-disable")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Can't have both --benchmark-only and --benchmark-disable*"])


def test_a_histogram_has_every_entry(each):
    (each.path / "drawing.py").write_text(
        "import sys, types\n"
        "def make_histogram(prefix, group, rows, unit, adjustment):\n"
        "    with open(prefix, 'a') as file:\n"
        "        file.writelines(one['fullname'] + chr(10) for one in rows)\n"
        "sys.modules['pytest_benchmark.histogram'] = types.SimpleNamespace(\n"
        "    make_histogram=make_histogram\n"
        ")\n"
    )
    each.run("-p", "drawing", "--benchmark-histogram=drawn")
    assert sorted((each.path / "drawn").read_text().split()) == sorted(NAMES)


def test_profiles_come_with_the_results(each):
    result = each.run("--benchmark-cprofile=ncalls", "-k", "early")
    result.stdout.fnmatch_lines(
        ["*cProfile*", "test_some.py::test_early", "*built-in method builtins.len*"]
    )


def test_a_benchmark_that_raised_is_left_out(each):
    each.pytester.makepyfile(
        test_bad="def test_bad(benchmark):\n    benchmark.pedantic(lambda: 1 / 0, rounds=2)\n"
    )
    assert names(each.json()) == NAMES


def test_the_results_of_the_other_workers_survive_one_that_dies(bench):
    bench.pytester.makepyfile(test_dies="import os\n\ndef test_dies(benchmark):\n    os._exit(1)\n")
    assert names(bench.json(way=("-n2",))) == NAMES


def test_a_run_inside_a_worker_of_another_run_measures(bench, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert names(bench.json()) == NAMES


def test_the_table_shows_the_users_benchmarks_alone(each):
    result = each.run()
    result.stdout.fnmatch_lines(["*benchmark: 3 tests*", "test_early *"])
    result.stdout.no_fnmatch_line("test_gated:*")


@pytest.mark.parametrize("option", ["columns=min", "sort=min", "group-by=func", "verbose"])
def test_the_table_shows_the_gates_entries_if_an_option_requests_it(bench, option):
    bench.run(f"--benchmark-{option}").stdout.fnmatch_lines(["test_gated:inference*"])


def test_a_projects_addopts_may_request_the_table(bench, monkeypatch):
    bench.pytester.makeini("[pytest]\naddopts = --benchmark-sort=name")
    bench.run().stdout.fnmatch_lines(["test_gated:inference*"])
    bench.pytester.makeini("[pytest]")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--benchmark-sort=name")
    bench.run().stdout.fnmatch_lines(["test_gated:inference*"])


def test_a_comparison_with_another_device_is_a_warning(bench, monkeypatch):
    bench.run("--benchmark-save=base")
    monkeypatch.setenv("DEVICE", "a GPU")
    result = bench.run("--benchmark-compare")
    result.stdout.fnmatch_lines(
        ["*benchmarks of this run, on *a GPU*, are compared with those of a run on *a CPU*"]
    )


def test_the_timer_is_that_of_the_option(bench):
    bench.pytester.makepyfile(test_some="def test_gated(meter):\n    meter()\n")
    content = bench.json("--benchmark-timer=clock.clock")
    assert content["benchmarks"][0]["stats"]["data"] == [0.5, 2.0]


@pytest.mark.parametrize("way", [(), ("-n2",)], ids=["without xdist", "n2"])
def test_without_pytest_benchmark_tests_still_run(bench, way):
    bench.pytester.makepyfile(test_plain="def test_plain():\n    pass\n")
    result = bench.run("-p", "no:benchmark", "test_plain.py", way=way)
    result.assert_outcomes(passed=1)
    assert result.ret == 0


def test_the_installed_pytest_benchmark_has_all_undocumented_names():
    assert benchmark_bridge.missing_names() == [], (
        "pytest_ftcompare/plugin/benchmark_bridge.py must be adapted to this pytest-benchmark"
    )


@pytest.mark.parametrize(
    ("place", "attribute", "name"),
    [
        ("stats.Metadata", "as_dict", "Metadata.as_dict"),
        ("fixture.BenchmarkFixture", "_make_stats", "BenchmarkFixture._make_stats"),
        ("session", "BenchmarkSession", "pytest_benchmark.session.BenchmarkSession"),
    ],
)
def test_a_missing_name_is_reported(monkeypatch, place, attribute, name):
    monkeypatch.delattr(f"pytest_benchmark.{place}.{attribute}")
    assert benchmark_bridge.missing_names.__wrapped__() == [name]


@pytest.mark.parametrize(
    ("way", "sees"), [((), "*benchmark: 3 tests*"), (("-n2",), "*automatically disabled*")]
)
def test_a_pytest_benchmark_that_lacks_a_name_is_left_alone(bench, way, sees, monkeypatch):
    # This test's own worker, which pytest-benchmark would see.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    bench.pytester.makepyfile(
        another="from pytest_ftcompare.plugin import benchmark_bridge\n\n"
        "benchmark_bridge.PRIVATE_API = {'session.BenchmarkSession': ('gone',)}\n"
    )
    result = bench.pytester.runpytest_subprocess("-p", "another", *PLUGIN, *way, "-k", "not gated")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*expected a pytest-benchmark with BenchmarkSession.gone*install another release*"]
    )
    assert [line for line in (result.outlines + result.errlines) if fnmatch(line, sees)]
