"""Check GitHub Actions workflows: options, permissions, and scripts with fake programs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.nightly.expressions import Evaluator

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in FILES}
STEPS = {
    (workflow, step.get("name", step.get("uses"))): step
    for workflow, content in WORKFLOWS.items()
    for job in content["jobs"].values()
    for step in job["steps"]
}
SCRIPTS = {name: step["run"] for name, step in STEPS.items() if "run" in step}
# Options of other programs in the scripts and on the page.
OTHERS = {
    *(
        "--query-gpu",
        "--format",
        "--intent-to-add",
        "--exclude-editable",
        "--binary",
        "--field",
        "--method",
        "--paginate",
        "--jq",
        "--silent",
    ),
    *(
        "--label",
        "--state",
        "--limit",
        "--json",
        "--comment",
        "--body-file",
        "--description",
        "--force",
        "--title",
    ),
    "--report",  # of `python -m pytest_ftcompare try`
    *("--url", "--token", "--labels", "--name", "--cached", "--stat", "--ref", "--ff-only"),
}


@pytest.fixture(scope="module")
def known():
    """Return the options that `pytest --help` lists."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--help", "suites"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"--[a-z][a-z-]*", done.stdout))


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


@pytest.mark.parametrize("script", SCRIPTS, ids=" ".join)
def test_the_options_of_a_script_exist(script, known):
    assert options(SCRIPTS[script]) - OTHERS <= known


def test_the_options_of_the_page_exist(known):
    assert options((ROOT / "docs" / "nightly.md").read_text(encoding="utf-8")) - OTHERS <= known


@pytest.mark.parametrize("workflow", ["nightly", "pocket"])
def test_a_run_writes_every_report(workflow):
    script = SCRIPTS[workflow, "Run the gate"]
    assert {"--ftcompare-report", "--ftcompare-profile", "--junit-xml"} <= options(script)
    assert set(re.findall(r"report\.(\w+)", script)) == {"html", "md", "json", "xml"}
    uploaded = STEPS[workflow, "Upload the reports"]
    assert uploaded["if"] == "always()"
    assert "report.*" in uploaded["with"]["path"]


def test_the_nightly_run_keeps_its_history_and_goes_on_with_one_that_died():
    script = SCRIPTS["nightly", "Run the gate"]
    assert {"--ftcompare-history", "--ftcompare-resume", "--benchmark-json"} <= options(script)
    assert WORKFLOWS["nightly"]["jobs"]["gate"]["runs-on"] == ["self-hosted", "gpu"]
    assert set(WORKFLOWS["nightly"][True]) == {
        "schedule",
        "workflow_dispatch",
    }  # YAML reads the key `on` as true


