"""Help, markers, header and collection: the first output that a user reads."""

import subprocess
import sys


def test_help_explains_every_option(shell):
    text = shell.run("--help").stdout.str()
    for option in (
        "update-baselines",
        *(
            f"ftcompare-{name}"
            for name in ("profile", "hub", "baselines", "seeds", "threads", "device", "window")
        ),
    ):
        assert f"--{option}" in text
    for key in ("profile", "hub", "baselines", "device"):
        assert f"ftcompare_{key}" in text


def test_markers_explains_the_table(shell):
    shell.run("--markers").stdout.fnmatch_lines(["@pytest.mark.ftcompare(methods, tasks, shots, *"])


def test_the_header_names_profile_seeds_and_baselines(shell):
    shell.run("--collect-only").stdout.fnmatch_lines(
        ["ftcompare: profile pocket, up to 16 seeds, baselines *"]
    )


def test_ini_keys_are_the_options_defaults(shell):
    shell.pytester.makeini("[pytest]\nftcompare_baselines = accepted\n")
    shell.run("--collect-only").stdout.fnmatch_lines(["*baselines */accepted"])


def test_a_tilde_in_a_path_is_the_home_folder(shell, monkeypatch):
    """A shell does not expand it after the equals sign."""
    monkeypatch.setenv("HOME", str(shell.pytester.mkdir("home")))
    shell.run("--collect-only", "--ftcompare-baselines=~/b").stdout.fnmatch_lines(
        ["*baselines */home/b"]
    )


def test_collecting_imports_neither_torch_nor_scipy(shell):
    code = (
        "import sys, pytest; "
        "status = pytest.main(['-p', 'pytest_ftcompare.plugin', '--collect-only', '-q']); "
        "heavy = {'torch', 'transformers', 'peft', 'scipy', 'datasets'}; "
        "print(int(status), sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=shell.pytester.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0 []"


def test_repeated_seeds_are_bit_identical_in_any_order_of_cases(shell):
    """In another order of cases, each still repeats its baseline bit for bit."""
    shell.suite(methods=("full", "icl", "lora"))
    shell.update()
    shell.suite(methods=("lora", "full", "icl"))
    shell.run().stdout.fnmatch_lines(["*3 cases: 3 same.*"])


def test_another_thread_count_is_the_same_experiment(shell):
    shell.update()
    result = shell.run("--ftcompare-threads=2")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*threads 1 -> 2*", "*1 case: 1 same.*"])
