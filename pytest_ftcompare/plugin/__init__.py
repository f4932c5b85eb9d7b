"""The pytest plugin: short hooks that delegate. Suites call the fixtures in `gate_fixture.py` and `claim_fixture.py`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Sequence
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import pytest

from pytest_ftcompare.gate import run_folder
from pytest_ftcompare.gate.capacity import CapacityFilter
from pytest_ftcompare.gate.resume_key import Key, make_key
from pytest_ftcompare.gate.run_folder import RunFolder
from pytest_ftcompare.gate.session import GateSession
from pytest_ftcompare.gate.worker_status import WorkerStatus
from pytest_ftcompare.measure import gpu_assignment, host
from pytest_ftcompare.plugin import (
    benchmark_bridge,
    claim_fixture,
    gate_fixture,
    options,
    parametrize,
    report_writer,
    stale_baselines,
)
from pytest_ftcompare.plugin.case_order import one_by_one, ordered
from pytest_ftcompare.plugin.controller import ControllerHooks, show
from pytest_ftcompare.plugin.live_display import LIVE
from pytest_ftcompare.plugin.options import SETTINGS
from pytest_ftcompare.plugin.worker import CARRIED, FINISHED, RUN, SESSION, TOLD
from pytest_ftcompare.report.plan_table import plan_lines
from pytest_ftcompare.report.terminal import lines
from pytest_ftcompare.report.wrapping import fitted, wrapped
from pytest_ftcompare.results import baseline_store

MACHINE = pytest.StashKey[CapacityFilter]()
# Of a session that ran what it was to run; others leave their results to be gone on with.
ENDS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
# What torch and transformers say of their own calls in every case: nobody who runs a suite can mend it.
OF_LIBRARIES = (
    "ignore:`torch.jit.script_method` is deprecated:DeprecationWarning",
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    options.add_options(parser)
    pluginmanager.register(benchmark_bridge, "ftcompare-benchmarks-hooks")
    pluginmanager.register(gate_fixture, "ftcompare-cases")
    pluginmanager.register(claim_fixture, "ftcompare-claims")
    pluginmanager.register(report_writer, "ftcompare-reports")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", parametrize.MARKER)
    for warning in OF_LIBRARIES:
        config.addinivalue_line("filterwarnings", warning)
    settings = config.stash[SETTINGS] = options.make_settings(config)
    settings.project.add()
    if not _is_worker(config) and not config.option.collectonly:
        if settings.update or settings.new_only:
            try:
                baseline_store.check_writable(settings.baselines)
            except baseline_store.BaselineError as error:
                raise pytest.UsageError(str(error)) from None
            if not benchmark_bridge.wanted(config):
                raise pytest.UsageError(
                    "--update-baselines takes time, too: expected pytest-benchmark, on, not disabled"
                )
        if settings.baselines.is_dir():
            baseline_store.recover(settings.baselines)
    config.stash[stale_baselines.SUITES] = {}
    if not _is_worker(config):
        config.stash[SESSION] = GateSession(
            settings.baselines, settings.update or settings.new_only, settings.new_only
        )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """--ftcompare-plan prints its table instead of running tests."""
    if config.option.ftcompare_plan is None:
        return None
    asked = options.parse_plan_option(config.option.ftcompare_plan)
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled(), warnings.catch_warnings():
        from pytest_ftcompare.training.library_logging import quiet

        quiet()
        warnings.simplefilter("ignore")  # the libraries' advice, given to whoever trains
        try:
            for line in plan_lines(*asked):
                print(line, flush=True)
        except ValueError as error:
            raise pytest.UsageError(f"--ftcompare-plan: {error}") from None
    return pytest.ExitCode.OK


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # Only with a table: a test may have a fixture of its own that is called gate.
    if "gate" in metafunc.fixturenames and metafunc.definition.get_closest_marker("ftcompare"):
        settings = metafunc.config.stash[SETTINGS]
        found = parametrize.cases(metafunc, settings.profile)
        stale_baselines.note(
            metafunc.config.stash[stale_baselines.SUITES],
            metafunc,
            found,
            settings.project.profiles.values(),
        )
        metafunc.parametrize("gate", found, ids=[one.id for one in found], indirect=True)


@pytest.hookimpl(tryfirst=True)  # before pytest-benchmark looks which tests have its fixture
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    parametrize.check_distinct(items)
    if any(parametrize.case_of(item) for item in items):
        machine = config.stash[MACHINE] = CapacityFilter(config.stash[SETTINGS])
        fits = [
            (case := parametrize.case_of(item)) is None or machine.holds(case) for item in items
        ]
        if not all(fits):
            config.hook.pytest_deselected(items=[*compress(items, (not one for one in fits))])
            items[:] = compress(items, fits)
        if _is_worker(config):
            items[:] = ordered(items, config.stash[SETTINGS].profile, machine.kind)
    if not config.pluginmanager.has_plugin("pytest-benchmark"):
        return
    for item in items:
        case = parametrize.case_of(item)
        if isinstance(item, pytest.Function) and case is not None and case.timed:
            item.fixturenames = [
                *item.fixturenames,
                "benchmark",
            ]  # so that --benchmark-only and -skip know it


def pytest_report_collectionfinish(
    config: pytest.Config, items: Sequence[pytest.Item]
) -> list[str]:
    if MACHINE not in config.stash or not config.option.collectonly:
        return []
    return list(config.stash[MACHINE].lines(filter(None, map(parametrize.case_of, items))))


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """What `-n auto` means here: as many as cores, memory and GPUs hold, unless the user said it."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ or config.option.numprocesses != "auto":
        return None
    settings = options.make_settings(config)  # xdist asks before anything is configured
    gpus = (
        gpu_assignment.free_gpu_memory(
            gpu_assignment.visible(os.environ, gpu_assignment.count_gpus)
        )
        if settings.device != "cpu"
        else []
    )
    needs = int(settings.profile.memory * 2**30), int(settings.profile.gpu_memory * 2**30)
    return gpu_assignment.suggested_workers(host.cpus(), host.available_memory(), gpus, *needs)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and CARRIED in item.stash:
        carried = item.stash[CARRIED]
        vars(report).update(carried)  # what xdist sends to the controller
    return report


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if SESSION not in config.stash:
        sent = vars(config)["workerinput"]
        config.stash[TOLD] = WorkerStatus(Path(sent["ftcompare_folder"]), sent["workerid"])
        return
    run = config.stash[RUN] = _start(config)
    config.stash[TOLD] = WorkerStatus(run.folder, "main")
    config.pluginmanager.register(
        ControllerHooks(config, config.stash[SESSION]), "ftcompare-collector"
    )


