"""The steps of docs/your-own.md in an empty folder, and errors in a project's tables."""

import json
import re
from pathlib import Path

import pytest

from pytest_ftcompare import methods, tasks
from pytest_ftcompare.gate import project_config
from pytest_ftcompare.gate.profiles import PROFILES
from pytest_ftcompare.tasks.hub import EMBEDDED

PAGE = Path(__file__).parents[2] / "docs" / "your-own.md"
ROWS = EMBEDDED / "datasets" / "pocket" / "cola" / "train.jsonl"


@pytest.fixture
def project(pytester):
    """A folder with the page's files, and rows in the pocket language."""
    text = PAGE.read_text()
    toml, method, suite, _judges = re.findall(r"```(?:toml|python)\n(.*?)```", text, re.DOTALL)
    rows = [json.loads(line) for line in ROWS.read_text().splitlines()][:500]
    tickets = "".join(
        f"{json.dumps({'text': row['sentence'], 'kind': ('calm', 'urgent')[row['label']]})}\n"
        for row in rows
    )
    files = {
        "pyproject.toml": toml,
        "ours/last_layer.py": method,
        "suites/test_ours.py": suite,
        "data/tickets.jsonl": tickets,
    }
    for name, content in files.items():
        file = pytester.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    return pytester


def run(project, *arguments):
    return project.runpytest_inprocess(
        *(
            "-p",
            "pytest_ftcompare.plugin",
            "-p",
            "no:cacheprovider",
            "--ftcompare-window=0",
            "suites",
            *arguments,
        )
    )


def test_the_page_works_word_for_word(project):
    listed = run(project, "--collect-only", "-q")
    listed.stdout.fnmatch_lines(
        [
            "ours: 3 cases, a seed of each about * of a CPU core *",
            "*last_layer-tickets-opt-1.4m-n32*",
        ]
    )
    made = run(project, "--update-baselines", "--ftcompare-seeds=3", "-k", "last_layer")
    made.stdout.fnmatch_lines(["*1 baseline* written to*"])
    kept = json.loads(
        (project.path / "baselines/cpu/ours/last_layer-tickets-opt-1.4m-n32.json").read_text()
    )
    assert "accuracy_ood" not in kept["seed_results"][0]["metrics"]
    held = run(project, "-k", "last_layer", "--benchmark-disable")  # times are noise here
    held.stdout.fnmatch_lines(["*1 case: 1 same.*"])
    assert held.ret == 0
    assert not methods.ADDED and not tasks.ADDED, "the next session knows nothing of this one's"
    file = project.path / "data/tickets.jsonl"
    other = {"calm": "urgent", "urgent": "calm"}
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[7]["kind"] = other[rows[7]["kind"]]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    changed = run(project, "-k", "last_layer", "--benchmark-disable")
    changed.stdout.fnmatch_lines(
        ["*Not compared: 1 case (its baseline is of another experiment: split*"]
    )
    output = " ".join(changed.stdout.str().split())
    assert re.search(
        r"split (train|test): 1 of \d+ rows have another label, the first is row \d+, '", output
    )
    assert rows[7]["text"][:40] in output


def test_a_row_of_a_single_file_stays_in_its_split_when_rows_are_added(project):
    def sides():
        task = project_config.read(project.path).tasks["tickets"]
        rows = [
            json.loads(line)
            for line in (project.path / "data/tickets.jsonl").read_text().splitlines()
        ]
        return [
            {example.fields["text"] for example in task.convert(split, rows)}
            for split in ("train", "test")
        ]

    train, test = sides()
    assert not train & test
    assert 0.1 < len(test) / len(train | test) < 0.3
    file = project.path / "data/tickets.jsonl"
    file.write_text('{"text": "a new one", "kind": "calm"}\n' + file.read_text())
    more = sides()
    assert train <= more[0]
    assert test <= more[1]


def test_a_profile_merges_its_tables_with_those_of_its_base(project):
    config = project_config.read(project.path).profiles["ours"]
    assert config.shots["few"] == (32,)
    assert config.shots["sweep"] == PROFILES["pocket"].shots["sweep"]
    assert config.seeds == 5
    assert config.max_length == PROFILES["pocket"].max_length


