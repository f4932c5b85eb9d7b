"""pytest-benchmark under xdist: workers measure, the controller stores one merged result; and the gate's own entries in it.

pytest-benchmark turns itself off under xdist and has no hook that adds results. So it is told that benchmarks are disabled
while it starts, and turned on again after; a worker's results travel on its test reports as JSON. Whatever it does not
document is named in `PRIVATE`: where one of these is gone, pytest-benchmark is left to its own ways.
"""

from __future__ import annotations

import ast
import copy
import functools
import importlib
import json
import os
import pstats
import shlex
from collections.abc import Callable, Generator, Mapping, Sequence
from operator import itemgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftcompare.results.case import Case

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

PRIVATE_API: Mapping[str, Sequence[str]] = {
    "session.BenchmarkSession": ("benchmarks", "disabled", "only"),
    "fixture.BenchmarkFixture": (
        "name",
        "fullname",
        "group",
        "extra_info",
        "enabled",
        "_make_stats",
        "_mode",
        "_timer",
    ),
    "stats.Metadata": (
        "fixture",
        "stats",
        "cprofile_stats",
        "options",
        "params",
        "extra_info",
        "has_error",
        "as_dict",
        "update",
    ),
    "stats.Stats": ("data",),
}
# What a worker must not do: the controller writes and compares.
WORKER_OPTIONS: Mapping[str, Any] = {
    "benchmark_save": None,
    "benchmark_autosave": None,
    "benchmark_json": None,
    "benchmark_compare": [],
}
# Whoever gives one of these asks for the table, which is wider than a screen and tells what the gate's report says.
TABLE_OPTIONS = tuple(
    f"--benchmark-{name}"
    for name in ("columns", "compare", "group-by", "histogram", "sort", "verbose")
)
REPORT_ATTRIBUTE = "ftcompare_benchmarks"
HIDDEN_OPTIONS = pytest.StashKey[dict[str, Any]]()


def _attributes_of(owner: type) -> set[str]:
    """What a class has, or gives its instances when it makes them."""
    return {*dir(owner), *owner.__init__.__code__.co_names}  # type: ignore[misc]


@functools.cache
def missing_names() -> list[str]:
    """Names of `PRIVATE` that the installed pytest-benchmark does not have, as `Class.name`."""
    lost = []
    for place, names in PRIVATE_API.items():
        module, _, name = place.partition(".")
        try:
            has = _attributes_of(getattr(importlib.import_module(f"pytest_benchmark.{module}"), name))
        except (ImportError, AttributeError):
            lost.append(f"pytest_benchmark.{place}")
        else:
            lost += [f"{name}.{one}" for one in names if one not in has]
    return lost


def is_active(benchmark: BenchmarkFixture) -> bool:
    """Whether the fixture measures: false with --benchmark-disable, and where pytest-benchmark is not the one we know.

    Who asks uses the fixture: pytest-benchmark shall not warn that nobody did, when there is nothing to measure.
    """
    benchmark._mode = benchmark._mode or "ftcompare"
    return not missing_names() and bool(benchmark.enabled)


def is_measuring(config: pytest.Config) -> bool:
    """Whether this session measures: pytest-benchmark is there, one that we know, and was not disabled or skipped."""
    given = config.stash.get(HIDDEN_OPTIONS, None)  # under xdist, what was asked for before it was hidden
    options = {
        name: getattr(config.option, f"benchmark_{name}", name == "disable")
        for name in ("disable", "enable", "skip")
    }
    asked = options if given is None else given
    return not missing_names() and not asked["skip"] and (asked["enable"] or not asked["disable"])


def table_requested(config: pytest.Config) -> bool:
    """Whether an option was given that says how pytest-benchmark's table is to be."""
    given = [*map(str, config.invocation_params.args), *config.getini("addopts")]
    return any(
        one.startswith(TABLE_OPTIONS) for one in [*given, *shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))]
    )


def timer(benchmark: BenchmarkFixture) -> Callable[[], float]:
    """The clock of --benchmark-timer, or of the test's own mark; seconds."""
    clock: Callable[[], float] = benchmark._timer
    return clock


def record(
    benchmark: BenchmarkFixture,
    workload: str,
    seconds: Sequence[float],
    iterations: int,
    extra_info: Mapping[str, object],
) -> None:
    """Add the entry `<test>:<what>` to the session's results, in the group `what`; nothing where benchmarks are disabled.

    seconds: what each round took; a round is `iterations` calls.
    extra_info: goes into the entry; its `device` also into the result's machine_info.
    """
    if not is_active(benchmark):
        return
    part: Any = copy.copy(benchmark)
    part.name, part.fullname, part.group = (
        f"{benchmark.name}:{workload}",
        f"{benchmark.fullname}:{workload}",
        workload,
    )
    part.extra_info = dict(extra_info)
    entry = part._make_stats(iterations)
    for duration in seconds:
        entry.update(duration)


def _is_ours(row: Mapping[str, Any]) -> bool:
    return bool(row["group"]) and str(row["name"]).endswith(f":{row['group']}")


def _plain(value: object) -> str:
    """What JSON cannot hold: a case by its id, all else as pytest-benchmark writes it."""
    return value.id if isinstance(value, Case) else f"UNSERIALIZABLE[{value!r}]"


