"""Define the plugin's options and ini keys, and make the session's `Settings` from them."""

from __future__ import annotations

import os
import re
import shlex
from datetime import date
from pathlib import Path

import pytest

from pytest_ftcompare.environments import cache_folder
from pytest_ftcompare.environments.environment_cache import EnvironmentRefused, default_cache
from pytest_ftcompare.gate import accept_file
from pytest_ftcompare.gate.profiles import PROFILES
from pytest_ftcompare.gate.project_config import ProjectConfig, ProjectConfigError, read
from pytest_ftcompare.gate.reference import GivenReference, Reference
from pytest_ftcompare.gate.remade_reference import RemadeReference
from pytest_ftcompare.gate.remote import RemoteError, check_reference
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.plugin.benchmark_bridge import HIDDEN_OPTIONS, table_requested
from pytest_ftcompare.results.allowance import Allowance

SETTINGS = pytest.StashKey[Settings]()
AUTO = "auto"  # value of --ftcompare-reference


def add_options(parser: pytest.Parser) -> None:
    """Add the plugin's options and ini keys to pytest's."""
    group = parser.getgroup("ftcompare", "regression gate for fine-tuning (pytest-ftcompare)")
    group.addoption(
        "--update-baselines",
        action="store_true",
        help="Train all seeds of the cases that run and store the results as baselines. "
        "Review the diff in git.",
    )
    group.addoption(
        "--update-baselines-new-only",
        action="store_true",
        help="Train all seeds of the cases without a usable baseline and store their results. "
        "Compare the other cases as usual.",
    )
    names = ", ".join(f"{name} ({profile.summary})" for name, profile in PROFILES.items())
    group.addoption(
        "--ftcompare-profile",
        metavar="NAME",
        default=None,
        help=f"Models, data, sizes and seeds of the run: {names}. Default: pocket.",
    )
    group.addoption(
        "--ftcompare-hub",
        metavar="DIR",
        default=None,
        help="Folder with models/<id>/ and datasets/<id>/, as 'hf download --local-dir' "
        "writes them.",
    )
    group.addoption(
        "--ftcompare-baselines",
        metavar="DIR",
        default=None,
        help="Folder of the baselines, relative to pytest's root folder. Default: baselines.",
    )
    group.addoption(
        "--ftcompare-seeds",
        metavar="N",
        type=int,
        default=None,
        help="Seeds of a new baseline, and the most seeds that a comparison trains. "
        "Default: the profile's number, and twice that number.",
    )
    group.addoption(
        "--ftcompare-strict",
        action="store_true",
        help="Also fail when the training trace differs under another library version.",
    )
    group.addoption(
        "--ftcompare-strict-times",
        action="store_true",
        help="Also fail when a time differs although nothing changed that could move it. "
        "By default, the report only notes the difference.",
    )
    group.addoption(
        "--ftcompare-provisional",
        action="store_true",
        help="Make baselines for one comparison only: without times of cases on a CPU, and without "
        "the audits of a kept baseline, which needs several seeds.",
    )
    group.addoption(
        "--ftcompare-full",
        action="store_true",
        help="Train and time everything, even if no verdict needs it. On with a history, "
        "--benchmark-json and similar options.",
    )
    group.addoption(
        "--ftcompare-reference",
        metavar="PYTHON",
        default=None,
        help="Python interpreter of a reference environment. It is timed in turn with this "
        "environment. auto: made from the distributions and the code that each baseline records.",
    )
    group.addoption(
        cache_folder.CACHE_OPTION,
        metavar="DIR",
        default=None,
        help="Folder of the environments that --ftcompare-reference=auto makes. Default: "
        f"${cache_folder.CACHE_VARIABLE}, or ftcompare in the user's cache.",
    )
    group.addoption(
        "--ftcompare-threads",
        metavar="N",
        type=int,
        default=None,
        help="Torch threads of each worker; 0 shares the cores among the workers. Only the "
        "baseline's number can repeat it bit for bit. Default: the profile's.",
    )
    group.addoption(
        "--ftcompare-device",
        metavar="NAME",
        default=None,
        help="cpu, cuda, or auto (cuda if there is a GPU). Default: auto.",
    )
    group.addoption(
        "--ftcompare-window",
        metavar="SECONDS",
        type=float,
        default=None,
        help="Length of a timed window, in which one worker has the device to itself. "
        "Default: the profile's.",
    )
    group.addoption(
        "--ftcompare-report",
        metavar="FILE",
        action="append",
        default=[],
        help="Write a report: FILE.html to read, FILE.md for a pull request, FILE.json for "
        "programs. Can be repeated.",
    )
    group.addoption(
        "--ftcompare-history",
        metavar="FILE",
        default=None,
        help="Add the results to this SQLite database. "
        "'python -m pytest_ftcompare history FILE' shows it.",
    )
    group.addoption(
        "--ftcompare-accept",
        metavar="FILE",
        default=None,
        help="TOML file of known regressions that pass until a date, relative to pytest's root "
        "folder.",
    )
    group.addoption(
        "--ftcompare-resume",
        action="store_true",
        help="Continue the last run that was killed or interrupted. Its finished cases are "
        "reused unless code, versions, options or baselines changed.",
    )
    group.addoption(
        "--ftcompare-plan",
        metavar="SHAPE[,ROWSxTOKENS]",
        default=None,
        help="Print the memory that one update of each method needs on a model of this shape, "
        "and run no test. SHAPE is opt-6.7b, llama-7b, llama-13b or a config.json; "
        "ROWSxTOKENS is the batch, 8x256 by default.",
    )
    parser.addini("ftcompare_profile", "Default of --ftcompare-profile.", default="pocket")
    parser.addini("ftcompare_hub", "Default of --ftcompare-hub.", default="")
    parser.addini(
        "ftcompare_baselines",
        "Default of --ftcompare-baselines, relative to the root folder.",
        default="baselines",
    )
    parser.addini(
        "ftcompare_history",
        "Default of --ftcompare-history, relative to the root folder.",
        default="",
    )
    parser.addini(
        "ftcompare_accept",
        "Default of --ftcompare-accept, relative to the root folder.",
        default="",
    )
    parser.addini("ftcompare_device", "Default of --ftcompare-device.", default="auto")


