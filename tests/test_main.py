"""`python -m pytest_ftcompare`: its output and exit status; it needs neither pytest nor torch."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from make_results import make_result, make_seed_result
from method_comparison import training, write

from pytest_ftcompare.__main__ import main
from pytest_ftcompare.compare import single_run
from pytest_ftcompare.results import baseline_store

ROOT = Path(__file__).parents[1]
SCORES = [0.80, 0.82, 0.78, 0.81, 0.79, 0.80, 0.83, 0.77]
RESULT = make_result(SCORES)
WORSE = make_result(
    SCORES,
    seed_results=[
        make_seed_result(seed, score - 0.15, trace="o") for seed, score in enumerate(SCORES)
    ],
)
BLOCKED = """\
import sys
class Blocked:
    def find_spec(name, path=None, target=None):
        packages = ("pytest", "_pytest", "torch", "transformers", "peft", "datasets")
        if name.partition(".")[0] in packages:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked)
from pytest_ftcompare.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def ours(folder, *results):
    for result in results:
        path = baseline_store.path_of(folder, "cpu", result.suite, result.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(result.to_json())
    return str(folder)


def test_the_same_results_pass_and_worse_ones_fail(tmp_path, capsys):
    old = ours(tmp_path / "old", RESULT, replace(RESULT, id="gone-task-model-n16"))
    assert main(["compare", old, old]) == 0
    assert "2 cases: 2 same." in capsys.readouterr().out
    assert main(["compare", old, ours(tmp_path / "new", WORSE)]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[1].split() == [RESULT.id, "80.0%", "65.0%", "-15.0", "pt", "worse"]
    assert "Only in the old folder, not compared: 1 (gone-task-model-n16)" in out
    assert max(map(len, out.splitlines())) <= 80


def test_it_needs_neither_pytest_nor_torch(tmp_path):
    old, new = ours(tmp_path / "old", RESULT), ours(tmp_path / "new", WORSE)
    run = subprocess.run(
        [sys.executable, "-c", BLOCKED, "compare", old, new],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.endswith("1 case: 1 worse.\n")


def test_pefts_files_are_compared_and_their_single_run_is_noted(tmp_path, capsys):
    names = [f"prefixtuning/llama-3.2-3B-tokens{index}-init_prefix-lr_0.005" for index in range(6)]
    old = write(tmp_path / "old", *(training(name) for name in names))
    new = write(
        tmp_path / "new",
        *(training(name, 0.485, day=2, package_info={"torch-version": "2.13"}) for name in names),
    )
    assert main(["compare", str(old), str(new)]) == 1
    out = capsys.readouterr().out
    assert "6 cases: 6 same." in out
    assert "All cases together: accuracy is 1.5 points lower" in out
    assert "torch 2.7.1 -> 2.13" in out
    assert "One run of each case" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_verdicts_are_written_as_json(tmp_path, capsys):
    old, new, file = (
        ours(tmp_path / "old", RESULT),
        ours(tmp_path / "new", WORSE),
        tmp_path / "verdicts.json",
    )
    main(["compare", old, new, "--json", str(file)])
    data = json.loads(file.read_text())
    assert data["failed"] is True
    assert [(one["id"], one["verdict"]) for one in data["verdicts"]] == [(RESULT.id, "worse")]
    assert main(["compare", old, old, "--json", str(tmp_path / "none" / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_folder_that_cannot_be_compared_is_one_sentence(tmp_path, capsys):
    old = ours(tmp_path / "old", RESULT)
    assert main(["compare", old, str(tmp_path / "none")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ERROR: expected a folder of results at ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["compare"], ["nothing"]])
def test_a_usage_error_is_exit_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "usage: python -m pytest_ftcompare" in capsys.readouterr().err


def test_help_lists_what_there_is(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    assert "compare two folders of results" in capsys.readouterr().out


def test_the_example_of_the_docs_runs(tmp_path, monkeypatch, capsys):
    ours(tmp_path / "old", RESULT)
    ours(tmp_path / "new", WORSE)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "docs/compare.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[:2] == ["worse -0.15", "full-task-model-n16 worse"]


@pytest.mark.parametrize(
    "name",
    [
        "ACCURACY_SD",
        "SHARED_TIME_SD",
        "OWN_TIME_SD",
        "MEMORY_SD",
        "Z_THRESHOLD",
        "MIN_CASES_FOR_SHARED_TIME",
    ],
)
def test_the_page_states_the_noise_of_reruns(name):
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    assert f"`{name} = {getattr(single_run, name)}`" in page


def test_a_python_without_the_package_is_told_in_a_sentence():
    """A clone's folder has the code, and the system's Python none of its requirements."""
    command = [sys.executable, "-S", "-m", "pytest_ftcompare", "try", "peft==0.20.0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"ERROR: expected pytest-ftcompare installed in {sys.executable}" in done.stderr
