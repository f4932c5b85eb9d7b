"""The pytest plugin: hooks that pytest and xdist call, each short and delegating.

Suites use the fixtures in `gate_fixture.py` and `claim_fixture.py`.
"""

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
from pytest_ftcompare.gate.capacity import CapacityFilter, device_capacity
from pytest_ftcompare.gate.distributions import read_locks
from pytest_ftcompare.gate.gpu_failures import GpuFailures
from pytest_ftcompare.gate.resume_key import Key, make_key
from pytest_ftcompare.gate.run_folder import RunFolder
from pytest_ftcompare.gate.session import SESSION_NODEID, GateSession
from pytest_ftcompare.gate.worker_status import WorkerStatus
from pytest_ftcompare.measure import gpu_assignment, host
from pytest_ftcompare.plugin import (
    benchmark_bridge,
    claim_fixture,
    gate_fixture,
    known_cases,
    options,
    parametrize,
    report_writer,
    stale_baselines,
    worker_replacement,
)
from pytest_ftcompare.plugin.case_order import order_items, send_one_by_one
from pytest_ftcompare.plugin.controller import ControllerHooks, start_display
from pytest_ftcompare.plugin.live_display import DISPLAY
from pytest_ftcompare.plugin.options import SETTINGS
from pytest_ftcompare.plugin.worker import (
    FINISHED,
    GATE_SESSION,
    REPORT_ATTRIBUTES,
    RUN_FOLDER,
    WORKER_STATUS,
)
from pytest_ftcompare.report.plan_table import plan_lines
from pytest_ftcompare.report.terminal import lines
from pytest_ftcompare.report.wrapping import fitted, wrapped
from pytest_ftcompare.results import baseline_store

