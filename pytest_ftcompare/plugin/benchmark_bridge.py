"""Connect the gate to pytest-benchmark, also under xdist: workers measure, the controller stores.

pytest-benchmark disables itself under xdist and has no hook that adds results. So this module
hides the user's options while pytest-benchmark starts, and restores them afterwards. A worker's
results travel on its test reports as JSON. `PRIVATE_API` lists the undocumented names in use. If
one is missing, pytest-benchmark stays as it is. `plugin/__init__.py` registers this module.
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

# Undocumented attributes of pytest-benchmark, by module and class.
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
# Options of a worker: only the controller writes and compares.
WORKER_OPTIONS: Mapping[str, Any] = {
    "benchmark_save": None,
    "benchmark_autosave": None,
    "benchmark_json": None,
    "benchmark_compare": [],
}
# Options that request pytest-benchmark's table. By default it leaves out the gate's entries: they
# make it wider than a screen, and the gate's report has the same numbers.
TABLE_OPTIONS = tuple(
    f"--benchmark-{name}"
    for name in ("columns", "compare", "group-by", "histogram", "sort", "verbose")
)
REPORT_ATTRIBUTE = "ftcompare_benchmarks"
HIDDEN_OPTIONS = pytest.StashKey[dict[str, Any]]()


def _attributes_of(owner: type) -> set[str]:
    """Return the names of a class, and those that its `__init__` uses."""
    return {*dir(owner), *owner.__init__.__code__.co_names}  # type: ignore[misc]


@functools.cache
def missing_names() -> list[str]:
    """Return the names of `PRIVATE_API` that pytest-benchmark lacks, as `Class.name`."""
    missing = []
    for place, names in PRIVATE_API.items():
        module, _, class_name = place.partition(".")
        try:
            attributes = _attributes_of(
                getattr(importlib.import_module(f"pytest_benchmark.{module}"), class_name)
            )
        except (ImportError, AttributeError):
            missing.append(f"pytest_benchmark.{place}")
        else:
            missing += [f"{class_name}.{name}" for name in names if name not in attributes]
    return missing


def is_active(benchmark: BenchmarkFixture) -> bool:
    """Return whether the fixture measures.

    False with --benchmark-disable, or if pytest-benchmark lacks a name of `PRIVATE_API`. Marks the
    fixture as used, so that pytest-benchmark does not warn.
    """
    benchmark._mode = benchmark._mode or "ftcompare"
    return not missing_names() and bool(benchmark.enabled)


def is_measuring(config: pytest.Config) -> bool:
    """Return whether this session measures: pytest-benchmark is usable, on and not skipped."""
    # Under xdist, the user's options before they were hidden.
    hidden = config.stash.get(HIDDEN_OPTIONS, None)
    options = {
        name: getattr(config.option, f"benchmark_{name}", name == "disable")
        for name in ("disable", "enable", "skip")
    }
    chosen = options if hidden is None else hidden
    return (
        not missing_names() and not chosen["skip"] and (chosen["enable"] or not chosen["disable"])
    )


def table_requested(config: pytest.Config) -> bool:
    """Return whether the user gave an option about pytest-benchmark's table."""
    arguments = [*map(str, config.invocation_params.args), *config.getini("addopts")]
    return any(
        argument.startswith(TABLE_OPTIONS)
        for argument in [*arguments, *shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))]
    )


def timer(benchmark: BenchmarkFixture) -> Callable[[], float]:
    """Return the clock of --benchmark-timer or of the test's mark; in seconds."""
    clock: Callable[[], float] = benchmark._timer
    return clock


def record(
    benchmark: BenchmarkFixture,
    workload: str,
    seconds: Sequence[float],
    iterations: int,
    extra_info: Mapping[str, object],
) -> None:
    """Add the entry `<test>:<workload>` to the session's results, in the group `workload`.

    Does nothing if benchmarks are disabled.

    seconds: of each round; a round is `iterations` calls.
    extra_info: goes into the entry; its `device` also into the result's machine_info.
    """
    if not is_active(benchmark):
        return
    clone: Any = copy.copy(benchmark)
    clone.name, clone.fullname, clone.group = (
        f"{benchmark.name}:{workload}",
        f"{benchmark.fullname}:{workload}",
        workload,
    )
    clone.extra_info = dict(extra_info)
    entry = clone._make_stats(iterations)
    for duration in seconds:
        entry.update(duration)


def _is_ours(row: Mapping[str, Any]) -> bool:
    """Return whether the gate added this entry."""
    return bool(row["group"]) and str(row["name"]).endswith(f":{row['group']}")


