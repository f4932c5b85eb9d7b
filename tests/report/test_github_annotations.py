"""Annotations on GitHub: syntax, order, and at most ten of a kind."""

import re
from urllib.parse import unquote

import pytest
from documents import make_case, make_document

from pytest_ftcompare.report.github import MAX_SHOWN, annotations

COMMAND = re.compile(r"::(error|warning) (?:file=([^:,\r\n]*),)?title=([^:,\r\n]*)::([^\r\n]*)")


def parsed(document):
    """Each annotation as GitHub's runner reads it: kind, file, title, message."""
    found = [COMMAND.fullmatch(line) for line in annotations(document)]
    assert all(found)
    return [tuple(unquote(part or "") for part in one.groups()) for one in found]


def of(*cases, **changes):
    return make_document(0) | {"cases": list(cases), "claims": [], "notes": []} | changes


def test_what_fails_is_an_error_worst_first_and_what_is_not_settled_a_warning():
    found = parsed(make_document(8, findings=["accuracy is lower"]))
    assert [(kind, title.partition(":")[0]) for kind, _, title, _ in found] == [
        *(
            ("error", one)
            for one in (
                "all cases together",
                "invalid",
                "worse",
                "changed",
                "new",
                "changed",
                "new",
            )
        ),
        *(("warning", one) for one in ("undecided", "incomparable", "noted", "note")),
    ]


def test_an_annotation_stands_at_its_tests_file_and_says_what_moved_and_what_to_do():
    case = make_case("worse")
    ((kind, file, title, message),) = parsed(of(case))
    assert (kind, file, title) == ("error", "suites/test_few_shot.py", f"worse: {case['id']}")
    lines = message.splitlines()
    assert lines[0] == "its outcome got worse"
    assert lines[1].startswith("accuracy ")
    assert lines[-2:] == ["Where it left its baseline: recipe", f"Run it again: {case['rerun']}"]


def test_a_claim_that_changed_says_what_it_was():
    ((_, file, title, message),) = parsed(of(claims=[make_document(0)["claims"][2]]))
    assert (file, title) == ("suites/test_claims.py", "changed: claim-that-is-changed")
    assert message.startswith("was reproduced (+2.0 pt ± 0.6, n 16), is contradicted (")


def test_nothing_is_said_of_a_session_that_passes_nor_of_what_was_accepted():
    assert (
        annotations(of(make_case("same"), make_case("better"), make_case("worse", update=True)))
        == []
    )


@pytest.mark.parametrize(
    ("failed", "shown", "left"), [(10, 10, ""), (11, 9, "and 2 more"), (1000, 9, "and 991 more")]
)
def test_what_is_more_than_github_shows_is_counted_in_the_last(failed, shown, left):
    found = parsed(of(*(make_case("worse", shots=shots) for shots in range(failed))))
    assert len(found) == MAX_SHOWN
    assert sum(title.startswith("worse: ") for _, _, title, _ in found) == shown
    assert found[-1][2] == left or not left


@pytest.mark.parametrize(
    "text",
    [
        "50%, a: b",
        "%0A::error::forged",
        "line\r\n::error title=x::forged",
        "a::b,c",
        "\x1b[31mred\x00",
        "\u202e\ud800",
    ],
)
def test_no_text_forges_another_command(text):
    case = make_case("invalid", divergences=[text]) | {
        "id": text,
        "nodeid": f"suites/{text}.py::test",
        "rerun": text,
    }
    found = annotations(of(case, findings=[text], notes=[text]))
    assert len(found) == 3
    for line in found:
        assert COMMAND.fullmatch(line)
        assert line.encode()
        assert not re.search(r"[\x00-\x1f\x7f]", line)


def test_a_percent_sign_reads_back():
    ((_, _, title, message),) = parsed(
        of(make_case("changed", divergences=["loss 50%, 3:1"]) | {"id": "a%2C,b:c"})
    )
    assert title == "changed: a%2C,b:c"
    assert "first divergence: loss 50%, 3:1" in message
