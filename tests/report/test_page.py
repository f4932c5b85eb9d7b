"""Test the HTML page as text: content without scripts, no network, and harmless names."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from documents import make_case, make_claims, make_document
from pages import EVIL, holding

from pytest_ftcompare.report.page import contents
from pytest_ftcompare.report.page.render import FOLDER, SCRIPTS, render


class Elements(HTMLParser):
    """The elements of a page as (tag, attributes), and the text in each script."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.found, self.texts, self.scripts = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data):
        if self.lasttag == "script" and self.cdata_elem == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        else:
            self.texts.append(data)

    def keys(self):
        return [
            attributes["data-key"]
            for tag, attributes in self.found
            if tag == "tr" and "data-key" in attributes
        ]


def unpacked(elements, name):
    packed = next(text for attributes, text in elements.scripts if attributes.get("id") == name)
    return gzip.decompress(base64.b64decode(packed)).decode()


def test_every_case_is_a_row_of_the_html_the_worst_first():
    document = make_document(40)
    keys = Elements(render(document)).keys()
    verdicts = {contents.key(one): one["verdict"] for one in document["cases"]}
    assert sorted(keys) == sorted(verdicts)
    ranks = [contents.VERDICTS.index(verdicts[key]) for key in keys]
    failing = [
        rank
        for key, rank in zip(keys, ranks, strict=True)
        if verdicts[key] in {"invalid", "worse", "changed", "new"}
    ]
    assert ranks == failing + ranks[len(failing) :]
    assert failing == sorted(failing)


def test_the_page_needs_no_network():
    elements = Elements(render(make_document(8)))
    addresses = [
        attributes[name]
        for _, attributes in elements.found
        for name in ("src", "href", "action")
        if name in attributes
    ]
    assert addresses
    assert [one for one in addresses if not one.startswith(("#", "data:,"))] == []
    style = render(make_document(0)).split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style


def test_the_policy_allows_only_the_pages_two_scripts():
    elements = Elements(render(make_document(8)))
    policy = next(
        one["content"] for tag, one in elements.found if tag == "meta" and "http-equiv" in one
    )
    own = next(text for attributes, text in elements.scripts if attributes.get("type") == "module")
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (own, unpacked(elements, "plotly"))
    ]
    assert policy.startswith("default-src 'none';")
    assert re.search("script-src (.*)$", policy)[1].split() == [
        f"'sha256-{one}'" for one in digests
    ]


def test_the_page_contains_all_scripts():
    own = next(
        text
        for attributes, text in Elements(render(make_document(1))).scripts
        if attributes.get("type") == "module"
    )
    assert all(
        f"function {one}" in own
        for one in ("make", "startTable", "startScatter", "startShots", "casePanel")
    )
    assert len(SCRIPTS) == len(set(SCRIPTS))


def test_the_page_gets_the_cost_metrics_of_its_plot_from_python():
    page = render(make_document(8))
    data = json.loads(unpacked(Elements(page), "document"))
    assert data["cost_metrics"] == {
        "memory": list(contents.MEMORY_METRICS),
        "step": list(contents.STEP_METRICS),
    }
    scripts = page.split('<script type="module">')[1]
    assert not [name for name in contents.MEMORY_METRICS if name in scripts]


def test_the_page_has_the_data_of_all_cases():
    document = make_document(16)
    data = json.loads(unpacked(Elements(render(document)), "document"))
    assert [one["id"] for one in data["cases"]] == [one["id"] for one in document["cases"]]
    assert data["cases"][1]["seed_results"][0]["curve"] == pytest.approx(
        document["cases"][1]["seed_results"][0]["curve"]
    )


def test_a_name_with_markup_is_text():
    clean = Elements(render(holding(make_case("worse"))))
    elements = Elements(render(holding(make_case("worse", id=EVIL), findings=[EVIL], command=EVIL)))
    assert len(elements.scripts) == len(clean.scripts)
    assert "img" not in [tag for tag, _ in elements.found]
    assert not [
        attributes
        for _, attributes in elements.found
        if any(name.startswith("on") for name in attributes)
    ]
    assert elements.keys()[0].startswith("few_shot/<img src=x")


def test_control_characters_are_escaped():
    page = render(holding(make_case("worse", id=EVIL + "\x00"), notes=["half \ud800 a character"]))
    assert "\\x1b[31m\\u202e\\x00" in page
    assert "half \\ud800 a character" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", page)
    page.encode()


def test_equal_documents_give_equal_pages():
    assert render(make_document(8)) == render(make_document(8))


def test_a_session_may_have_no_case_and_no_claim():
    page = render(make_document(0, claims=[]))
    assert "No case ran." in page
    assert "Nothing was compared: no case and no claim ran." in page