def _plain(value: object) -> str:
    """Return text for a value that JSON lacks: a case's id, else as pytest-benchmark writes it."""
    return value.id if isinstance(value, Case) else f"UNSERIALIZABLE[{value!r}]"


def _to_plain(entry: Any) -> dict[str, Any]:
    """Return a pytest-benchmark Metadata as plain data, with rounds instead of statistics."""
    profile = entry.cprofile_stats
    return {
        "fields": {
            **{
                name: value
                for name, value in vars(entry).items()
                if name not in ("fixture", "stats", "cprofile_stats")
            },
            "options": entry.as_dict(stats=False)["options"],  # has the timer's name
        },
        "has_error": entry.has_error,
        "data": entry.stats.data,
        "profile": repr(profile.stats) if profile else None,  # JSON has no tuples as keys
    }


def _from_plain(plain: Mapping[str, Any]) -> Any:
    """Return the Metadata that `_to_plain` made plain."""
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
    """Hook that moves a test's results from the worker's session to the test's report."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        entries = item.config._benchmarksession.benchmarks  # type: ignore[attr-defined]
        if entries:
            index = item.session.items.index(item)
            vars(report)[REPORT_ATTRIBUTE] = json.dumps(
                [index, [_to_plain(entry) for entry in entries]], default=_plain
            )
            entries.clear()
        return report


class Controller:
    """Hooks that merge all results in the order of the tests and name their devices.

    Also in use without workers.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.received: list[tuple[int, Any]] = []
        self.compared_devices: list[Any] = []  # devices of the runs that this one is compared with

    def _entries(self) -> list[Any]:
        entries: list[Any] = self.config._benchmarksession.benchmarks  # type: ignore[attr-defined]
        return entries

    def _devices(self) -> list[Any]:
        devices: list[Any] = []
        for entry in self._entries():
            device = entry.extra_info.get("device")
            if device is not None and device not in devices:
                devices.append(device)
        return devices

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (text := getattr(report, REPORT_ATTRIBUTE, None)) is not None:
            index, entries = json.loads(text)
            self.received += [(index, entry) for entry in entries]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None]:
        entries = self._entries()
        entries += [_from_plain(plain) for _, plain in sorted(self.received, key=itemgetter(0))]
        for entry in entries:
            params = (entry.params or {}).items()
            entry.params = {
                name: value.id if isinstance(value, Case) else value for name, value in params
            } or None
        devices = self._devices()
        for other in self.compared_devices:
            if devices and other != devices:
                sentence = (
                    f"benchmarks of this run, on {devices}, are compared with those of a run "
                    f"on {other}"
                )
                self.config.issue_config_time_warning(pytest.PytestWarning(sentence), stacklevel=2)
        return (yield)

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        if devices := self._devices():
            machine_info["ftcompare"] = {"devices": devices}

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_compare_machine_info(
        self, machine_info: dict[str, Any], compared_benchmark: Mapping[str, Any]
    ) -> None:
        # Before any test, this run's devices are unknown: pytest_sessionfinish compares them.
        machine_info.pop("ftcompare", None)
        if (other := compared_benchmark["machine_info"].get("ftcompare")) is not None:
            machine_info["ftcompare"] = other
            self.compared_devices.append(other["devices"])

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_group_stats(self, benchmarks: list[Any]) -> None:
        """Remove the gate's entries from the table, unless an option requests the table."""
        if not table_requested(self.config):
            benchmarks[:] = [row for row in benchmarks if not _is_ours(row)]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Hide options from pytest-benchmark under xdist, before it reads them."""
    option = config.option
    if not hasattr(option, "benchmark_disable"):
        # With -p no:benchmark.
        return
    is_worker = hasattr(config, "workerinput")
    if missing := missing_names():
        if not is_worker:
            sentence = (
                f"benchmark_bridge.py expected a pytest-benchmark with {', '.join(missing)}, "
                "the installed one lacks them: it stays off under xdist and cases are not timed; "
                "install another release of pytest-benchmark"
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
        # --benchmark-only overrides --benchmark-skip.
        option.benchmark_skip = hidden["skip"] and not hidden["only"]
        option.benchmark_only = False


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Restore the hidden options, after pytest-benchmark has read its own."""
    hidden = session.config.stash.get(HIDDEN_OPTIONS, None)
    if hidden is not None:
        benchmarks = session.config._benchmarksession  # type: ignore[attr-defined]
        benchmarks.disabled, benchmarks.only = False, hidden["only"]
        vars(session.config.option).update(
            {f"benchmark_{name}": value for name, value in hidden.items()}
        )
