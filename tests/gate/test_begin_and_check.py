"""`init` and `check`, called in a folder with a data file, as docs/your-own.md shows."""

import json
import re
import tomllib

import pytest
from safetensors.torch import load_file, save_file

from pytest_ftcompare import __main__ as command
from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.gate import pytest_options
from pytest_ftcompare.gate.start_project import WORKFLOW_PATH, default_task_name
from pytest_ftcompare.training import finite_weights

WORDS = ("the server is down", "thank you for the manual", "lunch is at noon", "the door is open")
CSV = "text,kind\n" + "".join(
    f"{WORDS[k % 4]} {k},{('calm', 'urgent')[k % 2]}\n" for k in range(120)
)
ARGUMENTS = ("init", "--data", "tickets.csv", "--text", "text", "--label", "kind")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "tickets.csv").write_text(CSV)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(capsys, *arguments):
    status = command.main(arguments)
    return status, *capsys.readouterr()


def table(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["tool"]


def test_init_writes_a_project_that_check_reads(folder, capsys):
    status, out, _ = call(capsys, *ARGUMENTS)
    assert (status, out.splitlines()[:4]) == (
        0,
        [
            "wrote pyproject.toml",
            "wrote suites/test_tickets.py",
            f"wrote {WORKFLOW_PATH}",
            "wrote .gitignore",
        ],
    )
    assert "pytest suites/ -n 2 --update-baselines" in out
    tool = table(folder)
    assert tool["pytest"]["ini_options"] == {"ftcompare_profile": "tickets"}
    assert tool["ftcompare"]["tasks"]["tickets"]["labels"] == ["calm", "urgent"]
    assert tool["ftcompare"]["profiles"]["tickets"]["shots"] == {"few": [32]}
    status, out, _ = call(capsys, "check")
    assert status == 0
    assert "calm " in out and "majority share" in out
    assert f"1  '</s> {WORDS[0]} 0' -> calm" in out
    assert out.endswith("1 task read, none refused.\n")
    assert all(len(line) <= 80 for line in out.splitlines())


def test_the_project_of_init_is_collected(pytester, capsys):
    (pytester.path / "tickets.csv").write_text(CSV)
    call(capsys, *ARGUMENTS)
    result = pytester.runpytest_inprocess(
        "-p", "pytest_ftcompare.plugin", "--collect-only", "-q", "suites"
    )
    result.stdout.fnmatch_lines(["*full-tickets-opt-1.4m-n32*", "*lora-tickets-opt-1.4m-n32*"])


def test_init_asks_for_missing_arguments(folder, capsys, monkeypatch):
    answers = iter(["tickets.csv", "text", "kind"])
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    assert call(capsys, "init")[0] == 0
    assert table(folder)["ftcompare"]["tasks"]["tickets"]["text_template"] == "{text}"


def test_init_extends_existing_files(folder, capsys):
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "x"\n\n[tool.pytest.ini_options]\nminversion = "8"'
    )
    (folder / ".gitignore").write_text("build/\n.venv/")
    assert call(capsys, *ARGUMENTS)[0] == 0
    assert table(folder)["pytest"]["ini_options"] == {
        "minversion": "8",
        "ftcompare_profile": "tickets",
    }
    assert (folder / ".gitignore").read_text().split() == [
        "build/",
        ".venv/",
        ".pytest_cache/",
        ".benchmarks/",
        "__pycache__/",
        "ftcompare-try*",
        "ftcompare-bisect*",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[tool.pytest] # ours\nminversion = '8'\n"),
        ("tox.ini", "[tox]\nenvlist = py311\n"),
        ("setup.cfg", "[metadata]\nname = x\n"),
    ],
)
def test_pytest_reads_the_profile_that_init_wrote(pytester, capsys, name, text):
    (pytester.path / "tickets.csv").write_text(CSV)
    (pytester.path / name).write_text(text)
    assert call(capsys, *ARGUMENTS)[0] == 0
    config = pytester.parseconfigure("-p", "pytest_ftcompare.plugin")
    assert config.getini("ftcompare_profile") == "tickets"
    assert call(capsys, "check")[0] == 0


