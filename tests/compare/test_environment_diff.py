"""What counts as a difference of two environments."""

from pytest_ftcompare.compare.environment_diff import differences, nothing_changed, software_changed


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