def test_a_session_may_have_only_claims():
    page = render(make_document(0, claims=make_claims([]), failed=True))
    assert "Failing: 2 of 5 claims." in page
    assert "+2.0 pt [+0.7, +3.3], n 16" in page  # 2.0 ± 0.6 with 14 degrees of freedom, from before
    assert (
        page.index("this one is changed")
        < page.index("this one is noted")
        < page.index("this one is held")
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"claims": []}, "Failing: 4 of 8 cases."),
        ({}, "Failing: 4 of 8 cases, 2 of 5 claims."),
        (
            {"findings": ["all is slower"]},
            "Failing: 4 of 8 cases, 2 of 5 claims, 1 finding on the whole session.",
        ),
        ({"update": True, "claims": []}, "Failing: 1 of 8 cases. 3 results accepted as baselines."),
    ],
)
def test_the_headline_counts_failures(changes, expected):
    assert contents.headline(make_document(8, **changes)) == expected


def test_the_headline_of_a_session_without_failures():
    assert contents.headline(make_document(1, claims=[])) == "Nothing fails in 1 case."


def test_the_banner_names_three_cases_of_each_failing_verdict():
    document = make_document(80)
    verdicts = [one["verdict"] for one in contents.worst_cases(document)]
    assert verdicts == [
        verdict for verdict in ("invalid", "worse", "changed", "new") for _ in range(3)
    ]
    assert contents.failed_not_shown(document) == 40 - 12


def test_the_greatest_loss_is_named_first():
    small, great = make_case("worse", shots=2), make_case("worse", shots=64)
    small["comparisons"][0]["delta"], great["comparisons"][0]["delta"] = -0.02, -0.3
    assert contents.worst_cases(holding(small, great)) == [great, small]


def test_an_accepted_case_is_marked_and_comes_after_failures():
    accepted, failing = make_case("worse", shots=2, update=True), make_case("new", shots=4)
    document = holding(accepted, failing)
    assert contents.sorted_cases(document) == [failing, accepted]
    assert "worse, accepted" in render(document)


def test_missing_numbers_are_left_out():
    case = make_case("invalid", divergences=["expected finite losses, got nan in seed 0"])
    broken = dict.fromkeys(("new", "new_sd", "delta", "error", "p"))
    case["comparisons"] = [one | broken for one in make_case("undecided")["comparisons"]]
    case["scores"] = {"accuracy": None, "loss": None}
    assert "expected finite losses, got nan in seed 0" in render(holding(case))


def test_changes_of_the_environment_count_their_cases():
    few = {"name": "torch", "base": "2.12", "new": "2.13", "cases": 2}
    edited = {"name": "methods/lora.py", "base": "a", "new": "b", "cases": 8}
    assert list(contents.changes(make_document(8, changes=[few, edited]))) == [
        "torch 2.12 → 2.13 (2 of 8 cases)",
        "methods/lora.py edited",
    ]


def test_an_edited_file_is_listed_once_and_commits_come_last():
    commit = {"name": "commit", "base": "a", "new": "c", "cases": 8}
    old, older = (
        {"name": "methods/lora.py", "base": base, "new": "c", "cases": 3} for base in "ab"
    )
    assert list(contents.changes(make_document(8, changes=[commit, old, older]))) == [
        "methods/lora.py edited (6 of 8 cases)",
        "commit a → c",
    ]


def test_many_changes_are_folded():
    many = [
        {"name": f"methods/m{number}.py", "base": "a", "new": "b", "cases": 1}
        for number in range(9)
    ]
    page = render(make_document(8, changes=many))
    assert "<summary>and 3 more</summary>" in page
    assert page.count(" edited (1 of 8 cases)</li>") == 9


@pytest.mark.parametrize(
    ("share", "expected"), [(-0.1241, "−12.4"), (0.004, "+0.4"), (-0.0001, "0.0"), (0.0001, "0.0")]
)
def test_shifts_have_a_sign_unless_they_are_zero(share, expected):
    assert contents.points(share) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(12.34, "12.3 s"), (1391, "23 min"), (11100, "3 h 05 min")]
)
def test_durations_have_units(seconds, expected):
    assert contents.duration(seconds) == expected


def test_a_page_of_two_hundred_cases_is_small():
    assert len(render(make_document(200)).encode()) < 2.6e6


def test_every_class_of_the_style_sheet_is_used():
    style = (FOLDER / "page.css").read_text(encoding="utf-8")
    names = set(re.findall(r"\.([a-z][a-z-]+)(?=[^{}]*\{)", style))
    files = ["page.html.j2", *(f"{name}.js" for name in SCRIPTS)]
    sources = [(FOLDER / file).read_text(encoding="utf-8") for file in files]
    words = set(re.findall(r"[a-z][a-z-]+", " ".join(sources)))
    assert names - words - {*contents.VERDICTS, *contents.CLAIM_ORDER} == set()