def options_as_given(config: pytest.Config) -> str:
    """Return the plugin's options as the user gave them, to repeat the run by hand."""
    names = (
        *("profile", "hub", "baselines", "seeds", "threads", "device", "window", "reference"),
        "accept",
        "cache_dir",
    )
    values = {name: config.getoption(f"ftcompare_{name}") for name in names}
    flags = [
        name
        for name in ("strict", "strict_times", "provisional", "full")
        if config.getoption(f"ftcompare_{name}")
    ]
    given = {name.replace("_", "-"): value for name, value in values.items() if value is not None}
    texts = [f" --ftcompare-{name}={shlex.quote(str(value))}" for name, value in given.items()]
    return "".join([*texts, *(f" --ftcompare-{name.replace('_', '-')}" for name in flags)])


def parse_plan_option(text: str) -> tuple[str, int, int]:
    """Return shape, rows and tokens of --ftcompare-plan; raise `UsageError` for a wrong batch."""
    shape, comma, batch = text.rpartition(",")
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", batch)
    if comma and match is None:
        raise pytest.UsageError(
            "--ftcompare-plan: expected a batch like 8x256, rows x tokens, after the comma, "
            f"got {batch!r}"
        )
    return (shape, int(match[1]), int(match[2])) if comma and match else (text, 8, 256)