def test_a_number_may_have_a_fraction_where_the_shipped_profile_has_none(tmp_path):
    text = "[tool.ftcompare.profiles.nightly]\nwindow = 0.5\nmemory = 12\n"
    (tmp_path / "pyproject.toml").write_text(text)
    profile = project_config.read(tmp_path).profiles["nightly"]
    assert (profile.window, profile.memory) == (0.5, 12.0)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            'base = "pocket"',
            'base = "poket"',
            "*expected base to be one of pocket, *, got 'poket'*",
        ),
        (
            "seeds = 5",
            'seeds = "five"',
            "*profiles.ours*: expected seeds to be a whole number, got 'five'*",
        ),
        ("seeds = 5", "sedes = 5", "*profiles.ours*: expected base, *; found sedes*"),
        (
            '"data/tickets.jsonl"',
            '"data/none.jsonl"',
            "*tickets*: train: expected rows in *none.jsonl, there is no such file*",
        ),
        ('text_template = "{text}"', "", "*tickets*: expected a pattern such as *"),
        (
            'text_template = "{text}"',
            'text_template = "text"',
            "*tickets*: expected a pattern that names columns in braces, got 'text'*",
        ),
        (
            'text_template = "{text}"',
            'text_template = "{text"',
            "*tickets*: expected a pattern with columns' names in braces*",
        ),
        ('labels = ["calm", "urgent"]', "", "*tickets*: expected labels*or answer*"),
        (
            'text_template = "{text}"',
            'text_template = "{text}"\nverbalizers = [" no"]',
            "*as many verbalizers as labels, 2, got 1*",
        ),
        (
            'text_template = "{text}"',
            'text_template = "{text}"\ncolour = "red"',
            "*tickets*found colour*",
        ),
        (
            '"ours/last_layer.py"',
            '"ours/first_layer.py"',
            "*expected the Python file of last_layer at *first_layer.py*",
        ),
        (
            "last_layer =",
            "last-layer =",
            "*methods*: expected names of letters*, got 'last-layer'*",
        ),
        ("tasks.tickets", 'tasks."a task"', "*tasks*: expected names of letters*, got 'a task'*"),
        ("last_layer =", "lora =", "*expected another name than lora for a method*"),
        ("tasks.tickets", "tasks.cola", "*expected another name than cola for a task*"),
        (
            "[tool.ftcompare.methods]",
            "[tool.ftcompare.method]",
            "*expected profiles, tasks, methods, judges in *found method*",
        ),
        ("seeds = 5", "seeds = 0", "*profiles.ours*: expected seeds to be at least 1, got 0*"),
        ("seeds = 5", "threads = -1", "*expected threads to be at least 0, got -1*"),
        (
            "seeds = 5",
            'precision = "float16"',
            "*expected precision to be one of float32, bfloat16, got 'float16'*",
        ),
        (
            'models = ["pocket/opt-1.4m"]',
            "models = [1]",
            "*expected models to be hub ids, got [[]1]",
        ),
        ('base = "pocket"', 'base = ["pocket"]', "*expected base to be one of *got [[]'pocket']*"),
    ],
)
def test_a_wrong_table_is_a_usage_error_of_one_sentence(project, old, new, sentence):
    file = project.path / "pyproject.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    result = run(project)
    assert result.ret == 4
    result.stderr.fnmatch_lines([sentence])
    assert "Traceback" not in result.stderr.str()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tool]\nftcompare = 1", "tool.ftcompare: expected a table, got 1"),
        ("tool = 1", "pyproject.toml: tool: expected a table, got 1"),
        (
            "[tool.ftcompare]\nmethods = ['mine.py']",
            "tool.ftcompare.methods: expected a table, got ['mine.py']",
        ),
        (
            "[tool.ftcompare]\nprofiles = 'ours'",
            "tool.ftcompare.profiles: expected a table, got 'ours'",
        ),
        ("[[tool.ftcompare.tasks]]", "tool.ftcompare.tasks: expected a table, got [{}]"),
        (
            "[tool.ftcompare.tasks]\ntickets = 1",
            "[tool.ftcompare.tasks.tickets]: expected a table, got 1",
        ),
        ("[tool.ftcompare.methods]\nmine = 1", "expected the Python file of mine at "),
        (
            "[tool.ftcompare.judges]\npocket_instructions = 1",
            "expected a file and its function, 'ours/judge.py:score', got 1",
        ),
    ],
)
def test_a_value_in_place_of_a_table_is_one_sentence(tmp_path, text, sentence):
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(project_config.ProjectConfigError) as caught:
        project_config.read(tmp_path)
    assert sentence in str(caught.value)


