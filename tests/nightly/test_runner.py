"""Check the stand-in for GitHub's runner on small workflows."""

import subprocess

import pytest

from tests.nightly.rehearsal import AUTHOR
from tests.nightly.runner import Runner, WorkflowError

HEAD = """
on: {workflow_dispatch: {inputs: {arguments: {default: ""}}}}
defaults: {run: {shell: bash}}
jobs:
  gate:
    env: {NIGHT: "${{ github.event_name == 'schedule' }}"}
    steps:
      - {uses: actions/checkout@v7, with: {}}
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a workflow with these steps, by the schedule or by hand."""

    def run(steps, **inputs):
        repository = tmp_path / "repository"
        file = repository / ".github" / "workflows" / "nightly.yml"
        file.parent.mkdir(parents=True)
        file.write_text(HEAD + "".join(f"      - {step}\n" for step in steps))
        environment = Runner(tmp_path / "runner", repository, {}).environment() | AUTHOR
        for command in ("init -q -b main", "add --all", "commit -q -m files"):
            subprocess.run(["git", *command.split()], cwd=repository, env=environment, check=True)
        return Runner(tmp_path / "machine", repository, {"OURS": "of the machine"}).run(
            inputs or None
        )

    return run


def test_a_step_passes_variables_on_and_sees_those_of_the_job_and_the_machine(run):
    done = run(
        [
            '{name: write, run: \'echo "NAME=a value" >> "$GITHUB_ENV"\'}',
            "{name: read, run: 'echo \"$NAME, $OURS, $NIGHT\"'}",
        ]
    )
    assert done.succeeded
    assert done.output["read"] == "a value, of the machine, true\n"


def test_after_a_failure_only_steps_that_ask_for_it_run(run):
    done = run(
        [
            "{name: fail, run: 'false | cat; echo not reached'}",
            "{name: skipped, run: echo}",
            "{name: always, if: always(), run: echo}",
            "{name: by condition, if: \"failure() && env.NIGHT == 'false'\", run: echo}",
            "{name: told, if: failure(), env: {OUTCOME: '${{ job.status }}'}, run: echo $OUTCOME}",
        ],
        arguments="-k lora",
    )
    assert not done.succeeded
    assert list(done.output) == ["fail", "always", "by condition", "told"]
    assert (done.output["fail"], done.output["told"]) == ("", "failure\n")


def test_an_artifact_has_the_files_that_the_patterns_match(run):
    upload = "{uses: actions/upload-artifact@v7, with: {name: all, path: 'report.* none.*'}}"
    done = run(["{name: write, run: touch report.md report.json other}", upload])
    assert sorted(file.name for file in (done.artifacts / "all").iterdir()) == [
        "report.json",
        "report.md",
    ]


@pytest.mark.parametrize(
    "step",
    [
        "{name: unknown key, timeout-minutes: 1, run: echo}",
        "{uses: other/action@v1, with: {}}",
        "{name: unknown text, run: 'echo \"A<<END\" >> $GITHUB_ENV'}",
    ],
)
def test_what_the_runner_does_not_know_is_refused(run, step):
    with pytest.raises(WorkflowError, match="expected "):
        run([step])


def test_an_unknown_input_is_refused(run):
    with pytest.raises(WorkflowError, match="expected inputs of arguments"):
        run([], argument="-k lora")
