"""Check the docs against the code."""

import importlib.util
import json
import math
import re
from pathlib import Path

import pytest
from test_architecture import LAYERS

from pytest_ftcompare import methods, tasks
from pytest_ftcompare.checks import leakage
from pytest_ftcompare.compare import (
    audit,
    divergence,
    measured_cost,
    noise,
    pooled_shift,
    same_machine,
    sequential_test,
    session_verdict,
)
from pytest_ftcompare.compare.tolerances import BY_PRECISION
from pytest_ftcompare.compare.verdict import WORST_FIRST
from pytest_ftcompare.environments import environment_cache
from pytest_ftcompare.gate import machine_speed, timing_processes
from pytest_ftcompare.gate.profiles import PROFILES
from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.result import Result
from pytest_ftcompare.tasks import contents, split_overlap
from pytest_ftcompare.upgrade import gate_run, noisy_search, try_upgrade
from scripts import docs_claims, docs_grid
from scripts import docs_methods as methods_report
from scripts import docs_studies as studies_report
from scripts.docs_headroom import table

ROOT = Path(__file__).parents[1]
BASELINES = sorted((ROOT / "baselines" / "cpu").glob("*/*.json"))


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def suite_of_claims():
    """Import the suite's module under a name that no test file has."""
    spec = importlib.util.spec_from_file_location(
        "suite_of_claims", ROOT / "suites" / "test_claims.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_headroom_page_is_generated_from_the_baselines():
    assert read("docs/headroom.md") == "\n".join(table(ROOT / "baselines" / "cpu")) + "\n"


def test_the_page_of_the_grid_is_generated_from_its_record():
    record = json.loads(read("docs/grid.json"))
    assert read("docs/grid.md") == "\n".join(docs_grid.page(record)) + "\n"
    assert record["checks"].keys() == docs_grid.NAMES.keys()


def test_the_record_of_the_grid_counts_each_outcome(tmp_path):
    cases = (
        ("lora-llama-head", ""),
        ("oft-gpt2-head", "<properties><property name='refused' value='oft'/></properties>"),
        ("vera-roberta-head", "<skipped type='pytest.xfail' message='known'/>"),
        ("ia3-llama-head", "<failure message='broken'/>"),
    )
    body = "".join(
        f"<testcase name='test_invariants[{name}]' time='1.5'>{text}</testcase>"
        for name, text in cases
    )
    file = tmp_path / "grid.xml"
    file.write_text(f"<testsuites><testsuite>{body}</testsuite></testsuites>")
    record = docs_grid.read(file)
    assert record["checks"]["test_invariants"] == {
        "seconds": 6.0,
        "combinations": {
            "lora": {"held": ["lora-llama-head"]},
            "oft": {"refused": ["oft-gpt2-head"]},
            "vera": {"known": ["vera-roberta-head"]},
            "ia3": {"failed": ["ia3-llama-head"]},
        },
    }
    assert "| invariants of every case | 1 | 1 | 1 | 1 | 6 |" in docs_grid.page(record)


def test_the_page_of_claims_and_the_studies_pages_are_generated_from_the_baselines():
    cpu = ROOT / "baselines" / "cpu"
    assert read("docs/claims.md") == "\n".join(docs_claims.page(cpu)) + "\n"
    for study in studies_report.SUITES:
        page = read(f"docs/studies/{study}.md")
        assert studies_report.fill(page, list(studies_report.section(cpu, study))) == page
        assert page.count(studies_report.BEGIN) == page.count(studies_report.END) == 1


CLAIMS = {one.name: one for one in suite_of_claims().CLAIMS}


def test_there_are_claims_of_every_study_and_no_duplicates():
    assert len(CLAIMS) >= 36
    assert {one.study for one in CLAIMS.values()} == set(studies_report.SUITES)
    assert (
        len({one.statement for one in CLAIMS.values()})
        == len({(one.source, one.statistic) for one in CLAIMS.values()})
        == len(CLAIMS)
    )


@pytest.mark.parametrize(
    "file",
    sorted((ROOT / "baselines" / "cpu" / "claims" / "pocket").glob("*.json")),
    ids=lambda one: one.stem,
)
def test_a_claims_baseline_matches_the_suite(file):
    record, stated = baseline_store.read_claim(file, file.stem), CLAIMS[file.stem]
    assert (record.study, record.statement, record.source) == (
        stated.study,
        stated.statement,
        stated.source,
    )
    assert record.statistic == stated.statistic
    assert stated.expected.outcome(record.estimate) == record.outcome


HEADINGS = [
    *(
        "Idea",
        "Formula",
        "What trains",
        "Cost",
        "Defaults and their sources",
        "Results here",
        "When to choose it",
        "Papers",
    )
]


def results():
    return methods_report.read(ROOT / "baselines" / "cpu" / "peft_methods")


@pytest.mark.parametrize("name", methods.NAMES)
def test_every_method_has_a_page_with_the_same_headings_and_its_own_results(name):
    page = read(f"docs/methods/{name}.md")
    assert page.startswith(f"# `{name}`: ")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == HEADINGS
    assert (
        methods_report.fill(page, list(methods_report.section(results()[name], results()["full"])))
        == page
    )
    assert "## Results here\n\n| task |" in page.replace(f"{methods_report.BEGIN}\n", "")


@pytest.mark.parametrize("name", [name for name in methods.NAMES if methods.load(name).trains])
def test_a_methods_page_states_the_learning_rates_of_its_recipes(name):
    page = read(f"docs/methods/{name}.md")
    (row,) = re.findall(r"^\|\s*`?lr`?\s*\|(.*)$", page, re.MULTILINE)
    pocket, paper, *_ = (cell.strip().strip("`") for cell in row.split("|"))
    recipes = methods.load(name).recipes
    assert (float(pocket), float(paper)) == (recipes["pocket"].lr, recipes["paper"].lr)


def test_the_pages_of_results_and_of_the_search_are_generated():
    assert read("docs/results.md") == "\n".join(methods_report.table(results())) + "\n"
    record = json.loads(read("docs/search.json"))
    assert read("docs/search.md") == "\n".join(methods_report.search_page(record)) + "\n"


@pytest.mark.parametrize("file", BASELINES, ids=lambda one: one.stem)
def test_every_shipped_baseline_passes_the_audits(file):
    result = Result.from_json(file.read_text(encoding="utf-8"))
    assert result.id == file.stem
    assert list(audit.audit_validity(result)) == []
    assert list(audit.audit_headroom(result)) == []
    assert len(result.seed_results) == PROFILES["pocket"].seeds


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("README.md", WORST_FIRST),
        ("docs/methods/README.md", methods.NAMES),
        ("docs/profiles.md", (*tasks.NAMES, *PROFILES)),
    ],
)
def test_a_page_names_all_that_there_is(page, names):
    assert not [name for name in names if f"`{name}`" not in read(page)]


