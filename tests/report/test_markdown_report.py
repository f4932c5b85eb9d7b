"""The report as Markdown: content and order, GitHub's limits, and names that stay text."""

import html
import re

import pytest
from documents import make_case, make_document
from markdown_it import MarkdownIt

from pytest_ftcompare.compare.sequential_test import ScoreComparison
from pytest_ftcompare.report.markdown import MAX_COMMENT, render
from pytest_ftcompare.report.markdown_escape import clean, code, fence, prose
from pytest_ftcompare.report.wording import score_change

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = [
    "a|b",
    "a\\|b|",
    "`tick` ``two`` ```three",
    "<script>alert(1)</script><img src=x onerror=y>",
    "</details></code>&lt;b&gt;&#124;",
    "line\nbreak\r\n# heading\n\n| a | b |\n| - | - |",
    "\x00\x07\x1b[31mred\x7f\x9b",
    "\u202eright to left\u2066\u200b\ufeff\ud800",
    "@someone, @an-org/team and mail@example.org",
    "#12, GH-12, owner/repo#12 and https://github.com/owner/repo/issues/12",
    "*bold* _it_ __b__ ~~gone~~ [text](http://x) ![i](y) $x^2$",
    "- item",
    "1. first",
    "    indented",
    "",
]


def of(*cases, **changes):
    """A document of these cases."""
    counts = {one["verdict"]: 1 for one in cases}
    return (
        make_document(0, counts=counts, failed=any(one["failed"] for one in cases))
        | {"cases": list(cases)}
        | changes
    )


def sections(text):
    return re.findall(r"^#+ (.*)$|<summary>(.*)</summary>", text, re.MULTILINE)


def titles(document):
    return [one or other for one, other in sections(render(document))]


def rows(text, title):
    """The rows of the table under a title, as cells of plain text."""
    part = re.split(r"^### |<summary>", text, flags=re.MULTILINE)
    (found,) = [one for one in part if one.startswith(title)]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in found.splitlines()
        if line.startswith("| `")
    ]


def test_the_verdict_comes_first_and_everything_follows_folded():
    found = titles(
        make_document(8, findings=["accuracy is 1.7 points lower on average over 36 cases"])
    )
    assert found[0].startswith("ftcompare failed: 1 invalid, 1 worse, 1 changed, 1 new, ")
    assert found[0].endswith(
        " of 8 cases; 1 changed, 1 new, 1 noted, 1 held, 1 untested of 5 claims"
    )
    assert found[1:] == [
        *(
            "All cases together",
            "Failed",
            "Claims",
            "Changed since the baselines",
            "Better",
            "Not settled",
            "Notes",
        ),
        *("Run the failed cases again, or accept them", "All cases (8)"),
    ]


def test_a_failed_case_tells_what_moved_against_which_noise_and_where_it_began():
    case = make_case("worse")
    ((name, verdict, moved, began),) = rows(render(of(case)), "Failed")
    assert (name, verdict, began) == (f"`few_shot/{case['id']}`", "worse", "recipe")
    first = case["comparisons"][0]
    assert re.match(
        r"accuracy \d+\.\d% -> \d+\.\d%: -\d+\.\d pt ± 1\.0 \(noise 2\.0 pt, p=1e-06, 8 seeds\); ",
        moved,
    )
    assert f"{100 * first['delta']:+.1f} pt" in moved
    assert moved.endswith("first divergence: recipe lr 0.005 -> 0.05")


def test_the_verdicts_of_failed_cases_are_explained_under_their_table():
    cases = [make_case("changed"), make_case("changed") | {"id": "lora-other"}, make_case("new")]
    lines = render(of(*cases)).splitlines()
    explained = [line for line in lines if line.startswith("- ")]
    assert explained[:2] == [
        "- changed: it computes something else than its baseline did; its outcome is not worse",
        "- new: it has no baseline yet",
    ]


def test_a_command_that_is_cut_reads_as_it_was_typed():
    document = of(make_case("same"), command=f"pytest suites/ -o cache_dir=/x {'--y=1 ' * 99}")
    assert ": `pytest suites/ -o cache_dir=/x --y=1 " in render(document)
    assert "…`" in render(document)


def test_a_failed_case_is_run_again_and_accepted_with_its_commands():
    case = make_case("changed")
    text = render(of(case))
    assert f"\n```sh\n{case['rerun']}\n{case['accept']}\n```\n" in text


def test_a_cost_that_moved_tells_what_it_was_compared_in():
    costs = [
        {
            "metric": "step",
            "unit": "s",
            "base": 0.0325,
            "new": 0.0349,
            "change": 0.074,
            "how": "yardsticks",
        }
        | {"outcome": "worse", "note": "", "error": 0.008},
        {
            "metric": "stray bytes",
            "unit": "B",
            "base": 0,
            "new": 2048,
            "change": None,
            "how": "exact",
        }
        | {"outcome": "worse", "note": "", "error": 0.0},
    ]
    text = render(of(make_case("worse", costs=costs, comparisons=[], divergences=[])))
    assert (
        "step 32.5 ms -> 34.9 ms: +7.4% ± 0.8 in yardsticks; "
        "stray bytes 0.0 KiB -> 2.0 KiB: ?, counted" in text
    )


def test_a_session_that_passes_says_so_and_shows_no_empty_part():
    document = of(make_case("same", changes=[]), claims=[], changes=[], notes=[])
    assert titles(document) == [
        "ftcompare passed: 1 same of 1 case",
        "Changed since the baselines",
        "All cases (1)",
    ]
    assert "\n- nothing in the environment\n" in render(document)


