"""`python -m pytest_ftcompare report RUN.json OUT` renders a stored report, or refuses it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import make_document

from pytest_ftcompare.__main__ import main
from pytest_ftcompare.report import markdown
from pytest_ftcompare.report.page import render

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "report-json.md").read_text(encoding="utf-8")
DOCUMENT = make_document(8)


@pytest.fixture
def run(tmp_path):
    file = tmp_path / "run.json"
    file.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    return file


@pytest.mark.parametrize("rendering", [markdown, render])
def test_a_stored_report_is_rendered_again(run, rendering, capsys):
    out = run.with_suffix({markdown: ".md", render: ".html"}[rendering])
    assert main(["report", str(run), str(out)]) == 0
    assert out.read_text(encoding="utf-8") == rendering.render(DOCUMENT)
    assert capsys.readouterr() == ("", "")


def test_it_needs_neither_pytest_nor_torch(run):
    blocked = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(\n"
        "    ('pytest', '_pytest', 'torch', 'transformers', 'peft', 'datasets'))\n"
        "from pytest_ftcompare.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    out = run.with_suffix(".md")
    done = subprocess.run(
        [sys.executable, "-c", blocked, "report", run, out],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "out", "why"),
    [
        ('{"schema": 2}', "out.md", "run.json cannot be read: it is of a newer schema than 1"),
        ("{", "out.md", "run.json cannot be read: it is not JSON"),
        (b"\xff\xfe", "out.md", "run.json cannot be read: "),
        (None, "out.md", "run.json: No such file or directory"),
        (
            json.dumps(DOCUMENT),
            "out.pdf",
            "expected a file name that ends in one of .html, .md",
        ),
        (json.dumps(DOCUMENT), "none/out.md", "No such file or directory"),
    ],
    ids=["newer", "half", "bytes", "missing", "ending", "folder"],
)
def test_what_cannot_be_is_one_sentence(tmp_path, text, out, why, capsys):
    run = tmp_path / "run.json"
    if text is not None:
        run.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["report", str(run), str(tmp_path / out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ERROR: ")
    assert why in said
    assert said.count("\n") == 1
    assert {one.name for one in tmp_path.iterdir()} <= {"run.json"}


def test_the_pages_python_example_runs(run, monkeypatch, capsys):
    monkeypatch.chdir(run.parent)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/report-json.md", "exec"), {})
    several = [one["id"] for one in DOCUMENT["cases"] if len(one["seed_results"]) > 1]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == several


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_pages_jq_examples_run(run):
    commands = re.findall(r"^    jq (?:-r )?'.*?' run\.json$", PAGE, re.MULTILINE | re.DOTALL)
    failed, means = (
        subprocess.run(
            one, shell=True, cwd=run.parent, capture_output=True, text=True, check=True
        ).stdout
        for one in commands
    )
    assert [line.split("\t")[1] for line in failed.splitlines()] == [
        one["id"] for one in DOCUMENT["cases"] if one["failed"]
    ]
    assert set(json.loads(means)) == {one["method"] for one in DOCUMENT["cases"] if one["scores"]}
