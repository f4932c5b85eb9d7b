"""Commands that need no pytest: `python -m pytest_ftcompare init`, `check`, `compare`, `history` and `report`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

OK, WORSE, USAGE = (
    0,
    1,
    2,
)  # exit statuses, as pytest's mean: passed, failed; a usage error is argparse's 2

DEFAULT_MODEL = "pocket/opt-1.4m"  # embedded, so that a first gate needs no download
EPILOG = """\
The gate itself is a pytest plugin:
  pytest suites/                     hold what is here against its baselines
  pytest suites/ --update-baselines  accept what is here as the baselines
  pytest --help                      the plugin's options are under "ftcompare"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_ftcompare",
        description="A regression gate for fine-tuning stacks; what can be done without pytest.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "init",
        help="begin a gate on a data file of your own",
        description="Write a task's table, a suite, a workflow and .gitignore here; what is not said is asked for. "
        "Exit status: 0 written, 2 a usage error, and nothing is written.",
    )
    command.add_argument(
        "--data", metavar="FILE", help="the file of rows: CSV, TSV, JSON, Parquet, Arrow"
    )
    command.add_argument("--text", metavar="COLUMN", help="the column that the model reads")
    command.add_argument("--label", metavar="COLUMN", help="the column of the class")
    command.add_argument(
        "--model", metavar="ID", help=f"the base model's hub id (default: {DEFAULT_MODEL})"
    )
    command.add_argument(
        "--task", metavar="NAME", help="the task's name (default: from the file's)"
    )
    command.set_defaults(do=init)
    command = commands.add_parser(
        "check",
        help="read a project's tasks as the gate does, without training",
        description="Show the rows, classes and lengths of the tasks in pyproject.toml, and what the models will read. "
        "Exit status: 0 nothing refused, 1 something refused, 2 a usage error.",
    )
    command.add_argument(
        "--profile", metavar="NAME", help="the profile whose models read (default: the project's)"
    )
    command.add_argument(
        "--hub", type=Path, metavar="DIR", help="local folder with models, as --ftcompare-hub"
    )
    command.set_defaults(do=lambda given: check(given.profile, given.hub))
    command = commands.add_parser(
        "compare",
        help="compare two folders of results: baselines of this project, or files of PEFT's method_comparison",
        description="Compare the cases that two folders of results have in common. Exit status: 0 nothing worse, "
        "1 something worse, changed, invalid or too much unseen, 2 a usage error.",
    )
    command.add_argument(
        "old", type=Path, metavar="OLD", help="folder with the results to compare with"
    )
    command.add_argument("new", type=Path, metavar="NEW", help="folder with the results to judge")
    command.add_argument(
        "--json", type=Path, metavar="FILE", help="also write all verdicts to FILE"
    )
    command.set_defaults(do=lambda given: compare(given.old, given.new, given.json))
    command = commands.add_parser(
        "report",
        help="render what --ftcompare-report=RUN.json wrote, as HTML or Markdown",
        description="Render a session's report again. Exit status: 0 written, 2 a usage error.",
    )
    command.add_argument(
        "run", type=Path, metavar="RUN.json", help="what --ftcompare-report=RUN.json wrote"
    )
    command.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help="the file to write; its ending, .html or .md, says what",
    )
    command.set_defaults(do=lambda given: report(given.run, given.out))
    commands.add_parser(
        "history", help="show a metric over the runs of a history, or import results into one"
    )
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["history"]:
        from pytest_ftcompare.report.history import cli as history

        return history.main(words[1:])
    options = parser.parse_args(words)
    status: int = options.do(options)
    return status


def compare(old: Path, new: Path, file: Path | None) -> int:
    """Print the comparison of two folders, and write it to `file`; what cannot be compared is a usage error of one sentence."""
    from pytest_ftcompare.compare import compare_results
    from pytest_ftcompare.report.compare_command import lines
    from pytest_ftcompare.report.wrapping import WIDTH, fitted
    from pytest_ftcompare.results import result_folders

    try:
        pairs = result_folders.pair_results(result_folders.read(old), result_folders.read(new))
    except result_folders.FolderError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return USAGE
    overall = compare_results.compare_pairs(pairs.both)
    columns = shutil.get_terminal_size((WIDTH, 0)).columns
    for line in lines(overall, pairs):
        print("\n".join(fitted(line, columns)))
    if file is not None:
        data = {
            "failed": overall.failed,
            "findings": overall.findings,
            "shifts": [asdict(one) for one in overall.shifts],
            "verdicts": [one.to_dict() for one in overall.verdicts],
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
    return WORSE if overall.failed else OK


def init(given: argparse.Namespace) -> int:
    """Begin a project in the working folder; what cannot be is a usage error of one sentence."""
    from pytest_ftcompare.gate.start_project import (
        NEXT_STEPS,
        Answers,
        InitError,
        write_project,
        read_columns,
        default_task_name,
    )
    from pytest_ftcompare.tasks import DataError

    def ask(what: str, value: str | None, default: str = "") -> str:
        if value:
            return value
        shown = f" [{default}]" if default else ""
        try:
            said = input(f"{what}{shown}: ").strip()
        except EOFError:
            said = ""
        if not (said or default):
            raise InitError(
                f"expected {what.partition(' (')[0].lower()}, got none: answer, or give it as an option"
            )
        return said or default

    root = Path.cwd()
    try:
        file = ask("Data file", given.data)
        columns = ", ".join(read_columns(root, file))
        answers = Answers(
            data=file,
            text=ask(f"Column that the model reads (of {columns})", given.text),
            label=ask(f"Column of the class (of {columns})", given.label),
            model=given.model or (ask("Base model", None, DEFAULT_MODEL) if sys.stdin.isatty() else DEFAULT_MODEL),
            task=given.task or default_task_name(file),
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
    """Print how the gate reads the project's tasks; whether something is refused."""
    from pytest_ftcompare.gate.check_project import CheckError
    from pytest_ftcompare.gate.check_project import check as lines
    from pytest_ftcompare.gate.project_config import ProjectConfigError
    from pytest_ftcompare.report.wrapping import WIDTH, fitted

    columns = shutil.get_terminal_size((WIDTH, 0)).columns
    status = OK
    try:
        for line, wrong in lines(Path.cwd(), profile, hub):
            print("\n".join(fitted(line, columns)), flush=True)
            status = WORSE if wrong else status
    except (CheckError, ProjectConfigError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return USAGE
    return status


def report(run: Path, out: Path) -> int:
    """Render the report in `run` as what the ending of `out` says; what cannot be is a usage error of one sentence."""
    from pytest_ftcompare.report import formats
    from pytest_ftcompare.report.document_reader import DocumentError, read

    refused = ""
    if out.suffix not in formats.RENDERINGS:
        refused = (
            f"{out}: expected a file to write that ends in one of {', '.join(formats.RENDERINGS)}"
        )
    else:
        try:
            formats.write(out, read(run.read_text(encoding="utf-8")))
        except (DocumentError, UnicodeDecodeError) as error:
            refused = f"{run} cannot be read: {error}"
        except OSError as error:
            refused = f"{error.filename or out}: {error.strerror or error}: name a report that is there, and a file to write"
    if refused:
        print(f"ERROR: {refused}", file=sys.stderr)
        return USAGE
    return OK


if __name__ == "__main__":
    sys.exit(main())
