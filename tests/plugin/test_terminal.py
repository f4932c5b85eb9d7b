"""The terminal's output: it fits the terminal, and shows verdicts only if they matter."""

import os
import pty
import re
import subprocess
import sys

import pytest


def screen_of(master):
    """Return everything that was written to a terminal until its programs ended."""
    screen = b""
    while True:
        try:
            screen += (part := os.read(master, 4096))
        except OSError:
            break
        if not part:
            break
    return screen.decode()


@pytest.mark.parametrize("columns", [40, 80])
def test_the_summary_fits_the_terminal(shell, monkeypatch, columns):
    shell.suite(methods=("full", "icl", "lora"))
    shell.update()
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = shell.run().stdout.lines
    start = next(number for number, line in enumerate(lines) if "= ftcompare =" in line)
    assert max(map(len, lines[start:])) <= columns


def test_verbose_shows_the_verdict_as_the_tests_word_and_a_row_for_each_case(shell):
    shell.update()
    shell.run("-v").stdout.fnmatch_lines(["*test_quick*SAME*", "full *identical *not judged *same"])


def test_a_case_that_is_the_same_is_counted_and_has_no_row(shell):
    shell.update()
    result = shell.run()
    result.stdout.fnmatch_lines(["suite  *cases  identical  verdicts", "quick  *1  *1  1 same"])
    result.stdout.no_fnmatch_line("full *same")


def test_on_a_terminal_a_session_without_cases_has_pytests_own_output(pytester):
    alone = "assert threading.active_count() == 1  # no thread draws"
    pytester.makepyfile(
        test_plain=f"import threading\n\ndef test_a(): {alone}\n\ndef test_b(): {alone}\n"
    )
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "pytest_ftcompare.plugin"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    running = subprocess.Popen(
        command, cwd=pytester.path, stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    assert "test_plain.py .." in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen_of(master))
    running.wait()


def test_without_a_terminal_there_are_no_escape_codes(shell):
    assert "\x1b" not in shell.run().stdout.str()


def test_many_edited_files_are_one_paragraph(shell):
    shell.update(seeds=1)
    shell.edit(r'("(?:methods|pytest_ftcompare)/[^"]+": )"[^"]+"', r'\1"0"')
    result = shell.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["Changed since the baselines:", "  edited: methods/base.py, methods/full.py, *"]
    )
    assert not [line for line in result.outlines if line.endswith(" edited")]
