"""The commands of `python -m pytest_ftcompare`: init, check, try, bisect, ...

They need no pytest. Each command imports only what it needs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

# Exit statuses: 0 and 1 as pytest's passed and failed, 2 as argparse's usage error.
OK, WORSE, USAGE = 0, 1, 2

DEFAULT_MODEL = "pocket/opt-1.4m"  # embedded: a first gate downloads nothing
EPILOG = """\
The gate is a pytest plugin:
  pytest suites/                     train and compare with the baselines
  pytest suites/ --update-baselines  store the results as baselines
  pytest --help                      list the options of the gate
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in `arguments`, by default the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_ftcompare",
        description="A regression gate for fine-tuning stacks: the commands without pytest.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "init",
        help="write a suite for your data file",
        description="Write a task's table, a suite, a workflow and .gitignore in this folder. "
        "Ask for each value that no option gives. Exit status: 0 files written; 2 usage error, "
        "nothing written.",
    )
    command.add_argument(
        "--data", metavar="FILE", help="data file: CSV, TSV, JSON, Parquet or Arrow"
    )
    command.add_argument("--text", metavar="COLUMN", help="column that the model reads")
    command.add_argument("--label", metavar="COLUMN", help="column of the class")
    command.add_argument(
        "--model", metavar="ID", help=f"hub id of the base model (default: {DEFAULT_MODEL})"
    )
    command.add_argument(
        "--task", metavar="NAME", help="name of the task (default: from the file's name)"
    )
    command.set_defaults(do=init)
    command = commands.add_parser(
        "check",
        help="show what the models will read of your tasks, without training",
        description="Show rows, classes and lengths of the tasks in pyproject.toml, and what the "
        "models will read. Exit status: 0 every task accepted; 1 a task refused; 2 usage error.",
    )
    command.add_argument(
        "--profile", metavar="NAME", help="profile with the models (default: the project's)"
    )
    command.add_argument(
        "--hub",
        type=Path,
        metavar="DIR",
        help="folder with models and data sets, as --ftcompare-hub",
    )
    command.set_defaults(do=lambda args: check(args.profile, args.hub))
    command = commands.add_parser(
        "compare",
        help="compare two folders of results: baselines, or PEFT's method_comparison files",
        description="Compare the cases that two folders of results share. Exit status: 0 no "
        "failing verdict; 1 a case is worse, changed or invalid, or too few cases could be "
        "compared; 2 usage error.",
    )
    command.add_argument("old", type=Path, metavar="OLD", help="folder with the earlier results")
    command.add_argument("new", type=Path, metavar="NEW", help="folder with the results to judge")
    command.add_argument(
        "--json", type=Path, metavar="FILE", help="also write all verdicts to FILE"
    )
    command.set_defaults(do=lambda args: compare(args.old, args.new, args.json))
    command = commands.add_parser(
        "report",
        help="render a stored JSON report as HTML or Markdown",
        description="Render a stored JSON report as HTML or Markdown. "
        "Exit status: 0 file written; 2 usage error.",
    )
    command.add_argument(
        "run", type=Path, metavar="RUN.json", help="report that --ftcompare-report=RUN.json wrote"
    )
    command.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help="file to write; its ending, .html or .md, chooses the format",
    )
    command.set_defaults(do=lambda args: report(args.run, args.out))
    commands.add_parser(
        "history", help="show a metric over the runs of a history, or import results"
    )
    from pytest_ftcompare.upgrade import bisect_command
    from pytest_ftcompare.upgrade import command as try_command

    try_command.add_parsers(commands)
    bisect_command.add_parser(commands)
    command_line = sys.argv[1:] if arguments is None else list(arguments)
    if command_line[:1] == ["history"]:
        from pytest_ftcompare.report.history import cli as history

        return history.main(command_line[1:])
    # argparse would take what follows -- for the command's own.
    end = command_line.index("--") if "--" in command_line else len(command_line)
    options, rest = parser.parse_known_args(command_line[:end])
    # argparse takes the changes of `try` on one side of an option only.
    if rest and (not hasattr(options, "changes") or any(text.startswith("-") for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.changes = [*options.changes, *rest]
    options.pytest = command_line[end + 1 :]
    status: int = options.do(options)
    return status


def compare(old: Path, new: Path, file: Path | None) -> int:
    """Print the comparison of two folders, write it to `file` as JSON, return the exit status.

    A folder that cannot be compared is a usage error: one sentence on stderr.
    """
    from pytest_ftcompare.compare import compare_results
    from pytest_ftcompare.report.compare_command import lines
    from pytest_ftcompare.report.wrapping import WIDTH, fitted
    from pytest_ftcompare.results import result_folders

    try:
        pairs = result_folders.pair_results(result_folders.read(old), result_folders.read(new))
    except result_folders.FolderError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return USAGE
    session_verdict = compare_results.compare_pairs(pairs.both)
    columns = shutil.get_terminal_size((WIDTH, 0)).columns
    for line in lines(session_verdict, pairs):
        print("\n".join(fitted(line, columns)))
    if file is not None:
        data = {
            "failed": session_verdict.failed,
            "findings": session_verdict.findings,
            "shifts": [asdict(shift) for shift in session_verdict.shifts],
            "verdicts": [verdict.to_dict() for verdict in session_verdict.verdicts],
            "only_old": pairs.only_old,
            "only_new": pairs.only_new,
        }
        try:
            file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            print(
                f"ERROR: --json: {file} cannot be written ({error.strerror}): name another file",
                file=sys.stderr,
            )
            return USAGE
    return WORSE if session_verdict.failed else OK


def init(args: argparse.Namespace) -> int:
    """Write a suite for a data file to the working folder; return the exit status.

    Ask for values that the options do not give. A wrong value is a usage error: one sentence on
    stderr.
    """
    from pytest_ftcompare.gate.start_project import (
        NEXT_STEPS,
        Answers,
        InitError,
        default_task_name,
        read_columns,
        write_project,
    )
    from pytest_ftcompare.tasks import DataError

    def ask(question: str, value: str | None, default: str = "") -> str:
        if value:
            return value
        suffix = f" [{default}]" if default else ""
        try:
            answer = input(f"{question}{suffix}: ").strip()
        except EOFError:
            answer = ""
        if not (answer or default):
            raise InitError(
                f"expected {question.partition(' (')[0].lower()}, got none: "
                "answer the question, or give it as an option"
            )
        return answer or default

    root = Path.cwd()
    try:
        file = ask("Data file", args.data)
        columns = ", ".join(read_columns(root, file))
        answers = Answers(
            data=file,
            text=ask(f"Column that the model reads (of {columns})", args.text),
            label=ask(f"Column of the class (of {columns})", args.label),
            model=args.model
            or (ask("Base model", None, DEFAULT_MODEL) if sys.stdin.isatty() else DEFAULT_MODEL),
            task=args.task or default_task_name(file),
        )
        written = write_project(root, answers)
    except (InitError, DataError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return USAGE
    for path in written:
        print(f"wrote {path.relative_to(root)}")
    print(NEXT_STEPS.format(folder=root))
    return OK


def check(profile: str | None, hub: Path | None) -> int:
    """Print how the gate reads the project's tasks; return 1 if it refuses one."""
    from pytest_ftcompare.gate.check_project import CheckError
    from pytest_ftcompare.gate.check_project import check as lines
    from pytest_ftcompare.gate.project_config import ProjectConfigError
    from pytest_ftcompare.report.wrapping import WIDTH, fitted

    columns = shutil.get_terminal_size((WIDTH, 0)).columns
    status = OK
    try:
        for line, refused in lines(Path.cwd(), profile, hub):
            print("\n".join(fitted(line, columns)), flush=True)
            status = WORSE if refused else status
    except (CheckError, ProjectConfigError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return USAGE
    return status


def report(run: Path, out: Path) -> int:
    """Render the JSON report `run` to `out`, in the format of its ending; return the exit status.

    A file that cannot be read or written is a usage error: one sentence on stderr.
    """
    from pytest_ftcompare.report import formats
    from pytest_ftcompare.report.document_reader import DocumentError, read

    problem = ""
    if out.suffix not in formats.RENDERINGS:
        problem = f"{out}: expected a file name that ends in one of {', '.join(formats.RENDERINGS)}"
    else:
        try:
            formats.write(out, read(run.read_text(encoding="utf-8")))
        except (DocumentError, UnicodeDecodeError) as error:
            problem = f"{run} cannot be read: {error}"
        except OSError as error:
            problem = (
                f"{error.filename or out}: {error.strerror or error}: "
                "name an existing report and a file that can be written"
            )
    if problem:
        print(f"ERROR: {problem}", file=sys.stderr)
        return USAGE
    return OK


def _is_installed() -> bool:
    """Check whether this Python has the package, and not only its files in the working folder."""
    try:
        distribution("pytest-ftcompare")
    except PackageNotFoundError:
        return False
    return True


def main_or_why_not() -> int:
    """Do `main`; without the package's requirements, say so in a sentence."""
    try:
        return main()
    except ModuleNotFoundError as error:
        if _is_installed():
            raise
        print(
            f"ERROR: expected pytest-ftcompare installed in {sys.executable}, it is not, and "
            f"{error.name} is missing: install it there with pip, or use the environment that has "
            "it (after `make setup`, .venv/bin/python)",
            file=sys.stderr,
        )
        return USAGE


if __name__ == "__main__":
    sys.exit(main_or_why_not())
