"""Command-line options and ini keys, and the frozen Settings made of them once."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pytest_ftcompare.gate.profiles import PROFILES
from pytest_ftcompare.gate.project_config import ProjectConfigError, read
from pytest_ftcompare.gate.remote import RemoteError, check_reference
from pytest_ftcompare.gate.settings import Settings
from pytest_ftcompare.plugin.benchmark_bridge import HIDDEN, asks_for_table

SETTINGS = pytest.StashKey[Settings]()


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("ftcompare", "regression gate for fine-tuning (pytest-ftcompare)")
    group.addoption(
        "--update-baselines",
        action="store_true",
        help="Train all seeds of the cases that run and accept the results as their baselines; review the diff in git.",
    )
    group.addoption(
        "--update-baselines-new-only",
        action="store_true",
        help="Train all seeds of the cases without a baseline and accept them; hold the others against theirs, as ever.",
    )
    names = ", ".join(f"{name} ({one.summary})" for name, one in PROFILES.items())
    group.addoption(
        "--ftcompare-profile",
        metavar="NAME",
        default=None,
        help=f"What to compare on: {names}. Default: pocket.",
    )
    group.addoption(
        "--ftcompare-hub",
        metavar="DIR",
        default=None,
        help="Folder with models/<id>/ and datasets/<id>/, as 'hf download --local-dir' leaves them.",
    )
    group.addoption(
        "--ftcompare-baselines",
        metavar="DIR",
        default=None,
        help="Folder of the baselines. Default: baselines.",
    )
    group.addoption(
        "--ftcompare-seeds",
        metavar="N",
        type=int,
        default=None,
        help="Seeds of a baseline that is made, and the most that a case may train to settle a question. "
        "Default: the profile's, and twice as many.",
    )
    group.addoption(
        "--ftcompare-strict",
        action="store_true",
        help="Fail where training took another course, even if another version of a library may explain it.",
    )
    group.addoption(
        "--ftcompare-strict-times",
        action="store_true",
        help="Fail where a time differs though nothing changed that could move it; by default it is noted.",
    )
    group.addoption(
        "--ftcompare-full",
        action="store_true",
        help="Train each case whole, and time each method and each claim about time, even where nothing changed that "
        "could move them or the machine is another. On where a history is kept or pytest-benchmark is asked for its results.",
    )
    group.addoption(
        "--ftcompare-reference",
        metavar="PYTHON",
        default=None,
        help="Interpreter of an environment with the versions to compare times with: its rounds alternate with these.",
    )
    group.addoption(
        "--ftcompare-threads",
        metavar="N",
        type=int,
        default=None,
        help="Threads of torch in each worker; another number than the baseline's ends bit-identity. Default: the profile's.",
    )
    group.addoption(
        "--ftcompare-device",
        metavar="NAME",
        default=None,
        help="cpu, cuda, or auto (cuda where there is one). Default: auto.",
    )
    group.addoption(
        "--ftcompare-window",
        metavar="SECONDS",
        type=float,
        default=None,
        help="Length of a timed window, in which a worker has its device alone. Default: the profile's.",
    )
    group.addoption(
        "--ftcompare-report",
        metavar="FILE",
        action="append",
        default=[],
        help="Write a report at the end: FILE.html to look at, FILE.md for a comment, FILE.json for programs. Can be repeated.",
    )
    group.addoption(
        "--ftcompare-history",
        metavar="FILE",
        default=None,
        help="Append the results to this SQLite database; 'python -m pytest_ftcompare history FILE' shows it.",
    )
    group.addoption(
        "--ftcompare-resume",
        action="store_true",
        help="Go on with the last run that died or was interrupted: what it finished is taken as it is, unless code, "
        "versions, options or baselines changed since.",
    )
    group.addoption(
        "--ftcompare-plan",
        metavar="SHAPE[,ROWSxTOKENS]",
        default=None,
        help="Print what one update of each method would need for a model of this shape, and run nothing: opt-6.7b, llama-7b, "
        "llama-13b, or a config.json. Default: 8x256.",
    )
    parser.addini("ftcompare_profile", "Default of --ftcompare-profile.", default="pocket")
    parser.addini("ftcompare_hub", "Default of --ftcompare-hub.", default="")
    parser.addini(
        "ftcompare_baselines",
        "Default of --ftcompare-baselines, relative to the root.",
        default="baselines",
    )
    parser.addini(
        "ftcompare_history", "Default of --ftcompare-history, relative to the root.", default=""
    )
    parser.addini("ftcompare_device", "Default of --ftcompare-device.", default="auto")


def options_as_given(config: pytest.Config) -> str:
    """The plugin's own options as they were given, to repeat a run by hand."""
    names = ("profile", "hub", "baselines", "seeds", "threads", "device", "window", "reference")
    values = {name: config.getoption(f"ftcompare_{name}") for name in names}
    flags = [
        name for name in ("strict", "strict_times", "full") if config.getoption(f"ftcompare_{name}")
    ]
    texts = [f" --ftcompare-{name}={value}" for name, value in values.items() if value is not None]
    return "".join([*texts, *(f" --ftcompare-{name.replace('_', '-')}" for name in flags)])


