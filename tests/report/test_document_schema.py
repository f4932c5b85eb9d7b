"""The document's JSON Schema: what it takes and what it refuses; reading a document back."""

import json
from copy import deepcopy
from typing import get_args

import pytest
from documents import make_document
from jsonschema import Draft202012Validator

from pytest_ftcompare.compare import (
    divergence,
    measured_cost,
    pooled_shift,
    sequential_test,
    verdict,
)
from pytest_ftcompare.compare.allowances import SessionAllowance, SessionState
from pytest_ftcompare.compare.claims import claim
from pytest_ftcompare.report import document as made
from pytest_ftcompare.report.document_reader import DocumentError, read, schema
from pytest_ftcompare.results import claim_record
from pytest_ftcompare.results.allowance import AllowanceState, CaseAllowance
from pytest_ftcompare.results.cost_metrics import METRICS

VALIDATOR = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
HISTORY = {
    "runs": [
        {
            "started": "2030-01-01T02:00:00+00:00",
            "commit": "8a35bb5f2f89",
            "failed": None,
            "source": "gate",
        }
    ],
    "series": {
        "few_shot/lora-task-model-n16": {
            "accuracy": {"runs": [0], "values": [0.8], "changes": [], "accepted": [0]}
        }
    },
}


def refusals(document):
    return [f"{one.json_path}: {one.message}" for one in VALIDATOR.iter_errors(document)]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    "changes",
    [{}, {"update": True}, {"history": HISTORY}, {"claims": [], "shifts": [], "findings": ["x"]}],
)
def test_documents_of_every_verdict_are_taken(changes):
    assert refusals(make_document(24, **changes)) == []


def test_a_document_of_nothing_is_taken():
    nothing = {
        "counts": {},
        "environment": {},
        "changes": [],
        "shifts": [],
        "claims": [],
        "failed": False,
    }
    assert refusals(make_document(0, **nothing)) == []


BROKEN = {
    "another schema": lambda it: it.update(schema=2),
    "no schema": lambda it: it.pop("schema"),
    "a field that is not documented": lambda it: it.update(more=1),
    "a field of a case that is not documented": lambda it: it["cases"][0].update(more=1),
    "a case without verdict": lambda it: it["cases"][0].pop("verdict"),
    "a verdict that there is not": lambda it: it["cases"][0].update(verdict="bad"),
    "a count of a verdict that there is not": lambda it: it["counts"].update(bad=1),
    "a level that there is not": lambda it: it["cases"][1].update(began="elsewhere"),
    "an outcome that there is not": lambda it: it["cases"][1]["comparisons"][0].update(
        outcome="lower"
    ),
    "a unit that there is not": lambda it: it["cases"][0]["costs"][0].update(unit="ms"),
    "a share above one": lambda it: it["cases"][0]["scores"].update(accuracy=82.0),
    "a number as text": lambda it: it["cases"][0]["comparisons"][0].update(delta="-0.1"),
    "a flag as a number": lambda it: it.update(failed=1),
    "a sample without a gradient norm": lambda it: it["cases"][0]["seed_results"][0].update(
        first_steps=[[0.7]]
    ),
    "a baseline without samples": lambda it: it["cases"][0]["baseline"].pop("seed_results"),
    "a claim of another outcome": lambda it: it["claims"][0].update(outcome="true"),
    "a claim's estimate without its noise": lambda it: it["claims"][0]["estimate"].pop("error"),
    "a negative index into the runs": lambda it: it.update(
        history=deepcopy(HISTORY) | {"series": {"a/b": {"accuracy": series(-1)}}}
    ),
}


def series(run):
    return {"runs": [run], "values": [0.5], "changes": [], "accepted": []}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_document_is_refused(broken):
    document = deepcopy(make_document(24))
    BROKEN[broken](document)
    assert refusals(document)


def test_the_schemas_words_are_the_codes():
    defined = schema()["$defs"]
    assert schema()["properties"]["schema"]["const"] == made.SCHEMA
    assert defined["verdict"]["enum"] == list(verdict.WORST_FIRST)
    assert defined["case"]["properties"]["first_divergence"]["enum"] == [
        "",
        *get_args(divergence.Level),
    ]
    assert set(defined["comparison"]["properties"]["outcome"]["enum"]) == set(
        get_args(sequential_test.ScoreOutcome)
    )
    assert set(defined["shift"]["properties"]["outcome"]["enum"]) == set(
        get_args(pooled_shift.ShiftOutcome)
    )
    assert set(defined["cost"]["properties"]["outcome"]["enum"]) == set(
        get_args(measured_cost.CostOutcome)
    )
    assert {one.unit for one in METRICS.values()} < set(
        defined["cost"]["properties"]["unit"]["enum"]
    )
    assert defined["allowance"]["properties"]["state"]["enum"] == [*get_args(SessionState)]
    assert defined["case_allowance"]["properties"]["state"]["enum"] == [*get_args(AllowanceState)]
    assert set(defined["claim"]["properties"]["verdict"]["enum"]) == set(
        get_args(claim.ClaimVerdictName)
    )
    assert set(defined["stated"]["enum"]) == set(get_args(claim_record.ClaimOutcome))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("allowance", SessionAllowance),
        ("case_allowance", CaseAllowance),
        ("comparison", sequential_test.ScoreComparison),
        ("cost", measured_cost.CostComparison),
        ("shift", pooled_shift.PooledShift),
        ("estimate", claim.Estimate),
    ],
)
def test_the_schemas_fields_are_the_codes(name, fields):
    assert set(schema()["$defs"][name]["required"]) == set(fields.__dataclass_fields__)


def test_a_document_reads_back_as_it_was():
    document = make_document(8, history=HISTORY)
    assert read(json.dumps(document)) == document


def test_what_a_later_version_adds_to_the_schema_is_left_alone():
    document = make_document(2, weather="fair")
    assert read(json.dumps(document)) == document


def without(name):
    document = make_document(2)
    del document["cases"][1][name]
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"schema": 1, "cas', "it is not JSON"),
        ("[]", "it has no schema number"),
        ('{"cases": []}', "it has no schema number"),
        (
            '{"schema": 2}',
            "it is of a newer schema than 1, which this version reads: upgrade pytest-ftcompare",
        ),
        ('<<<<<<< ours\n{"schema": 1}', "it has merge-conflict markers"),
        ('{"schema": 1}', "it has no 'version'"),
        (without("verdict"), "it.cases[1] has no 'verdict'"),
        (json.dumps(make_document(0) | {"cases": 3}), "expected array at it.cases, got 3"),
        (
            json.dumps(make_document(0) | {"cases": ["lora"]}),
            'expected object at it.cases[0], got "lora"',
        ),
        (json.dumps(make_document(0) | {"failed": 1}), "expected boolean at it.failed, got 1"),
        (json.dumps(make_document(0) | {"history": {}}), "it.history has no 'runs'"),
    ],
    ids=lambda one: one[:40],
)
def test_what_is_not_a_document_is_one_sentence(text, why):
    with pytest.raises(DocumentError) as raised:
        read(text)
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)