@pytest.mark.parametrize("script", SCRIPTS, ids=" ".join)
def test_a_script_is_shell_and_gets_what_others_wrote_through_the_environment(script):
    done = subprocess.run(["bash", "-n"], input=SCRIPTS[script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "${{" not in SCRIPTS[script]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_permissions_are_few_and_actions_are_githubs_own(workflow):
    content = WORKFLOWS[workflow]
    (job,) = content["jobs"].values()
    assert content["permissions"] == {}
    written = {
        "nightly": ["issues"],
        "pocket": ["pull-requests"],
        "grid": [],
        "upgrades": ["issues"],
    }[workflow]
    assert job["permissions"] == {"contents": "read"} | dict.fromkeys(written, "write")
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", one) for one in used)
    (checkout,) = [
        step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout")
    ]
    assert checkout["with"]["persist-credentials"] is False


@pytest.fixture
def machine(tmp_path):
    """A folder with fake programs, each a line of shell, that record their calls."""

    class Machine:
        folder = tmp_path
        calls = tmp_path / "calls"

        def program(self, path, does):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'#!/bin/bash\necho "{file.name} $*" >> "{self.calls}"\n{does}\n')
            file.chmod(0o755)

        def run(self, workflow, step, **environ):
            path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
            return subprocess.run(
                [
                    "bash",
                    "--noprofile",
                    "--norc",
                    "-eo",
                    "pipefail",
                    "-c",
                    SCRIPTS[workflow, step],
                ],  # as GitHub's runner does
                cwd=tmp_path,
                env={"PATH": path, "HOME": str(tmp_path), **environ},
                capture_output=True,
                text=True,
            )

        def called(self):
            return self.calls.read_text().splitlines() if self.calls.exists() else []

    return Machine()


@pytest.mark.parametrize(
    ("does", "status", "runs"),
    [
        ("exit 0", 0, 1),
        ("exit 1", 1, 1),
        ("exit 4", 4, 1),
        ("[ -e died ] || { touch died; kill -9 $$; }", 0, 2),
        ("[ -e died ] && exit 1; touch died; kill -9 $$", 1, 2),
        ("kill -9 $$", 137, 2),
    ],
    ids=["passed", "failed", "usage", "died once", "died once, failed", "died twice"],
)
def test_a_run_that_a_signal_killed_is_started_once_more(machine, does, status, runs):
    machine.program("venv/bin/python", does)
    done = machine.run("nightly", "Run the gate", STATE=str(machine.folder), PROFILE="nightly")
    assert done.returncode == status
    assert len(machine.called()) == runs
    assert all(
        "--ftcompare-profile=nightly" in one and f"--ftcompare-hub={machine.folder}/hub" in one
        for one in machine.called()
    )


@pytest.mark.parametrize(("night", "kept"), [("true", True), ("false", False)])
def test_only_a_night_is_in_the_history(machine, night, kept):
    machine.program("state/venv/bin/python", "exit 0")
    machine.run(
        "nightly",
        "Run the gate",
        STATE=str(machine.folder / "state"),
        PROFILE="nightly",
        NIGHT=night,
    )
    (call,) = machine.called()
    assert ("--ftcompare-history=" in call) is kept


@pytest.mark.parametrize("device", ["nvidia-h200", "cpu"])
def test_the_versions_are_those_of_the_devices_baselines(machine, device):
    machine.program("bin/nvidia-smi", "printf 'NVIDIA H200\\nNVIDIA H200\\n'")
    machine.program("bin/make", "")
    (machine.folder / "baselines" / device).mkdir(parents=True)
    (machine.folder / "baselines" / device / "constraints.txt").touch()
    done = machine.run(
        "nightly", "Set up with the versions of the device's baselines", STATE="/state"
    )
    assert done.returncode == 0
    assert (
        machine.called()[-1] == "make setup VENV=/state/venv "
        f"CONSTRAINTS=baselines/{device}/constraints.txt PYTHON=python3"
    )


def issue(machine, outcome, numbers):
    machine.program("bin/gh", f"[ \"$2\" != list ] || printf '%s' '{numbers}'")
    places = {"RUN": "https://run", "PAGE": "https://page"}
    done = machine.run("nightly", "Say it in an issue, or close it", OUTCOME=outcome, **places)
    assert (done.returncode, done.stderr) == (0, "")
    return [one.split()[1:4] for one in machine.called() if " list " not in one]


@pytest.mark.parametrize(
    ("outcome", "numbers", "calls"),
    [
        ("success", "", []),
        ("success", "7", [["issue", "close", "7"]]),
        ("failure", "7", [["issue", "comment", "7"]]),
        ("failure", "", [["label", "create", "nightly"], ["issue", "create", "--title"]]),
    ],
)
def test_a_failure_is_one_issue_until_a_night_passes(machine, outcome, numbers, calls):
    (machine.folder / "report.md").write_text("## ftcompare failed\n")
    assert issue(machine, outcome, numbers) == calls
    if outcome == "failure":
        assert (machine.folder / "report.md").read_text() == (
            "## ftcompare failed\n\nReports and log: https://run\n"
            "What to do: https://page#a-regression\n"
        )


def test_a_run_of_the_schedule_is_a_night():
    """The schedule's event does not have the repository's default branch."""
    night = WORKFLOWS["nightly"]["jobs"]["gate"]["env"]["NIGHT"]
    names = ("inputs.arguments", "github.event_name", "github.ref_name")
    for values, expected in (
        ((None, "schedule", "main", None), "true"),
        (("", "workflow_dispatch", "main", "main"), "true"),
        (("", "workflow_dispatch", "branch", "main"), "false"),
        (("-k lora", "workflow_dispatch", "main", "main"), "false"),
    ):
        context = dict(zip((*names, "github.event.repository.default_branch"), values, strict=True))
        assert Evaluator(context).substitute(night) == expected


def test_a_run_without_a_report_is_reported(machine):
    issue(machine, "failure", "")
    assert (
        (machine.folder / "report.md")
        .read_text()
        .startswith("The nightly run ended before it had a report.\n")
    )


PIP_VERSIONS = """\
torch (2.14.0+cpu)
Available versions: 2.14.0+cpu, 2.13.0+cpu
  INSTALLED: {installed}
  LATEST:    2.14.0+cpu
"""


@pytest.mark.parametrize(
    ("installed", "change"), [("2.13.0+cpu", "CHANGE=torch==2.14.0\n"), ("2.14.0+cpu", "")]
)
def test_a_new_release_is_tried_and_an_installed_one_is_not(machine, installed, change):
    (machine.folder / "versions").write_text(PIP_VERSIONS.format(installed=installed))
    machine.program(".venv/bin/python", f"cat {machine.folder / 'versions'}")
    environment = machine.folder / "environment"
    environment.touch()
    places = {"LIBRARY": "torch", "GITHUB_ENV": str(environment)}
    assert machine.run("upgrades", "Find the newest release", **places).returncode == 0
    assert environment.read_text() == change


@pytest.mark.parametrize("status", [0, 1, 2])
def test_the_status_of_a_trial_is_the_steps(machine, status):
    does = f'[ "$3" = try ] || exit 0; touch report.json; exit {status}'
    machine.program(".venv/bin/python", does)
    done = machine.run("upgrades", "Try it", CHANGE="peft==0.22.0")
    assert done.returncode == status
    tried, rendered = machine.called()
    assert tried.startswith(
        "python -m pytest_ftcompare try peft==0.22.0 --report report -- suites/"
    )
    assert rendered == "python -m pytest_ftcompare report report.json report.md"


def test_the_reports_of_later_seeds_are_told_too(machine):
    """The stand-in writes each file that it is asked for, with its own name in it."""
    does = (
        'if [ "$3" = try ]; then touch report.json report-3-seeds.json; exit 1; fi; '
        '[ "$3" != report ] || echo "of $4" > "$5"'
    )
    machine.program(".venv/bin/python", does)
    assert machine.run("upgrades", "Try it", CHANGE="peft==0.22.0").returncode == 1
    assert (machine.folder / "report.md").read_text() == "of report.json\nof report-3-seeds.json\n"


@pytest.mark.parametrize(
    ("outcome", "number", "calls"),
    [
        ("success", "", []),
        ("success", "7", [["issue", "close", "7"]]),
        ("failure", "7", [["issue", "comment", "7"]]),
        ("failure", "", [["label", "create", "upgrades"], ["issue", "create", "--title"]]),
    ],
)
def test_an_upgrade_that_is_not_safe_is_one_issue(machine, outcome, number, calls):
    machine.program("bin/gh", f"[ \"$2\" != list ] || printf '%s' '{number}'")
    places = {"OUTCOME": outcome, "RUN": "https://run", "CHANGE": "peft==0.22.0"}
    done = machine.run("upgrades", "Say it in an issue, or close it", **places)
    assert (done.returncode, done.stderr) == (0, "")
    told = [call.split()[1:4] for call in machine.called() if " list " not in call]
    assert told == calls


@pytest.mark.parametrize(
    ("there", "target"),
    [("", "repos/o/r/issues/3/comments"), ("12\n34\n", "repos/o/r/issues/comments/12")],
)
def test_a_pull_request_has_one_comment(machine, there, target):
    machine.program(
        "bin/gh",
        f"case $* in *--paginate*) printf '%b' '{there.encode('unicode_escape').decode()}';; esac",
    )
    (machine.folder / "report.md").write_text("## ftcompare passed\n")
    environ = STEPS["pocket", "Comment"]["env"]
    places = {
        "COMMENTS": "repos/o/r/issues/3/comments",
        "COMMENT": "repos/o/r/issues/comments",
        "MARK": environ["MARK"],
    }
    assert machine.run("pocket", "Comment", **places).returncode == 0
    assert machine.called()[-1].split()[2] == target
    assert (
        machine.folder / "comment.md"
    ).read_text() == f"{environ['MARK']}\n## ftcompare passed\n"


def test_a_comment_is_written_only_where_the_token_may():
    assert "head.repo.full_name == github.repository" in STEPS["pocket", "Comment"]["if"]
    assert "dependabot" in STEPS["pocket", "Comment"]["if"]


def test_the_crontab_of_the_page_prints_only_what_failed(machine):
    (line,) = re.findall(
        r"^    17 1 \* \* \* (.*)$",
        (ROOT / "docs" / "nightly.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    (machine.folder / "pytest-ftcompare").mkdir()
    line = line.replace("\\%", "%").replace("/data/", f"{machine.folder}/data/")
    machine.program("bin/git", "")
    for does, said in (
        ("exit 0", ""),
        (
            f"echo failed > $(echo {machine.folder}/data/reports/*)/report.md; echo log; exit 1",
            "failed\nlog\n",
        ),
    ):
        machine.program("pytest-ftcompare/.venv/bin/pytest", does)
        environ = {
            "PATH": f"{machine.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(machine.folder),
        }
        done = subprocess.run(["sh", "-c", line], env=environ, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == (said, "")