def _start(config: pytest.Config) -> RunFolder:
    """The run's place: a new one, or with --ftcompare-resume that of a run which did not come to its end."""
    cache = getattr(config, "cache", None) if not config.option.collectonly else None
    try:
        folder = cache.mkdir("ftcompare") if cache is not None else None
    except OSError:  # a root that can't be written to
        folder = None
    resumes = config.stash[SETTINGS].resume and not config.option.collectonly
    try:
        return run_folder.resume(folder, _key(config)) if resumes else run_folder.start(folder)
    except run_folder.ResumeError as error:
        raise pytest.UsageError(str(error)) from None
    except OSError as error:  # a cache that is there and can't be written to
        if resumes:
            raise pytest.UsageError(
                f"--ftcompare-resume: {folder} cannot be used ({error.strerror or error})"
            ) from None
        return run_folder.start(None)


def _key(config: pytest.Config) -> Key:
    return make_key(
        config.stash[SETTINGS], config.rootpath, benchmarks=benchmark_bridge.wanted(config)
    )


@pytest.hookimpl(tryfirst=True)  # before a worker tells the controller that it has collected
def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    count = sum(
        1 for one in session.items if parametrize.case_of(one) or claim_fixture.claim_of(one)
    )
    if count and not config.option.collectonly:
        run_folder.begin(config.stash[TOLD].folder, lambda: _key(config))
        config.stash[TOLD].total(count)
        show(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    one_by_one(node.config, node.config.stash[TOLD].folder)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Under xdist: tell each worker where to report its progress, and what its options no longer say."""
    node.workerinput["ftcompare_folder"] = str(node.config.stash[TOLD].folder)
    node.workerinput["ftcompare_full"] = node.config.stash[SETTINGS].full


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if (live := config.stash.get(LIVE, None)) is not None:
        live.stop()
    if SESSION not in config.stash:
        vars(config)["workeroutput"]["ftcompare_suites"] = stale_baselines.to_plain(
            config.stash[stale_baselines.SUITES]
        )
        return
    config.stash[FINISHED] = session.exitstatus in ENDS and not (
        session.shouldstop or session.shouldfail
    )
    run = config.stash[SESSION]
    if not run.half_collected and not any(
        "::" in one for one in config.args
    ):  # of a test or class: its file may have others
        skipped = config.getini("norecursedirs")
        alone = partial(stale_baselines.alone, root=config.rootpath, skipped=skipped)
        run.stale = stale_baselines.find(
            run.baselines, config.stash[stale_baselines.SUITES], run.ran, alone
        )
        run.stale += claim_fixture.stale(run.claims, run.tables, run.baselines)
    if run.findings:
        config.hook.pytest_runtest_logreport(report=_whole(run.findings))
    run.write(sound=session.exitstatus == pytest.ExitCode.OK and not run.findings)
    config.stash[FINISHED] |= bool(
        run.written
    )  # its results are baselines now: nothing is left to go on with
    if (run.findings or run.failure) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _whole(findings: Sequence[str]) -> pytest.TestReport:
    """What the cases say together, as an item of its own that failed: in the summary, in JUnit's file, for any plugin."""
    return pytest.TestReport(
        nodeid="ftcompare::session",
        location=("ftcompare", None, "session"),
        keywords={},
        outcome="failed",
        longrepr="\n".join(
            line for one in findings for line in wrapped(f"All cases together: {one}.")
        ),
        when="call",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if SETTINGS in config.stash:
        config.stash[SETTINGS].project.remove()
    if RUN in config.stash:  # the workers are gone by now, who have their locks in this folder
        config.stash[RUN].close(finished=config.stash.get(FINISHED, False))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if SESSION in config.stash and (config.stash[SESSION].verdicts or config.stash[SESSION].claims):
        terminalreporter.section("ftcompare", "=")
        every = config.get_verbosity() > 0
        for text, markup in lines(config.stash[SESSION], config.stash[SETTINGS], every=every):
            for line in fitted(text, terminalreporter._tw.fullwidth):
                terminalreporter.write_line(line, **markup)
    if (
        RUN in config.stash
        and not config.stash.get(FINISHED, False)
        and (left := config.stash[RUN].left)
    ):
        count = f"{left} case{'s' * (left != 1)}"
        terminalreporter.write_line(
            f"{count} finished: --ftcompare-resume goes on from there.", yellow=True
        )


def pytest_report_header(config: pytest.Config) -> list[str]:
    settings = config.stash[SETTINGS]
    seeds = str(settings.seeds) if settings.update else f"up to {settings.budget}"
    header = [
        f"ftcompare: profile {settings.profile.name}, {seeds} seeds, baselines {settings.baselines}"
    ]
    if RUN in config.stash and (note := config.stash[RUN].note):
        header.append(f"ftcompare: {note}")
    return header