def parse_plan_option(text: str) -> tuple[str, int, int]:
    """The value of --ftcompare-plan as shape, rows and tokens."""
    shape, comma, batch = text.rpartition(",")
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", batch)
    if comma and found is None:
        raise pytest.UsageError(
            f"--ftcompare-plan: expected a batch like 8x256, rows x tokens, after the comma, got {batch!r}"
        )
    return (shape, int(found[1]), int(found[2])) if comma and found else (text, 8, 256)


def _share(config: pytest.Config) -> int:
    """Threads for each worker such that together they use the machine once; the controller says what its workers say."""
    here = len(config.getoption("tx", None) or [1])
    workers: int = getattr(config, "workerinput", {}).get("workercount", here)
    return max(1, (os.cpu_count() or 1) // workers)


def _reference(config: pytest.Config) -> Path | None:
    """The interpreter that --ftcompare-reference names; the controller has looked whether it can serve."""
    text = config.getoption("ftcompare_reference")
    if text is None:
        return None
    python: Path = config.invocation_params.dir / Path(text).expanduser()
    if not hasattr(config, "workerinput"):
        try:
            check_reference(python)
        except RemoteError as error:
            raise pytest.UsageError(f"--ftcompare-reference: {error}") from None
    return python


BENCHMARKS = (
    "json",
    "save",
    "autosave",
    "compare",
    "histogram",
    "only",
)  # asks pytest-benchmark for results


def _full(config: pytest.Config, history: Path | None) -> bool:
    """Whether times are wanted that nothing judges; the controller says it to workers, whose options
    it has changed."""
    if (said := getattr(config, "workerinput", {}).get("ftcompare_full")) is not None:
        return bool(said)
    hidden = config.stash.get(HIDDEN, {})  # under xdist, what was given before it was hidden
    asked = any(
        hidden.get(name) or getattr(config.option, f"benchmark_{name}", None) for name in BENCHMARKS
    )
    return (
        config.getoption("ftcompare_full") or history is not None or asked or asks_for_table(config)
    )


def make_settings(config: pytest.Config) -> Settings:
    """Read the options; what cannot be is a UsageError of one sentence."""

    def given(name: str) -> str:
        value = config.getoption(f"ftcompare_{name}")
        return str(config.getini(f"ftcompare_{name}") if value is None else value)

    name = given("profile")
    try:
        own = read(config.rootpath)
    except ProjectConfigError as error:
        raise pytest.UsageError(str(error)) from None
    if name not in own.profiles:
        raise pytest.UsageError(
            f"--ftcompare-profile: no profile is called {name!r}: expected one of {', '.join(own.profiles)}"
        )
    profile = own.profiles[name]
    hub = Path(given("hub")).expanduser() if given("hub") else None
    if profile.needs_hub and hub is None:
        raise pytest.UsageError(
            f"the profile {name} reads models and data from a folder: name it with --ftcompare-hub=DIR"
        )
    if hub is not None and not any((hub / kind).is_dir() for kind in ("models", "datasets")):
        raise pytest.UsageError(
            f"--ftcompare-hub: expected a folder with models/ or datasets/, found none at {hub}"
        )
    device = given("device")
    if device not in ("cpu", "cuda", "auto"):
        raise pytest.UsageError(f"--ftcompare-device: expected cpu, cuda or auto, got {device!r}")
    update, new_only = (
        config.getoption("update_baselines"),
        config.getoption("update_baselines_new_only"),
    )
    if update and new_only:
        raise pytest.UsageError(
            "expected one of --update-baselines, which writes all that runs, and --update-baselines-new-only, got both"
        )
    seeds = config.getoption("ftcompare_seeds")
    threads = config.getoption("ftcompare_threads")
    window = config.getoption("ftcompare_window")
    for option, value, least in (
        ("seeds", seeds, 1),
        ("threads", threads, 0),
        ("window", window, 0),
    ):
        if value is not None and value < least:
            raise pytest.UsageError(
                f"--ftcompare-{option}: expected a number of at least {least}, got {value}"
            )
    here = config.invocation_params.dir
    history = config.getoption("ftcompare_history")
    kept = config.getini("ftcompare_history")
    history = (
        here / Path(history).expanduser() if history else config.rootpath / kept if kept else None
    )
    return Settings(
        profile=profile,
        project=own,
        hub=hub.resolve() if hub else None,
        baselines=(config.rootpath / given("baselines")).resolve(),
        update=update,
        new_only=new_only,
        seeds=profile.seeds if seeds is None else seeds,
        budget=2 * profile.seeds if seeds is None else seeds,
        strict=config.getoption("ftcompare_strict"),
        strict_times=config.getoption("ftcompare_strict_times"),
        full=_full(config, history),
        reference=_reference(config),
        root=config.rootpath,
        threads=(profile.threads if threads is None else threads) or _share(config),
        device=device,
        window=profile.window if window is None else window,
        reports=tuple(
            here / Path(one).expanduser() for one in config.getoption("ftcompare_report")
        ),
        history=history,
        resume=config.getoption("ftcompare_resume"),
    )
