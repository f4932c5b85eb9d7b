"""What the docs say of the code is held to the code."""

import re
from pathlib import Path

import pytest

from pytest_ftcompare import methods, tasks
from pytest_ftcompare.compare import audit, signs, statistics
from pytest_ftcompare.compare.verdict import WORST_FIRST
from pytest_ftcompare.profiles import PROFILES
from pytest_ftcompare.report.headroom import table
from pytest_ftcompare.result import Result

ROOT = Path(__file__).parents[1]
BASELINES = sorted((ROOT / "baselines" / "cpu").glob("*/*.json"))


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_headroom_page_is_generated_from_the_baselines():
    assert read("docs/headroom.md") == "\n".join(table(ROOT / "baselines" / "cpu")) + "\n"


@pytest.mark.parametrize("file", BASELINES, ids=lambda one: one.stem)
def test_every_shipped_baseline_passes_the_audits(file):
    result = Result.from_json(file.read_text(encoding="utf-8"))
    assert result.id == file.stem
    assert list(audit.sound(result)) == []
    assert list(audit.judgeable(result)) == []
    assert len(result.samples) == PROFILES["pocket"].seeds


def test_the_readme_names_every_method_task_profile_verdict_and_make_target():
    text = read("README.md")
    for name in (*methods.NAMES, *tasks.NAMES, *PROFILES, *WORST_FIRST):
        assert f"`{name}`" in text, name
    for target in re.findall(r"^([a-z]+):.*##", read("Makefile"), re.MULTILINE):
        assert f"make {target}" in text, target


def test_the_readmes_links_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md", *(str(one.relative_to(ROOT)) for one in (ROOT / "docs").glob("*.md"))):
        for link in re.findall(r"\]\(([^)#]+)\)", read(page)):
            if "://" not in link:
                assert ((ROOT / page).parent / link).exists(), f"{page} links to {link}"


@pytest.mark.parametrize("module", [statistics, signs])
def test_the_statistics_page_states_the_constants_in_use(module):
    text = read("docs/statistics.md")
    for name, value in vars(module).items():
        if name.isupper() and isinstance(value, int | float | tuple) and not isinstance(value, bool):
            assert f"`{name} = {value}`" in text, name


def test_the_models_together_are_small():
    weights = (ROOT / "pytest_ftcompare" / "pocket" / "hub" / "models").rglob("*.safetensors")
    assert sum(file.stat().st_size for file in weights) < 12_000_000