def _threads_per_worker(config: pytest.Config) -> int:
    """Return how many threads a worker may use, so that all workers together fill the machine.

    Controller and workers return the same number.
    """
    started = len(config.getoption("tx", None) or [1])
    workers: int = getattr(config, "workerinput", {}).get("workercount", started)
    return max(1, (os.cpu_count() or 1) // workers)


def _make_reference(
    config: pytest.Config, baselines: Path, project: ProjectConfig
) -> Reference | None:
    """Return the reference of --ftcompare-reference; only the controller checks what it names."""
    text, checks = config.getoption("ftcompare_reference"), not hasattr(config, "workerinput")
    if text is None:
        return None
    folder: Path = config.invocation_params.dir
    try:
        if text == AUTO:
            named = config.getoption("ftcompare_cache_dir")
            cache = folder / Path(named).expanduser() if named else cache_folder.location()
            return RemadeReference(
                baselines, project, config.rootpath, default_cache(cache) if checks else cache
            )
        python = folder / Path(text).expanduser()
        if checks:
            check_reference(python)
    except (RemoteError, EnvironmentRefused) as error:
        raise pytest.UsageError(f"--ftcompare-reference: {error}") from None
    return GivenReference(python)


def _today(config: pytest.Config) -> date:
    """Return the date; a worker takes its controller's, also after midnight."""
    sent = getattr(config, "workerinput", {}).get("ftcompare_today")
    return accept_file.today() if sent is None else date.fromisoformat(sent)


def _read_accept_file(file: Path | None) -> tuple[Allowance, ...]:
    try:
        return () if file is None else accept_file.read(file)
    except accept_file.AcceptFileError as error:
        raise pytest.UsageError(f"--ftcompare-accept: {error}") from None


# --benchmark-<name>: each asks pytest-benchmark for results.
RESULT_OPTIONS = ("json", "save", "autosave", "compare", "histogram", "only")


def _needs_full_training(config: pytest.Config, history: Path | None) -> bool:
    """Return whether the user wants numbers that no verdict needs.

    A worker takes the answer from its controller, which has changed the worker's options.
    """
    if (decided := getattr(config, "workerinput", {}).get("ftcompare_full")) is not None:
        return bool(decided)
    # Under xdist, the options as the user gave them.
    hidden = config.stash.get(HIDDEN_OPTIONS, {})
    requested = any(
        hidden.get(name) or getattr(config.option, f"benchmark_{name}", None)
        for name in RESULT_OPTIONS
    )
    return (
        config.getoption("ftcompare_full")
        or history is not None
        or requested
        or table_requested(config)
    )


def make_settings(config: pytest.Config) -> Settings:
    """Read and check the options; raise `UsageError` with one sentence for a wrong one."""

    def option_or_ini(name: str) -> str:
        value = config.getoption(f"ftcompare_{name}")
        return str(config.getini(f"ftcompare_{name}") if value is None else value)

    name = option_or_ini("profile")
    try:
        project = read(config.rootpath)
    except ProjectConfigError as error:
        raise pytest.UsageError(str(error)) from None
    if name not in project.profiles:
        raise pytest.UsageError(
            f"--ftcompare-profile: no profile is called {name!r}: "
            f"expected one of {', '.join(project.profiles)}"
        )
    profile = project.profiles[name]
    hub = Path(option_or_ini("hub")).expanduser() if option_or_ini("hub") else None
    if profile.needs_hub and hub is None:
        raise pytest.UsageError(
            f"the profile {name} reads models and data from a folder: "
            "name it with --ftcompare-hub=DIR"
        )
    if hub is not None and not any((hub / kind).is_dir() for kind in ("models", "datasets")):
        raise pytest.UsageError(
            f"--ftcompare-hub: expected a folder with models/ or datasets/, found none at {hub}"
        )
    device = option_or_ini("device")
    if device not in ("cpu", "cuda", "auto"):
        raise pytest.UsageError(f"--ftcompare-device: expected cpu, cuda or auto, got {device!r}")
    update, new_only = (
        config.getoption("update_baselines"),
        config.getoption("update_baselines_new_only"),
    )
    if update and new_only:
        raise pytest.UsageError(
            "expected --update-baselines (stores every case that runs) or "
            "--update-baselines-new-only (stores cases without a baseline), got both"
        )
    seeds = config.getoption("ftcompare_seeds")
    threads = config.getoption("ftcompare_threads")
    window = config.getoption("ftcompare_window")
    for option, value, minimum in (
        ("seeds", seeds, 1),
        ("threads", threads, 0),
        ("window", window, 0),
    ):
        if value is not None and value < minimum:
            raise pytest.UsageError(
                f"--ftcompare-{option}: expected a number of at least {minimum}, got {value}"
            )
    folder = config.invocation_params.dir
    history = config.getoption("ftcompare_history")
    ini_value = config.getini("ftcompare_history")
    history = (
        folder / Path(history).expanduser()
        if history
        else config.rootpath / Path(ini_value).expanduser()
        if ini_value
        else None
    )
    accept = option_or_ini("accept")
    accept_path = config.rootpath / Path(accept).expanduser() if accept else None
    baselines = (config.rootpath / Path(option_or_ini("baselines")).expanduser()).resolve()
    return Settings(
        profile=profile,
        project=project,
        hub=hub.resolve() if hub else None,
        baselines=baselines,
        update=update,
        new_only=new_only,
        seeds=profile.seeds if seeds is None else seeds,
        budget=2 * profile.seeds if seeds is None else seeds,
        strict=config.getoption("ftcompare_strict"),
        strict_times=config.getoption("ftcompare_strict_times"),
        provisional=config.getoption("ftcompare_provisional"),
        full=_needs_full_training(config, history),
        reference=_make_reference(config, baselines, project),
        root=config.rootpath,
        threads=(profile.threads if threads is None else threads) or _threads_per_worker(config),
        device=device,
        window=profile.window if window is None else window,
        reports=tuple(
            folder / Path(path).expanduser() for path in config.getoption("ftcompare_report")
        ),
        history=history,
        resume=config.getoption("ftcompare_resume"),
        accept_file=accept_path,
        allowances=_read_accept_file(accept_path),
        today=_today(config),
    )
