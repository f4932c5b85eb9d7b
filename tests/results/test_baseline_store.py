"""Baselines on disk: clear errors, and an update that happens completely or not at all."""

import contextlib
import os

import pytest
from make_results import make_result

from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.baseline_store import BaselineError
from pytest_ftcompare.results.result import digest

RESULT = make_result([0.8, 0.79])


@pytest.fixture
def path(tmp_path):
    baseline_store.write(tmp_path, {"cpu": [RESULT]})
    return baseline_store.path_of(tmp_path, "cpu", RESULT.suite, RESULT.id)


def test_what_is_written_reads_back_equal_and_leaves_nothing_else(path, tmp_path):
    assert baseline_store.read(path, RESULT.id) == RESULT
    assert [one.relative_to(tmp_path) for one in tmp_path.rglob("*.json")] == [
        path.relative_to(tmp_path)
    ]
    assert {one.name for one in tmp_path.iterdir()} == {"cpu", baseline_store.LOCK}


def test_no_file_is_no_baseline(tmp_path):
    assert baseline_store.read(tmp_path / "none.json", "none") is None


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: "", "not JSON"),
        (
            lambda text: f"<<<<<<< ours\n{text}=======\n{text}>>>>>>> theirs\n",
            "merge-conflict markers",
        ),
        (lambda text: text.replace('"schema": 1', '"schema": 99'), "newer schema than 1"),
        (lambda text: text.replace('"schema"', '"scheme"'), "no schema number"),
        (lambda text: text.replace('"seed_results"', '"simples"'), "not those of a result"),
        (lambda text: "[]", "no schema number"),
        (lambda text: text.replace(RESULT.id, "another-case"), "found that of another-case"),
    ],
)
def test_a_damaged_baseline_is_one_sentence_with_the_remedy(path, spoil, sentence):
    path.write_text(spoil(path.read_text()))
    with pytest.raises(baseline_store.BaselineError) as raised:
        baseline_store.read(path, RESULT.id)
    assert sentence in str(raised.value)
    assert str(path) in str(raised.value)
    assert "git checkout" in str(raised.value)


def test_a_baseline_that_is_not_text_is_one_sentence(path):
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(baseline_store.BaselineError, match="cannot be read"):
        baseline_store.read(path, RESULT.id)