@pytest.mark.parametrize(
    ("text", "sentence"), [("", "pytest reads them from"), ("[pytest", "pytest.toml is not TOML")]
)
def test_init_refuses_options_in_pytest_toml(folder, capsys, monkeypatch, text, sentence):
    monkeypatch.setattr(pytest_options, "version", lambda _: "9.0.1")
    (folder / "pytest.toml").write_text(text)
    status, _, error = call(capsys, *ARGUMENTS)
    assert status == 2 and sentence in error
    assert not (folder / "pyproject.toml").exists()


def test_init_finds_a_profile_in_pytests_own_table(folder, capsys, monkeypatch):
    monkeypatch.setattr(pytest_options, "version", lambda _: "9.0.1")
    (folder / "pyproject.toml").write_text("[tool.pytest]\nftcompare_profile = 'x'\n")
    status, _, error = call(capsys, *ARGUMENTS)
    assert status == 2 and "expected no ftcompare_profile" in error


def test_tables_that_an_earlier_pytest_ignores_do_not_count(folder, capsys, monkeypatch):
    monkeypatch.setattr(pytest_options, "version", lambda _: "8.4.0")
    (folder / "pytest.toml").write_text("")
    (folder / "pyproject.toml").write_text("[tool.pytest]\nminversion = '8'\n")
    assert call(capsys, *ARGUMENTS)[0] == 0
    assert table(folder)["pytest"]["ini_options"] == {"ftcompare_profile": "tickets"}


def test_check_takes_profile_and_hub_from_the_options_that_pytest_reads(folder, capsys):
    call(capsys, *ARGUMENTS, "--model", "org/small")
    status, out, _ = call(capsys, "check")
    assert status == 1 and "org/small" in out and "hub" in out
    tiny_models.save("opt_post", folder / "hub")
    (folder / "hub" / "models" / "tiny").rename(folder / "hub" / "models" / "org")
    (folder / "hub" / "models" / "org" / "opt_post").rename(folder / "hub/models/org/small")
    # pytest.ini comes before pyproject.toml.
    (folder / "pytest.ini").write_text("[pytest]\nftcompare_profile=tickets\nftcompare_hub=hub\n")
    status, out, _ = call(capsys, "check")
    assert (status, out.splitlines()[-1]) == (0, "1 task read, none refused.")
    (folder / "pytest.ini").write_text("[pytest]\nftcompare_profile = none\n")
    assert "got 'none'" in call(capsys, "check")[2]