JUDGE = """
def score(answer, example):
    return len(set(answer) & set(example.label)) / len(set(example.label))


def loud(answer, example):
    return 7
"""


def configure_judge(project, name, function):
    (project.path / "ours/judge.py").write_text(JUDGE)
    file = project.path / "pyproject.toml"
    file.write_text(f'{file.read_text()}\n[tool.ftcompare.judges]\n{name} = "{function}"\n')
    return project_config.read(project.path)


def test_a_judge_scores_the_answers_of_a_shipped_task(project):
    from pytest_ftcompare.measure.environment import source_digests

    config = configure_judge(project, "pocket_instructions", "ours/judge.py:score")
    score = config.tasks["pocket_instructions"].score
    assert score("ab", tasks.Example({}, "abcd")) == 0.5
    config.register()
    try:
        assert "judge judge.py" in source_digests("lora", "pocket_instructions")
    finally:
        config.unregister()
    assert "judge judge.py" not in source_digests("lora", "pocket_instructions")


def test_a_judge_with_a_score_out_of_range_is_refused(project):
    score = (
        configure_judge(project, "pocket_instructions", "ours/judge.py:loud")
        .tasks["pocket_instructions"]
        .score
    )
    with pytest.raises(
        tasks.DataError, match=r"expected a score from 0 to 1 of loud in .*judge.py, got 7 for 'ab'"
    ):
        score("ab", tasks.Example({}, "abcd"))


@pytest.mark.parametrize(
    ("name", "function", "sentence"),
    [
        ("pocket_instructions", "ours/judge.py", "expected a file and its function"),
        ("pocket_instructions", "ours/none.py:score", "expected a file and its function"),
        (
            "pocket_cola",
            "ours/judge.py:score",
            "expected a generative task, pocket_cola has classes",
        ),
        ("poems", "ours/judge.py:score", "no task is called 'poems'"),
    ],
)
def test_a_wrong_judge_is_one_sentence(project, name, function, sentence):
    with pytest.raises(project_config.ProjectConfigError, match=sentence):
        configure_judge(project, name, function)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            b'{"txt": "x", "kind": "calm"}',
            "*expected a column 'text' in *tickets.jsonl*row 0 has *txt*",
        ),
        (
            b'{"text": "x", "kind": "angry"}',
            "*expected a label in 0..1 (calm, urgent) in *row 0 has 'angry'*",
        ),
        (b"", "*has no row that the task can use*"),
        (b'{"text": "\xff", "kind": "calm"}', "*expected UTF-8 in *tickets.jsonl*"),
        (b'{"text": "x"', "*expected one JSON object a line in *line 1 is not JSON*"),
    ],
    ids=["column", "label", "empty", "not UTF-8", "not JSON"],
)
def test_rows_that_cannot_be_used_are_one_sentence(project, row, sentence):
    (project.path / "data/tickets.jsonl").write_bytes(row)
    result = run(project, "-k", "full", "--benchmark-disable")
    result.stdout.fnmatch_lines([sentence])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert result.ret == 1


def test_a_method_whose_file_has_no_such_method_is_one_sentence(project):
    file = project.path / "ours/last_layer.py"
    file.write_text(file.read_text().replace('name = "last_layer"', 'name = "lastlayer"'))
    result = run(project, "-k", "last_layer", "--benchmark-disable")
    result.stdout.fnmatch_lines(
        ["*expected a method with name = 'last_layer' in METHODS, found lastlayer*"]
    )


def test_a_very_long_line_is_a_row_like_others(project):
    file = project.path / "data/tickets.jsonl"
    file.write_text(
        json.dumps({"text": "good " * 200_000, "kind": "calm"}) + "\n" + file.read_text()
    )
    result = run(project, "-k", "last_layer", "--benchmark-disable")
    result.stdout.fnmatch_lines(["*1 case: 1 new.*"])
