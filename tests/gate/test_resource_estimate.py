"""Estimates grow with size, and cases that cannot fit are deselected with the reason."""

import pytest

from pytest_ftcompare.gate.profiles import PROFILES
from pytest_ftcompare.gate.resource_estimate import estimate, why_too_large
from pytest_ftcompare.results.case import Case

PAPER = PROFILES["paper"]


def case(method="full", model="huggyllama/llama-7b", shots=64, **options):
    return Case("suite", method, "cola", model, shots, tuple(options.items()))


def test_more_examples_and_larger_models_take_longer():
    times = [
        estimate(case(model=model, shots=shots), PAPER, "cuda").hours
        for model, shots in (
            ("facebook/opt-125m", 2),
            ("facebook/opt-125m", 128),
            ("huggyllama/llama-7b", 128),
        )
    ]
    assert times == sorted(times)
    assert estimate(case("lora"), PAPER, "cuda").hours < estimate(case(), PAPER, "cuda").hours
    assert estimate(case("icl"), PAPER, "cuda").hours < estimate(case("lora"), PAPER, "cuda").hours
    assert estimate(case(epochs=1), PAPER, "cuda").hours < estimate(case(), PAPER, "cuda").hours


def test_full_training_needs_most_memory_and_a_quantised_base_least():
    full, lora, qlora = (
        estimate(case(method), PAPER, "cuda").memory for method in ("full", "lora", "qlora")
    )
    assert full > 3 * lora > 9 * qlora
    assert full > 16 * 6.74e9


def test_a_case_that_does_not_fit_reports_its_memory():
    assert why_too_large(case(), PAPER, "cuda", 80 * 2**30) == (
        "full on huggyllama/llama-7b needs about 121 GiB, this GPU has 80"
    )
    assert not why_too_large(case("lora"), PAPER, "cuda", 80 * 2**30)
    assert not why_too_large(case(), PAPER, "cpu", 0), "a machine without a known memory fits all"


def test_a_model_without_a_size_has_no_estimate():
    assert estimate(case(model="ours/unknown"), PAPER, "cuda") is None
    assert not why_too_large(case(model="ours/unknown"), PAPER, "cuda", 1)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_profile_knows_the_sizes_of_its_models(profile):
    assert {*profile.models, *profile.bases.values()} <= set(profile.parameters)


def test_a_case_that_fits_no_machine_is_deselected_with_the_reason(pytester):
    pytester.makepyprojecttoml(
        """
        [tool.ftcompare.profiles.huge]
        models = ["ours/huge"]
        parameters = { "ours/huge" = 1e15 }
        """
    )
    pytester.makepyfile(
        test_huge="""
        import pytest

        @pytest.mark.ftcompare(methods=("full", "lora"), tasks=("cola",), shots=(16,))
        def test_huge(gate):
            gate()
        """
    )
    result = pytester.runpytest_inprocess(
        "-p", "pytest_ftcompare.plugin", "--ftcompare-profile=huge", "--collect-only", "-q"
    )
    result.stdout.fnmatch_lines(
        [
            "deselected 1 case: full on ours/huge needs about * GiB, this machine has *",
            "*2 deselected*",
        ]
    )
