"""Test the history in a session's document: the series of its cases, by the schema."""

from copy import deepcopy

from documents import make_document
from jsonschema import Draft202012Validator

from pytest_ftcompare.report.document_reader import schema
from pytest_ftcompare.report.history import append, earlier_runs


def appended(path, *documents):
    for document in documents:
        append(path, document)
    return documents[-1]


def nights(count, cases=3):
    """Write the same results each night."""
    return [
        make_document(cases) | {"started": f"2030-01-{1 + night:02}T02:00:00+00:00"}
        for night in range(count)
    ]


def test_it_has_the_series_of_the_documents_cases_with_their_changes(tmp_path):
    documents = nights(10)
    for night, document in enumerate(documents):
        case = document["cases"][1]
        if night >= 7:
            for sample in case["seed_results"]:
                sample["metrics"]["accuracy"] -= 0.125
        case["accepted"] = night == 8
    append(tmp_path / "h.db", make_document(5, started="2029-01-01T00:00:00+00:00", failed=False))
    last = appended(tmp_path / "h.db", *documents)
    last["cases"] = last["cases"][1:2]
    last["history"] = found = earlier_runs(tmp_path / "h.db", last, last=9)
    Draft202012Validator(schema()).validate(last)
    assert [one["started"] for one in found["runs"]] == [one["started"] for one in documents[1:]]
    assert found["runs"][0] == {
        **{
            "started": documents[1]["started"],
            "commit": "8a35bb5f2f89",
            "failed": True,
            "source": "gate",
        }
    }
    case = last["cases"][0]
    assert list(found["series"]) == [f"{case['suite']}/{case['id']}"]
    metrics = found["series"][f"{case['suite']}/{case['id']}"]
    assert set(metrics) == {*case["scores"], *(one["metric"] for one in case["costs"])}
    accuracy = metrics["accuracy"]
    assert accuracy["runs"] == list(range(9))
    assert accuracy["changes"] == accuracy["accepted"] == [6]
    assert accuracy["values"][6] - accuracy["values"][5] == -0.125
    assert metrics["loss"]["changes"] == []


def test_another_device_has_its_own_series(tmp_path):
    here, there = nights(2)
    for case in there["cases"]:
        case["device"] = "nvidia-h200"
    appended(tmp_path / "h.db", here, there)
    found = earlier_runs(tmp_path / "h.db", there)
    assert [one["started"] for one in found["runs"]] == [there["started"]]


def test_an_unknown_case_has_no_series(tmp_path):
    document = appended(tmp_path / "h.db", *nights(2))
    other = deepcopy(document)
    other["cases"] = [other["cases"][0] | {"id": "unheard-of"}]
    assert earlier_runs(tmp_path / "h.db", other) == {"runs": [], "series": {}}


def test_a_name_with_a_lone_surrogate_has_its_series(tmp_path):
    (document,) = nights(1)
    document["command"] = "pytest suites/\udcff"
    document["cases"][0]["id"] = name = "half-\udcff"
    append(tmp_path / "h.db", document)
    assert earlier_runs(tmp_path / "h.db", document)["series"][f"few_shot/{name}"]["accuracy"][
        "runs"
    ] == [0]
