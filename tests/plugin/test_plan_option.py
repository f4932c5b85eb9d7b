"""--ftcompare-plan: a table instead of tests, or one sentence."""

import pytest

from pytest_ftcompare.tasks.hub import EMBEDDED

SHAPE = EMBEDDED / "models" / "pocket" / "opt-0.4m"


def test_the_plan_is_printed_and_nothing_runs(shell):
    result = shell.run(f"--ftcompare-plan={SHAPE},2x16")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*opt-0.4m: one update on 2 rows of 16 tokens in bfloat16.",
            "method *trains *weights *peak",
            "full *",
            "ln_tuning *",
        ]
    )
    result.stdout.no_fnmatch_line("*passed*")
    assert all(len(line) <= 80 for line in result.stdout.lines if not line.startswith("/"))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            "opt-9b",
            "*--ftcompare-plan: expected one of opt-6.7b, llama-7b, llama-13b, a config.json*"
            "got 'opt-9b'*",
        ),
        (
            "opt-6.7b,many",
            "*--ftcompare-plan: expected a batch like 8x256, rows x tokens, after the comma, "
            "got 'many'*",
        ),
        ("opt-6.7b,0x8", "*expected a batch like 8x256*"),
    ],
)
def test_a_wrong_shape_or_batch_is_a_usage_error_of_one_sentence(shell, value, sentence):
    result = shell.run(f"--ftcompare-plan={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([sentence])