def _to_plain(entry: Any) -> dict[str, Any]:
    """A pytest-benchmark Metadata as what JSON holds; its statistics are computed again from the rounds."""
    profile = entry.cprofile_stats
    return {
        "fields": {
            **{
                name: value
                for name, value in vars(entry).items()
                if name not in ("fixture", "stats", "cprofile_stats")
            },
            "options": entry.as_dict(stats=False)["options"],  # the timer by its name
        },
        "has_error": entry.has_error,
        "data": entry.stats.data,
        "profile": repr(profile.stats) if profile else None,  # its keys are tuples
    }


def _from_plain(plain: Mapping[str, Any]) -> Any:
    stats: Any = importlib.import_module("pytest_benchmark.stats")
    entry = stats.Metadata.__new__(stats.Metadata)
    vars(entry).update(
        plain["fields"], stats=stats.Stats(), fixture=SimpleNamespace(has_error=plain["has_error"])
    )
    entry.stats.data = plain["data"]
    entry.cprofile_stats = None
    if plain["profile"]:
        entry.cprofile_stats = pstats.Stats()
        entry.cprofile_stats.stats = ast.literal_eval(plain["profile"])
    return entry


class Worker:
    """Moves the results of a test from the worker's session to the test's report."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        entries = item.config._benchmarksession.benchmarks  # type: ignore[attr-defined]
        if entries:
            at = item.session.items.index(item)
            vars(report)[REPORT_ATTRIBUTE] = json.dumps(
                [at, [_to_plain(one) for one in entries]], default=_plain
            )
            entries.clear()
        return report


class Controller:
    """Where results end up, with workers or none: merges them in the order of the tests and names the devices."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.received: list[tuple[int, Any]] = []
        self.compared_devices: list[Any] = []  # devices of the runs that this one is compared with

    def _entries(self) -> list[Any]:
        entries: list[Any] = self.config._benchmarksession.benchmarks  # type: ignore[attr-defined]
        return entries

    def _devices(self) -> list[Any]:
        devices: list[Any] = []
        for one in self._entries():
            device = one.extra_info.get("device")
            if device is not None and device not in devices:
                devices.append(device)
        return devices

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (text := getattr(report, REPORT_ATTRIBUTE, None)) is not None:
            at, entries = json.loads(text)
            self.received += [(at, one) for one in entries]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None]:
        entries = self._entries()
        entries += [_from_plain(one) for _, one in sorted(self.received, key=itemgetter(0))]
        for one in entries:
            params = (one.params or {}).items()
            one.params = {
                name: value.id if isinstance(value, Case) else value for name, value in params
            } or None
        devices = self._devices()
        for other in self.compared_devices:
            if devices and other != devices:
                sentence = f"benchmarks of this run, on {devices}, are compared with those of a run on {other}"
                self.config.issue_config_time_warning(pytest.PytestWarning(sentence), stacklevel=2)
        return (yield)

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        if devices := self._devices():
            machine_info["ftcompare"] = {"devices": devices}

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_compare_machine_info(
        self, machine_info: dict[str, Any], compared_benchmark: Mapping[str, Any]
    ) -> None:
        # Called before any test, when this run's devices are not known yet: they are compared at its end.
        machine_info.pop("ftcompare", None)
        if (other := compared_benchmark["machine_info"].get("ftcompare")) is not None:
            machine_info["ftcompare"] = other
            self.compared_devices.append(other["devices"])

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_group_stats(self, benchmarks: list[Any]) -> None:
        """Take the gate's entries out of the table, unless it was asked for."""
        if not table_requested(self.config):
            benchmarks[:] = [one for one in benchmarks if not _is_ours(one)]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before pytest-benchmark reads its options."""
    option = config.option
    if not hasattr(option, "benchmark_disable"):
        return  # -p no:benchmark
    is_worker = hasattr(config, "workerinput")
    if lost := missing_names():
        if not is_worker:
            sentence = (
                f"benchmark_bridge.py expected a pytest-benchmark that has {', '.join(lost)}, the one here has not: "
                "it stays off under xdist and cases are not timed; install another release of pytest-benchmark"
            )
            config.issue_config_time_warning(pytest.PytestWarning(sentence), stacklevel=2)
        return
    if is_worker:
        vars(option).update(WORKER_OPTIONS)
    config.pluginmanager.register(
        Worker() if is_worker else Controller(config), "ftcompare-benchmarks"
    )
    parallel = config.getoption("dist", "no") != "no" or "PYTEST_XDIST_WORKER" in os.environ
    if parallel and (option.benchmark_enable or not option.benchmark_disable):
        names = ("disable", "enable", "only", "skip")
        hidden = config.stash[HIDDEN_OPTIONS] = {
            name: getattr(option, f"benchmark_{name}") for name in names
        }
        option.benchmark_disable, option.benchmark_enable = True, False
        option.benchmark_skip = (
            hidden["skip"] and not hidden["only"]
        )  # --benchmark-only overrides it
        option.benchmark_only = False


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """After pytest-benchmark has read its options."""
    hidden = session.config.stash.get(HIDDEN_OPTIONS, None)
    if hidden is not None:
        benchmarks = session.config._benchmarksession  # type: ignore[attr-defined]
        benchmarks.disabled, benchmarks.only = False, hidden["only"]
        vars(session.config.option).update(
            {f"benchmark_{name}": value for name, value in hidden.items()}
        )