@pytest.mark.parametrize(
    ("model", "base"), [("pocket/opt-0.4m", "pocket"), ("Qwen/Qwen2.5-0.5B", "local")]
)
def test_a_real_model_gets_recipes_for_real_models(folder, capsys, model, base):
    assert call(capsys, *ARGUMENTS, "--model", model)[0] == 0
    assert table(folder)["ftcompare"]["profiles"]["tickets"]["base"] == base


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "none.csv"), "expected rows in .*none.csv, there is no such file"),
        (("--text", "body"), "expected a column of 'text', 'kind' in tickets.csv, got 'body'"),
        (
            ("--label", "text"),
            "expected a column of at most 50 classes, text of tickets.csv has more",
        ),
        (
            ("--task", "my-task"),
            "expected a task's name of ASCII letters, digits and _, got 'my-task'",
        ),
        (("--task", "été"), "expected a task's name of ASCII letters"),
        (
            ("--task", "cola"),
            "expected another name than cola, which a shipped task or profile has",
        ),
        (
            ("--task", "pocket"),
            "expected another name than pocket, which a shipped task or profile has",
        ),
    ],
)
def test_init_explains_an_error_and_writes_nothing(folder, capsys, arguments, sentence):
    before = sorted(folder.rglob("*"))
    status, _, error = call(capsys, *ARGUMENTS, *arguments)
    assert status == 2
    assert re.search(sentence, error), error
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "suites/test_tickets.py",
            "",
            "expected no suites/test_tickets.py, it exists, and init overwrites nothing",
        ),
        (WORKFLOW_PATH, "", f"expected no {WORKFLOW_PATH}, it exists"),
        ("pyproject.toml", "[tool", "is not TOML"),
        (
            "pyproject.toml",
            "[tool.ftcompare.tasks.tickets]\n",
            "expected no task or profile tickets in",
        ),
        (
            "pyproject.toml",
            '[tool.pytest.ini_options]\nftcompare_profile = "x"\n',
            "expected no ftcompare_profile in",
        ),
        (
            "pyproject.toml",
            'tool.pytest.ini_options.minversion = "8"\n',
            "into pytest's options by hand",
        ),
        ("pytest.ini", "", "pytest.ini: move them to pyproject.toml, then run init again"),
        (".pytest.ini", "[pytest]\nminversion = 8\n", "pytest reads them from"),
        ("tox.ini", "[pytest]\naddopts = -q\n", "pytest reads them from"),
        ("setup.cfg", "[tool:pytest]\naddopts = -q\n", "pytest reads them from"),
        ("pytest.ini", "[pytest]\nftcompare_profile = x\n", "pytest.ini, it is 'x': this project"),
        ("pytest.ini", "minversion = 8\n", "pytest.ini is not INI (File contains no section"),
    ],
)
def test_init_overwrites_nothing(folder, capsys, name, text, sentence):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    before = {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    status, _, error = call(capsys, *ARGUMENTS)
    assert status == 2 and sentence in error
    assert {path: path.read_text() for path in folder.rglob("*") if path.is_file()} == before


def test_an_empty_answer_is_an_error_that_names_the_alternatives(folder, capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda question: "")
    status, _, error = call(capsys, "init")
    assert (status, error) == (
        2,
        "ERROR: expected data file, got none: answer the question, or give it as an option\n",
    )


def test_special_characters_are_written_unchanged(folder, capsys):
    (folder / 'a"b.csv').write_text(CSV)
    assert call(capsys, "init", "--data", 'a"b.csv', *ARGUMENTS[3:], "--model", 'org/"x"\\')[0] == 0
    tool = table(folder)["ftcompare"]
    assert (tool["tasks"]["a_b"]["train"], tool["profiles"]["a_b"]["models"]) == (
        'a"b.csv',
        ['org/"x"\\'],
    )


def test_numeric_labels_become_class_names(folder, capsys):
    lines = "".join(
        f"{json.dumps({'text': f'{WORDS[k % 4]} {k}', 'stars': k % 5 + 1})}\n" for k in range(200)
    )
    (folder / "stars.jsonl").write_text(lines)
    assert (
        call(capsys, "init", "--data", "stars.jsonl", "--text", "text", "--label", "stars")[0] == 0
    )
    assert table(folder)["ftcompare"]["tasks"]["stars"]["labels"] == ["1", "2", "3", "4", "5"]
    assert call(capsys, "check")[0] == 0


@pytest.mark.parametrize(("rows", "shots"), [(20, None), (60, 18), (400, 32)])
def test_init_leaves_training_rows_that_seeds_do_not_draw(folder, capsys, rows, shots):
    lines = [f"{WORDS[k % 4]} {k},{('calm', 'urgent')[k % 2]}\n" for k in range(rows)]
    (folder / "tickets.csv").write_text("text,kind\n" + "".join(lines))
    status, _, error = call(capsys, *ARGUMENTS)
    if shots is None:
        assert status == 2
        assert re.search(
            r"expected at least 12 training rows of each class in tickets.csv, '\w+' has \d "
            r"\(a fifth of the rows is held out\): add rows",
            error,
        )
    else:
        assert table(folder)["ftcompare"]["profiles"]["tickets"]["shots"] == {"few": [shots]}


@pytest.mark.parametrize(
    ("label", "shown"),
    [('" "', "' '"), ("null", "None"), ("1.5", r"1\.5"), ('"\\u00a0"', r".\\xa0")],
)
def test_init_names_the_row_of_a_label_that_names_no_class(folder, capsys, label, shown):
    (folder / "data").mkdir()
    rows = [f'{{"text": "{word}", "kind": "{word}"}}\n' for word in WORDS]
    (folder / "data/a.jsonl").write_text("".join(rows))
    (folder / "data/b.jsonl").write_text(f'{rows[0]}{{"text": "ink", "kind": {label}}}\n')
    status, _, error = call(capsys, *ARGUMENTS, "--data", "data/*.jsonl")
    assert status == 2
    where = rf"in .*data/b.jsonl, row 1, got {shown}"
    assert re.search(f"expected a text or a whole number as kind {where}", error), error


def test_true_and_false_become_class_names(folder, capsys):
    lines = "".join(
        f"{json.dumps({'text': f'{WORDS[k % 4]} {k}', 'spam': k % 2 == 0})}\n" for k in range(120)
    )
    (folder / "mail.jsonl").write_text(lines)
    assert call(capsys, "init", "--data", "mail.jsonl", "--text", "text", "--label", "spam")[0] == 0
    assert table(folder)["ftcompare"]["tasks"]["mail"]["labels"] == ["False", "True"]
    status, out, _ = call(capsys, "check")
    assert status == 0 and f"{WORDS[0]} 0' -> True" in out


def test_check_fails_if_the_gate_would_refuse_the_task(folder, capsys):
    call(capsys, *ARGUMENTS)
    (folder / "tickets.csv").write_text(
        CSV + "".join(f"{WORDS[1]} {k},calm\n" for k in range(1, 80, 4))
    )
    status, out, _ = call(capsys, "check")
    assert status == 1
    assert "refused: contradictions: expected one label for one text" in out
    (folder / "tickets.csv").write_text(CSV.replace("urgent", "Urgent"))
    status, out, _ = call(capsys, "check")
    assert status == 1
    assert "which differs from 'urgent' in case or white space" in " ".join(out.split())
    assert out.endswith("1 task read, 1 refused.\n")


def test_check_refuses_a_model_with_an_adapter_or_without_finite_numbers(folder, capsys):
    call(capsys, *ARGUMENTS)
    path = folder / "models" / tiny_models.save("llama", folder)
    file = folder / "pyproject.toml"
    file.write_text(re.sub(r"models = \[.*\]", 'models = ["tiny/llama"]', file.read_text()))
    status, out, _ = call(capsys, "check", "--hub", str(folder))
    assert status == 0
    (path / "adapter_config.json").write_text('{"peft_version": "9.0"}')
    status, out, _ = call(capsys, "check", "--hub", str(folder))
    assert status == 1 and "it has adapter_config.json (saved by peft 9.0" in " ".join(out.split())
    (path / "adapter_config.json").unlink()
    weights = load_file(path / "model.safetensors")
    weights["lm_head.weight"][0, 0] = float("nan")
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    finite_weights.check_files.cache_clear()
    status, out, _ = call(capsys, "check", "--hub", str(folder))
    assert status == 1 and "lm_head.weight has NaN: fetch the model again" in " ".join(out.split())
    assert out.endswith("1 task read, 1 refused.\n")


def test_check_shows_input_and_expected_answer_of_each_output_mode(folder, capsys):
    call(capsys, *ARGUMENTS)
    file = folder / "pyproject.toml"
    table = file.read_text().replace(
        'text_template = "{text}"',
        'text_template = "{text}"\npattern = "{text} urgent ?"\nverbalizers = [" No", " Yes"]',
    )
    file.write_text(table)
    status, out, _ = call(capsys, "check")
    assert status == 0
    assert f"1  '</s> {WORDS[0]} 0' -> calm" in out
    assert f"1  '</s> {WORDS[0]} 0 urgent ?' -> ' No'" in out
    file.write_text(table.replace('" Yes"', '" by all means"'))
    status, out, _ = call(capsys, "check")
    assert status == 0 and "pattern: task tickets: expected a verbalizer of one token" in out


def test_check_without_tasks_names_the_command_to_start_with(folder, capsys):
    status, _, error = call(capsys, "check")
    assert status == 2 and "begin with 'python -m pytest_ftcompare init'" in error
    call(capsys, *ARGUMENTS)
    status, _, error = call(capsys, "check", "--profile", "none")
    assert status == 2 and "expected a profile of pocket, " in error


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("data/Tickets 2026.csv.gz", "tickets_2026"),
        ("7.csv", "task_7"),
        ("über.csv", "ber"),
        ("x/train-*.parquet", "train"),
    ],
)
def test_a_task_is_named_after_its_file(file, name):
    assert default_task_name(file) == name