CAPACITY = pytest.StashKey[tuple[str, float]]()
CAPACITY_FILTER = pytest.StashKey[CapacityFilter]()
# Exit codes of a complete session. Others keep results for --ftcompare-resume.
COMPLETE_EXITS = (
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)
# torch and transformers warn of their own calls in every case: the user cannot fix them.
IGNORED_WARNINGS = (
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
    for warning in IGNORED_WARNINGS:
        config.addinivalue_line("filterwarnings", warning)
    settings = config.stash[SETTINGS] = options.make_settings(config)
    settings.project.register()
    if not _is_worker(config) and not config.option.collectonly:
        if settings.update or settings.new_only:
            try:
                baseline_store.check_writable(settings.baselines)
            except baseline_store.BaselineError as error:
                raise pytest.UsageError(str(error)) from None
            if not benchmark_bridge.is_measuring(config):
                raise pytest.UsageError(
                    "--update-baselines also stores times: expected pytest-benchmark to be "
                    "installed and enabled"
                )
        if settings.baselines.is_dir():
            baseline_store.recover(settings.baselines)
    config.stash[stale_baselines.SUITES] = {}
    if not _is_worker(config):
        config.stash[GATE_SESSION] = GateSession(
            settings.baselines,
            settings.update or settings.new_only,
            settings.new_only,
            settings.allowances,
        )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Print the table of --ftcompare-plan instead of running tests."""
    if config.option.ftcompare_plan is None:
        return None
    plan = options.parse_plan_option(config.option.ftcompare_plan)
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled(), warnings.catch_warnings():
        from pytest_ftcompare.training.library_logging import quiet

        quiet()
        # The libraries' advice is about training, and no training runs.
        warnings.simplefilter("ignore")
        try:
            for line in plan_lines(*plan):
                print(line, flush=True)
        except ValueError as error:
            raise pytest.UsageError(f"--ftcompare-plan: {error}") from None
    return pytest.ExitCode.OK


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # A project's own fixture may also be called gate: without a table, leave it alone.
    if "gate" in metafunc.fixturenames and metafunc.definition.get_closest_marker("ftcompare"):
        settings = metafunc.config.stash[SETTINGS]
        cases = parametrize.cases(metafunc, settings.profile)
        stale_baselines.record_suite(
            metafunc.config.stash[stale_baselines.SUITES],
            metafunc,
            cases,
            settings.project.profiles.values(),
        )
        metafunc.parametrize("gate", cases, ids=[case.id for case in cases], indirect=True)


# Before pytest-benchmark looks which tests have its fixture.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    try:
        parametrize.check_distinct(items)
        known_cases.check_accept_file(config, complete=not session.testsfailed)
    except pytest.UsageError as error:
        if not _is_worker(config):
            raise
        # xdist shows nothing of an exception here, but it shows an error of collection.
        items.clear()
        config.hook.pytest_collectreport(
            report=pytest.CollectReport("ftcompare", "failed", str(error), [])
        )
        return
    if any(parametrize.case_of(item) for item in items):
        capacity = config.stash[CAPACITY_FILTER] = CapacityFilter(
            config.stash[SETTINGS].profile, *_capacity(config)
        )
        fits = [
            (case := parametrize.case_of(item)) is None or capacity.fits(case) for item in items
        ]
        if not all(fits):
            config.hook.pytest_deselected(items=[*compress(items, (not fit for fit in fits))])
            items[:] = compress(items, fits)
        if _is_worker(config):
            items[:] = order_items(items, config.stash[SETTINGS].profile, capacity.kind)
    if not config.pluginmanager.has_plugin("pytest-benchmark"):
        return
    for item in items:
        case = parametrize.case_of(item)
        if isinstance(item, pytest.Function) and case is not None and case.timed:
            # --benchmark-only and --benchmark-skip select tests by this name.
            item.fixturenames = [*item.fixturenames, "benchmark"]


def _capacity(config: pytest.Config) -> tuple[str, float]:
    """Return the kind of device and its bytes, which an xdist worker gets from the controller."""
    if _is_worker(config):
        kind, memory = vars(config)["workerinput"]["ftcompare_capacity"]
        return kind, memory
    if CAPACITY not in config.stash:
        config.stash[CAPACITY] = device_capacity(config.stash[SETTINGS])
    return config.stash[CAPACITY]


def pytest_report_collectionfinish(
    config: pytest.Config, items: Sequence[pytest.Item]
) -> list[str]:
    if CAPACITY_FILTER not in config.stash or not config.option.collectonly:
        return []
    return list(
        config.stash[CAPACITY_FILTER].summary_lines(filter(None, map(parametrize.case_of, items)))
    )


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return the workers of `-n auto`: as many as cores, memory and GPUs allow.

    None if PYTEST_XDIST_AUTO_NUM_WORKERS is set: xdist then reads it.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ or config.option.numprocesses != "auto":
        return None
    # xdist asks before pytest_configure.
    settings = options.make_settings(config)
    gpus = (
        gpu_assignment.free_gpu_memory(
            gpu_assignment.visible_gpus(os.environ, gpu_assignment.count_gpus)
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
    if call.when == "call" and REPORT_ATTRIBUTES in item.stash:
        attributes = item.stash[REPORT_ATTRIBUTES]
        # xdist sends the report with its attributes to the controller.
        vars(report).update(attributes)
    return report


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if GATE_SESSION not in config.stash:
        worker_input = vars(config)["workerinput"]
        config.stash[WORKER_STATUS] = WorkerStatus(
            Path(worker_input["ftcompare_folder"]), worker_input["workerid"]
        )
        config.pluginmanager.register(
            worker_replacement.ReplaceableWorker(), "ftcompare-replaceable-worker"
        )
        return
    opened = config.stash[RUN_FOLDER] = _open_run_folder(config)
    config.stash[WORKER_STATUS] = WorkerStatus(opened.folder, "main")
    config.pluginmanager.register(
        ControllerHooks(config, config.stash[GATE_SESSION]), "ftcompare-collector"
    )
    config.pluginmanager.register(
        worker_replacement.ReplacingController(config), "ftcompare-replacing-controller"
    )


def _open_run_folder(config: pytest.Config) -> RunFolder:
    """Return a new run folder, or with --ftcompare-resume that of the last incomplete run."""
    cache = getattr(config, "cache", None) if not config.option.collectonly else None
    try:
        folder = cache.mkdir("ftcompare") if cache is not None else None
    except OSError:
        # Run without a cache in a read-only project.
        folder = None
    resumes = config.stash[SETTINGS].resume and not config.option.collectonly
    try:
        return (
            run_folder.resume(folder, _resume_key(config))
            if resumes
            else run_folder.start_run(folder)
        )
    except run_folder.ResumeError as error:
        raise pytest.UsageError(str(error)) from None
    except OSError as error:
        # The cache exists but is read-only.
        if resumes:
            raise pytest.UsageError(
                f"--ftcompare-resume: {folder} cannot be used ({error.strerror or error})"
            ) from None
        return run_folder.start_run(None)


def _resume_key(config: pytest.Config) -> Key:
    return make_key(
        config.stash[SETTINGS], config.rootpath, benchmarks=benchmark_bridge.is_measuring(config)
    )


# Before a worker reports to the controller that it has collected.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    count = sum(
        1 for item in session.items if parametrize.case_of(item) or claim_fixture.claim_of(item)
    )
    if count and not config.option.collectonly:
        run_folder.make_folder(config.stash[WORKER_STATUS].folder, lambda: _resume_key(config))
        config.stash[WORKER_STATUS].write_total(count)
        start_display(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    send_one_by_one(node.config, node.config.stash[WORKER_STATUS].folder)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Under xdist: send each worker the run folder, and what its changed options do not say."""
    node.workerinput["ftcompare_folder"] = str(node.config.stash[WORKER_STATUS].folder)
    node.workerinput["ftcompare_today"] = node.config.stash[SETTINGS].today.isoformat()
    node.workerinput["ftcompare_full"] = node.config.stash[SETTINGS].full
    # All workers must collect the same cases, also one that is started after a GPU was lost.
    node.workerinput["ftcompare_capacity"] = _capacity(node.config)
    worker_replacement.send_limit(node)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if (display := config.stash.get(DISPLAY, None)) is not None:
        display.stop()
    if GATE_SESSION not in config.stash:
        vars(config)["workeroutput"]["ftcompare_suites"] = stale_baselines.to_plain(
            config.stash[stale_baselines.SUITES]
        )
        return
    config.stash[FINISHED] = session.exitstatus in COMPLETE_EXITS and not (
        session.shouldstop
        or session.shouldfail
        or GpuFailures(config.stash[WORKER_STATUS].folder).of_any_process()
    )
    gate_session = config.stash[GATE_SESSION]
    # An argument with `::` names a test or class: its file may have more cases.
    if not gate_session.collection_incomplete and not any(
        "::" in argument for argument in config.args
    ):
        norecursedirs = config.getini("norecursedirs")
        collected = partial(
            stale_baselines.collected_all_files, root=config.rootpath, skipped=norecursedirs
        )
        gate_session.stale = stale_baselines.find_stale(
            gate_session.baselines,
            config.stash[stale_baselines.SUITES],
            gate_session.devices,
            collected,
        )
        gate_session.stale += claim_fixture.stale_claims(
            gate_session.claims,
            gate_session.claim_names,
            gate_session.baselines,
            lambda suite: collected(
                stale_baselines.SuiteFiles(sorted(gate_session.claim_files[suite]))
            ),
        )
    if gate_session.findings:
        config.hook.pytest_runtest_logreport(report=_session_report(gate_session.findings))
    gate_session.write(
        passed=session.exitstatus == pytest.ExitCode.OK and not gate_session.findings,
        locks=read_locks(config.stash[WORKER_STATUS].folder),
    )
    gate_session.known_cases = known_cases.find(config)
    # Written results are baselines now: nothing is left to resume.
    config.stash[FINISHED] |= bool(gate_session.written)
    if (gate_session.findings or gate_session.failure) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _session_report(findings: Sequence[str]) -> pytest.TestReport:
    """Return a failed report of the whole session: for the summary, JUnit and other plugins."""
    return pytest.TestReport(
        nodeid=SESSION_NODEID,
        location=("ftcompare", None, "session"),
        keywords={},
        outcome="failed",
        longrepr="\n".join(
            line for finding in findings for line in wrapped(f"All cases together: {finding}.")
        ),
        when="call",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if SETTINGS in config.stash:
        config.stash[SETTINGS].project.unregister()
    # The workers, which hold locks in this folder, have ended.
    if RUN_FOLDER in config.stash:
        config.stash[RUN_FOLDER].close(finished=config.stash.get(FINISHED, False))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if GATE_SESSION in config.stash and (
        config.stash[GATE_SESSION].verdicts or config.stash[GATE_SESSION].claims
    ):
        terminalreporter.section("ftcompare", "=")
        verbose = config.get_verbosity() > 0
        for text, markup in lines(
            config.stash[GATE_SESSION], config.stash[SETTINGS], every=verbose
        ):
            for line in fitted(text, terminalreporter._tw.fullwidth):
                terminalreporter.write_line(line, **markup)
    if (
        RUN_FOLDER in config.stash
        and not config.stash.get(FINISHED, False)
        and (finished := config.stash[RUN_FOLDER].result_count)
    ):
        count = f"{finished} case{'s' * (finished != 1)}"
        terminalreporter.write_line(
            f"{count} finished: continue with --ftcompare-resume.", yellow=True
        )


def pytest_report_header(config: pytest.Config) -> list[str]:
    settings = config.stash[SETTINGS]
    seeds = str(settings.seeds) if settings.update else f"up to {settings.budget}"
    header = [
        f"ftcompare: profile {settings.profile.name}, {seeds} seeds, baselines {settings.baselines}"
    ]
    if RUN_FOLDER in config.stash and (note := config.stash[RUN_FOLDER].note):
        header.append(f"ftcompare: {note}")
    return header
