"""A device whose kernels do not repeat bits: what an update keeps, and how seed 0 is judged."""

from dataclasses import replace

import pytest
from make_results import make_result, make_seed_result
from recorded import RecordedCase

from pytest_ftcompare.compare.verdict import judge
from pytest_ftcompare.gate.run_case import _repeatable_short_training
from pytest_ftcompare.gate.run_context import RunContext
from pytest_ftcompare.results.case import Case


@pytest.mark.parametrize(
    ("digest", "again", "kept"), [("a", "a", "a"), ("a", "b", ""), ("", "a", "")]
)
def test_an_update_keeps_a_short_training_only_if_it_repeats(tmp_path, digest, again, kept):
    (tmp_path / "recorded.json").write_text("{}")
    context = RunContext(tmp_path, None, 0.0, lambda _: None)
    case = RecordedCase(Case("s", "full", "pocket_sst", "m", 2), context, tmp_path)
    case.short_training = lambda progress: digest
    case.repeats_short_training = lambda first: first == again
    assert _repeatable_short_training(case) == kept


def on_gpu(short_training, *, digits="", predictions=""):
    """Return a GPU's result; `digits` and `predictions` change what only bits show."""
    seeds = []
    for number in range(8):
        seed = make_seed_result(number, 0.7)
        trace = replace(seed.trace, digest=seed.trace.digest + digits)
        digest = seed.predictions_digest + predictions
        seeds.append(replace(seed, trace=trace, predictions_digest=digest))
    environment = make_result([]).environment | {"device": "nvidia-h200"}
    return make_result(
        [], environment=environment, short_training=short_training, seed_results=seeds
    )


@pytest.mark.parametrize(("short_training", "verdict"), [("d", "changed"), ("", "same")])
def test_last_digits_count_where_the_device_repeats_bits(short_training, verdict):
    before, after = on_gpu(short_training), on_gpu(short_training, digits="x")
    assert judge(before, after, 16).verdict == verdict


@pytest.mark.parametrize(("short_training", "verdict"), [("d", "changed"), ("", "same")])
def test_predictions_after_an_identical_training_count_where_the_device_repeats_bits(
    short_training, verdict
):
    before, after = on_gpu(short_training), on_gpu(short_training, predictions="x")
    assert judge(before, after, 16).verdict == verdict
