"""What counts as a difference of two environments."""

from pytest_ftcompare.compare.environment_diff import (
    differences,
    has_library_change,
    nothing_changed,
    software_changed,
)


def test_an_edited_judge_is_code_and_excuses_no_result():
    changes = differences({"judge judge.py": "a"}, {"judge judge.py": "b"})
    assert list(map(str, changes)) == ["judge judge.py edited"]
    assert changes[0].is_code and not has_library_change(changes) and software_changed(changes)


def test_other_distributions_alone_are_no_difference():
    """Another pytest computes nothing; the libraries that do have entries of their own."""
    base = {"peft": "0.20.0", "distributions": "abc"}
    changes = differences(base, base | {"distributions": "def"})
    assert changes == []
    assert nothing_changed(changes)
    assert differences({"peft": "0.20.0"}, base) == []
    changes = differences(base, {"peft": "0.21.2", "distributions": "def"})
    assert [change.name for change in changes] == ["peft"]
    assert software_changed(changes)