def test_the_readme_names_every_make_target():
    text = read("README.md")
    assert not [
        name
        for name in re.findall(r"^([a-z]+):.*##", read("Makefile"), re.MULTILINE)
        if f"make {name}" not in text
    ]


def test_the_readmes_map_has_the_layers_in_order():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = tuple(re.findall(r"^ {6}(\w+)/ ", readme, re.MULTILINE))
    assert shown == tuple(layer for layer in LAYERS if layer != "methods")


def test_the_readmes_links_lead_somewhere():
    for page in (
        "README.md",
        "CONTRIBUTING.md",
        *(str(one.relative_to(ROOT)) for one in (ROOT / "docs").rglob("*.md")),
    ):
        for link in re.findall(r"\]\(([^)#]+)\)", read(page)):
            if "://" not in link:
                assert ((ROOT / page).parent / link).exists(), f"{page} links to {link}"


AUDITS = [(one, "audits") for one in (audit, contents, split_overlap, leakage)]


@pytest.mark.parametrize(
    ("module", "page"),
    [
        (one, "statistics")
        for one in (sequential_test, noise, pooled_shift, session_verdict, divergence)
    ]
    + [
        (measured_cost, "cost"),
        (same_machine, "cost"),
        (machine_speed, "cost"),
        *AUDITS,
    ],
)
def test_a_page_states_the_constants_in_use(module, page):
    text = read(f"docs/{page}.md")
    for name, value in vars(module).items():
        if (
            name.isupper()
            and isinstance(value, int | float | tuple)
            and not isinstance(value, bool)
            # NaN stands for a missing value.
            and value is not math.nan
        ):
            assert f"`{name} = {value}`" in text, name


def test_tolerances_are_on_the_page_and_above_what_other_kernels_move():
    page, largest = read("docs/statistics.md"), json.loads(read("docs/precision.json"))["largest"]
    kinds = {
        "loss": ("logits, relative to the largest, and loss", ("outputs", "loss")),
        "gradient": ("gradient norms, relative to the global norm", ("norm", "gradient")),
        "update": ("first updates of tensors whose gradient is above that", ("update",)),
        "trace": ("loss and gradient norm of the trace's first four steps", ("trace",)),
    }
    for field, (row, measured) in kinds.items():
        values = [getattr(BY_PRECISION[name], field) for name in ("float32", "bfloat16")]
        assert f"| {row} | {values[0]} | {values[1]} |" in page
        for precision, tolerance in zip(("float32", "bfloat16"), values, strict=True):
            for kernels in largest[precision].values():
                assert tolerance >= 3 * max(kernels[kind][0] for kind in measured)


def test_the_page_on_cost_states_how_many_cases_a_process_times():
    assert f"`MAX_CASES = {timing_processes.MAX_CASES}`" in read("docs/cost.md")


def test_the_page_on_upgrades_states_the_numbers_in_use():
    page = read("docs/upgrade.md")
    assert f"`FEW_SEEDS = {try_upgrade.FEW_SEEDS}`" in page
    assert f"`CACHE_LIMIT_GB = {environment_cache.CACHE_LIMIT_GB}`" in page
    assert f"`CONFIDENCE = {noisy_search.CONFIDENCE}`" in page
    assert f"`OWN_SHARE = {noisy_search.OWN_SHARE}`" in page
    assert f"`MAX_RATIO = {gate_run.MAX_RATIO}`" in page
    assert f"`MAX_REPEATS = {noisy_search.MAX_REPEATS}`" in page


def test_the_models_together_are_small():
    weights = (ROOT / "pytest_ftcompare" / "pocket" / "hub" / "models").rglob("*.safetensors")
    assert sum(file.stat().st_size for file in weights) < 14_000_000


def test_the_map_of_docs_has_every_page():
    pages = {file.name for file in (ROOT / "docs").glob("*.md")} - {"README.md"}
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", read("docs/README.md")))
    assert linked == pages
    assert "(docs/README.md)" in read("README.md")


def test_the_architecture_page_has_the_layers_in_order_and_existing_files():
    page = read("docs/architecture.md")
    assert tuple(re.findall(r"^\| `(\w+)/` \|", page, re.MULTILINE)) == LAYERS
    named = re.findall(r"`([\w/]+\.py)`", page)
    assert named and not [
        name
        for name in named
        if not any((ROOT / place / name).is_file() for place in ("", "pytest_ftcompare"))
    ]