def test_a_session_without_cases_is_two_lines():
    text = render(of(claims=[], notes=[], changes=[]))
    assert [line for line in text.splitlines() if line] == [
        "## ftcompare passed: no case ran",
        "Profile `pocket`, 2030-01-01 02:00 UTC, 0 s: `pytest suites/ -n 4`",
    ]


def test_an_update_says_what_it_accepted():
    text = render(make_document(8, update=True))
    assert "\nBaselines were to be written: 3 cases and 0 claims accepted.\n" in text
    assert [row[1] for row in rows(text, "Accepted")] == ["worse", "changed", "new"]
    assert [row[1] for row in rows(text, "Failed")] == ["invalid"]


def test_a_claim_tells_what_it_was_and_whether_its_new_outcome_is_accepted():
    changed = make_document(0)["claims"][2]
    for claim, words in (
        (changed, "changed"),
        (changed | {"failed": False, "accepted": True}, "changed, accepted"),
    ):
        text = render(of(claims=[claim]))
        assert (
            f"\n- `claim-that-is-changed` {words}: "
            "was reproduced (+2.0 pt ± 0.6, n 16), is contradicted (" in text
        )


def test_a_case_whose_accuracy_is_not_judged_does_not_say_that_it_moved():
    case = make_case("changed", judge_accuracy=False, comparisons=make_case("worse")["comparisons"])
    ((_, _, moved, _),) = rows(render(of(case)), "Failed")
    assert moved == "first divergence: recipe lr 0.005 -> 0.05"


def test_many_edited_files_are_one_line_and_the_cases_of_a_change_are_counted():
    edited = [
        {"name": f"methods/{name}.py", "base": "a", "new": "b", "cases": 1} for name in "abcd"
    ]
    changes = [{"name": "peft", "base": "0.20.0", "new": "0.21.2", "cases": 2}, *edited]
    text = render(make_document(3, changes=changes))
    assert (
        "\n- peft 0.20.0 -> 0.21.2 (2 of 3 cases)\n"
        "- edited: methods/a.py, methods/b.py, methods/c.py, methods/d.py\n" in text
    )


def test_numbers_that_are_missing_are_question_marks():
    broken = [
        one | {"delta": None, "p": None, "error": None} for one in make_case("worse")["comparisons"]
    ]
    case = make_case("worse", comparisons=broken, scores={"accuracy": None})
    text = render(of(case, seconds=None))
    assert ": ? pt ± ? (noise 2.0 pt, p=?, 8 seeds)" in text
    broken_score = ScoreComparison(**broken[0])
    assert score_change(broken_score, identical=False, noise=True) in text


@pytest.mark.parametrize("limit", [MAX_COMMENT, 2**20, 5000])
@pytest.mark.parametrize("verdicts", ["all of them", "worse"])
def test_a_thousand_cases_stay_within_the_limit_and_what_is_left_out_is_said(limit, verdicts):
    cases = (
        [make_case("worse", shots=shots) for shots in range(1000)]
        if verdicts == "worse"
        else make_document(1000)["cases"]
    )
    text = render(of(*cases), limit)
    assert len(text.encode()) <= limit
    left = re.findall(
        r"^Left out here for length: ([\d,]+) of 1,000 cases; "
        r"the reports in HTML and JSON have all\.$",
        text,
        re.M,
    )
    shown = rows(text, "All cases (1,000)")
    if limit == 2**20:
        assert (len(shown), left) == (1000, [])
    else:
        assert 0 < len(shown) == 1000 - int(left[-1].replace(",", ""))
    assert "### Changed since the baselines" in text
    assert text.count("<details>") == text.count("</details>")
    assert len(re.findall(r"^```", text, re.M)) % 2 == 0


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_hostile_names_do_not_break_a_table_nor_become_markup(text):
    harmless = make_case("worse")
    case = harmless | {
        "suite": text,
        "id": text,
        "divergences": [text],
        "rerun": text,
        "accept": text,
    }
    claim = make_document(0)["claims"][2] | {"name": text, "says": text, "source": text}
    page = {"notes": [text], "findings": [text], "command": text, "profile": text}
    broken, sound = (
        PARSER.parse(render(of(one, claims=[other], **more)))
        for one, other, more in (
            (case, claim, page),
            (harmless, make_document(0)["claims"][2], {"findings": ["one"]}),
        )
    )
    assert [one.type for one in broken] == [one.type for one in sound]
    inside = {one.type for token in broken for one in token.children or ()}
    assert inside <= {"text", "code_inline", "html_inline", "text_special"}
    tags = {
        one.content for token in broken for one in token.children or () if one.type == "html_inline"
    }
    assert tags <= {"<code>", "</code>"}
    assert {one.content for one in broken if one.type == "html_block"} == {
        one.content for one in sound if one.type == "html_block"
    }


def shown(markdown):
    """What a reader sees of a line of Markdown."""
    (_, inline, _) = PARSER.parse(markdown)
    return "".join(
        one.content
        for one in inline.children
        if one.type in ("text", "code_inline", "text_special")
    )


@pytest.mark.parametrize("text", [one for one in HOSTILE if one.strip()])
@pytest.mark.parametrize("made", [code, prose])
def test_what_a_reader_sees_is_the_text(made, text):
    assert shown(made(text)).replace("\u200b", "") == clean(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_nobody_is_mentioned_and_no_issue_is_referred_to(text):
    read = html.unescape(prose(text))  # as GitHub's filters see it
    assert not re.search(r"@\w|#\w|\bGH-\d|https?:/|www\.\w", read)


def test_text_has_one_line_and_an_end():
    assert clean("a\x00b\n\tc \u202e") == "a\ufffdb c \ufffd"
    assert len(clean("x" * 10**6)) == 300
    assert fence(["echo ````"]) == "`````"