def test_an_update_killed_while_it_stages_changes_nothing(path, tmp_path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        baseline_store.write(tmp_path, {"cpu": [make_result([0.1])]})
    monkeypatch.undo()
    assert path.read_bytes() == before
    baseline_store.recover(tmp_path)
    assert path.read_bytes() == before
    assert {one.name for one in tmp_path.iterdir()} == {"cpu", baseline_store.LOCK}


def test_an_update_killed_while_its_files_move_is_finished_by_the_next_session(
    path, tmp_path, monkeypatch
):
    others = [make_result([0.1], id=name) for name in ("a", "b", "c")]
    real, calls = os.replace, []

    def killed_at_the_third(source, target):
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        baseline_store.write(tmp_path, {"cpu": others})
    monkeypatch.undo()
    assert baseline_store.recover(tmp_path) == 2
    for one in others:
        assert (
            baseline_store.read(baseline_store.path_of(tmp_path, "cpu", one.suite, one.id), one.id)
            == one
        )


def stale_beside(tmp_path):
    """Make two stale baselines on two devices, one that stays, and one to be written."""
    stays, gone, comes = (make_result([0.1], id=name) for name in ("stays", "gone", "comes"))
    baseline_store.write(tmp_path, {"cpu": [stays, gone], "nvidia-h200": [gone]})
    stale = [
        baseline_store.path_of(tmp_path, device, gone.suite, gone.id)
        for device in ("cpu", "nvidia-h200")
    ]
    return {"cpu": [comes], "nvidia-h200": [comes]}, stale


def names(folder):
    return sorted((one.parts[-3], one.stem) for one in folder.rglob("*.json"))


WRITTEN = [("cpu", "comes"), ("cpu", "stays"), ("nvidia-h200", "comes")]


def test_the_update_removes_stale_baselines_and_leaves_nothing_else(tmp_path):
    baseline_store.write(tmp_path, *stale_beside(tmp_path))
    assert names(tmp_path) == WRITTEN
    assert {one.name for one in tmp_path.iterdir()} == {"cpu", "nvidia-h200", baseline_store.LOCK}
    assert not [*tmp_path.rglob(f"*{baseline_store.REMOVED}")]


@pytest.mark.parametrize("doing", ["replace", "unlink", "fsync"])
@pytest.mark.parametrize("moment", range(1, 5))
def test_an_update_killed_while_removing_happens_completely_or_not_at_all(
    tmp_path, monkeypatch, doing, moment
):
    accepted, stale = stale_beside(tmp_path)
    before = names(tmp_path)
    owner = os if doing != "unlink" else type(tmp_path)
    real, calls = getattr(owner, doing), []

    def killed(*arguments, **options):
        calls.append(arguments)
        if len(calls) == moment:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(owner, doing, killed)
    with contextlib.suppress(KeyboardInterrupt):
        baseline_store.write(tmp_path, accepted, stale)
    monkeypatch.undo()
    happened = (tmp_path / baseline_store.ACCEPTED).is_dir() or names(tmp_path) == WRITTEN
    baseline_store.recover(tmp_path)
    assert names(tmp_path) == (WRITTEN if happened else before)
    assert {one.name for one in tmp_path.iterdir()} == {"cpu", "nvidia-h200", baseline_store.LOCK}


def test_a_stale_baseline_that_somebody_removed_meanwhile_is_no_error(tmp_path):
    accepted, stale = stale_beside(tmp_path)
    stale[0].unlink()
    baseline_store.write(tmp_path, accepted, stale)
    assert names(tmp_path) == WRITTEN


def named(digest, **changes):
    """Make a result that names a lock."""
    return make_result([0.1], environment={"device": "cpu", "distributions": digest}, **changes)


def locks(folder):
    return sorted((path.parts[-3], path.stem) for path in folder.rglob("locks/*.txt"))


def test_a_lock_is_written_once_with_the_baselines_that_name_it(tmp_path):
    text = "peft==1\n"
    name = digest(text)
    results = [named(name, id="a"), named(name, id="b"), make_result([0.1])]
    texts = {name: text, "def": "peft==2\n"}
    baseline_store.write(tmp_path, {"cpu": results, "nvidia-h200": results}, locks=texts)
    assert locks(tmp_path) == [("cpu", name), ("nvidia-h200", name)]
    assert baseline_store.read_lock(tmp_path, "cpu", name) == text


def test_an_edited_lock_is_refused(tmp_path):
    results = [named("abc", id="a")]
    baseline_store.write(tmp_path, {"cpu": results}, locks={"abc": "peft==1\n"})
    with pytest.raises(BaselineError, match="its content is not what its name says"):
        baseline_store.read_lock(tmp_path, "cpu", "abc")


def test_a_lock_goes_with_the_last_baseline_that_names_it(tmp_path):
    first = {"cpu": [named("abc", id="a"), named("abc", id="b")]}
    baseline_store.write(tmp_path, first, locks={"abc": "peft==1\n"})
    second = {"cpu": [named("def", id="a")]}
    baseline_store.write(tmp_path, second, locks={"def": "peft==2\n"})
    assert locks(tmp_path) == [("cpu", "abc"), ("cpu", "def")]
    stale = [baseline_store.path_of(tmp_path, "cpu", "few_shot", name) for name in "ab"]
    baseline_store.write(tmp_path, {}, stale[1:])
    assert locks(tmp_path) == [("cpu", "def")]
    baseline_store.write(tmp_path, {}, stale[:1])
    assert locks(tmp_path) == []


def test_a_lock_that_one_side_of_a_merge_names_stays(tmp_path):
    results = [named("abc", id="a"), named("def", id="b")]
    texts = {"abc": "peft==1\n", "def": "peft==2\n"}
    baseline_store.write(tmp_path, {"cpu": results}, locks=texts)
    path = baseline_store.path_of(tmp_path, "cpu", "few_shot", "a")
    path.write_text(f"<<<<<<< ours\n{path.read_text()}=======\n>>>>>>> theirs\n")
    baseline_store.write(tmp_path, {"cpu": results[1:]})
    assert locks(tmp_path) == [("cpu", "abc"), ("cpu", "def")]


@pytest.mark.parametrize("moment", range(1, 6))
def test_baselines_and_locks_are_written_together_or_not_at_all(tmp_path, monkeypatch, moment):
    baseline_store.write(tmp_path, {"cpu": [named("abc")]}, locks={"abc": "peft==1\n"})
    real, calls = os.replace, []

    def killed(source, target):
        calls.append(target)
        if len(calls) == moment:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with contextlib.suppress(KeyboardInterrupt):
        baseline_store.write(tmp_path, {"cpu": [named("def")]}, locks={"def": "peft==2\n"})
    monkeypatch.undo()
    baseline_store.recover(tmp_path)
    (path,) = tmp_path.rglob("*.json")
    written = baseline_store.read(path, path.stem).environment["distributions"]
    assert written == ("abc" if moment == 1 else "def")
    assert locks(tmp_path) == [("cpu", written)]


def test_a_missing_lock_is_one_sentence_with_the_remedy(tmp_path):
    with pytest.raises(baseline_store.BaselineError) as raised:
        baseline_store.read_lock(tmp_path, "cpu", "abc")
    assert str(tmp_path / "cpu" / "locks" / "abc.txt") in str(raised.value)
    assert "restore it with git checkout, or update the baseline" in str(raised.value)


def test_a_folder_that_cannot_be_written_is_reported_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(baseline_store.BaselineError, match="cannot be written"):
        baseline_store.check_writable(tmp_path / "file" / "baselines")
