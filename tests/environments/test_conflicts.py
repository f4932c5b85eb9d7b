"""What the checks of pip and uv print is read into pairs of a package and a requirement."""

import pytest

from pytest_ftcompare.environments.conflicts import read_pip, read_uv

PIP = """\
peft 0.20.0 requires torch, which is not installed.
foo 1 has requirement torch<2,>=1, but you have torch 2.13.0.
bar 1 is not supported on this platform
"""
UV = """\
Checked 9 packages in 0.30ms
Found 2 incompatibilities
The package `peft` requires `torch>=1.13.0`, but it's not installed
The package `foo` requires `torch>=1,<2`, but `2.13.0` is installed
"""


def test_pips_lines_are_packages_and_requirements():
    found = read_pip(PIP)
    assert [(each.package, each.requirement) for each in found] == [
        ("peft", "torch"),
        ("foo", "torch<2,>=1"),
        ("bar 1 is not supported on this platform", ""),
    ]
    assert [each.text for each in found] == PIP.splitlines()


def test_uvs_lines_are_packages_and_requirements():
    assert [(each.package, each.requirement) for each in read_uv(UV)] == [
        ("peft", "torch>=1.13.0"),
        ("foo", "torch>=1,<2"),
    ]


def test_a_conflict_is_the_same_when_installed_versions_move():
    moved = PIP.replace("torch 2.13.0", "torch 2.14.0").replace("foo 1 ", "foo 2 ")
    assert read_pip(PIP) == read_pip(moved)
    assert read_pip(PIP) != read_pip(PIP.replace("torch<2", "torch<3"))
    assert read_uv(UV) == read_uv(UV.replace("`2.13.0`", "`2.14.0`"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tools 1 requires pip, which is not installed.", True),
        ("tools 1 has requirement UV>=0.5, but you have uv 0.4.", True),
        ("pip 23 requires colours, which is not installed.", True),
        ("tools 1 requires pip-audit, which is not installed.", False),
        ("peft 1 requires torch, which is not installed.", False),
    ],
)
def test_a_conflict_about_an_installer_is_known(line, expected):
    (conflict,) = read_pip(line)
    assert conflict.is_about_installer is expected
