"""Divergences of structure, probe and trace: each fault has its sentence, rounding has none."""

import copy
from dataclasses import replace

import pytest
from make_results import make_result, make_seed_result

from pytest_ftcompare.compare import divergence
from pytest_ftcompare.compare.brief import shorten
from pytest_ftcompare.results.result import Trace

BASE = make_result([0.8])


def with_probe(**changes):
    return replace(BASE, probe={**copy.deepcopy(BASE.probe), **changes})


def test_equal_results_have_no_divergence():
    assert divergence.compare_structures(BASE, BASE) == []
    assert divergence.compare_probes(BASE, BASE) == []


def test_a_learning_rate_is_named_with_both_values():
    other = copy.deepcopy(BASE.signature)
    other["structure"]["optimizer"]["groups"][0]["lr"] = 0.01
    assert divergence.compare_structures(BASE, replace(BASE, signature=other)) == [
        ("signature", "optimizer lr 0.001 -> 0.01")
    ]


def test_a_tensor_that_no_longer_trains_is_named_with_counts():
    other = copy.deepcopy(BASE.signature)
    other["structure"]["trains"] = {"layers.*.weight [2, 2]": 1}
    assert divergence.compare_structures(BASE, replace(BASE, signature=other)) == [
        ("signature", "trains layers.*.weight [2, 2]: 2 -> 1 tensors")
    ]


@pytest.mark.parametrize(
    ("changes", "level", "expected"),
    [
        (
            {"outputs": [[0.1, 0.2], [0.3, -0.41]]},
            "outputs before any update",
            "outputs of the probe differ by 0.01 of 0.4",
        ),
        ({"loss": 0.701}, "loss at step 0", "loss at step 0 0.7 -> 0.701"),
        ({"norm": 2.01}, "gradient norm", "gradient norm at step 0 2 -> 2.01"),
        (
            {"tensors": {"layers.0.weight": [1.01, 0.1], "layers.1.weight": [1.7, 0.1]}},
            "gradient norm",
            "gradient of layers.0.weight",
        ),
        (
            {"tensors": {"layers.0.weight": [1.0, 0.0], "layers.1.weight": [1.7, 0.1]}},
            "first update",
            "first update of layers.0.weight",
        ),
    ],
)
def test_each_part_of_the_probe_gives_its_own_sentence(changes, level, expected):
    (found,) = divergence.compare_probes(BASE, with_probe(**changes))
    assert found.level == level
    assert found.text.startswith(expected)


def test_rounding_of_another_machine_is_no_divergence():
    moved = with_probe(
        outputs=[[0.100001, 0.2], [0.3, -0.400002]],
        loss=0.7000002,
        norm=2.0001,
        tensors={"layers.0.weight": [1.0001, 0.1001], "layers.1.weight": [1.7, 0.1]},
    )
    assert divergence.compare_probes(BASE, moved) == []


def test_the_update_of_a_tensor_without_gradient_is_not_compared():
    quiet = with_probe(tensors={"key.bias": [1e-9, 0.1], "layers.1.weight": [2.0, 0.1]})
    other = with_probe(tensors={"key.bias": [1e-9, 0.4], "layers.1.weight": [2.0, 0.1]})
    assert divergence.compare_probes(quiet, other) == []


def test_a_loss_of_nan_is_a_divergence():
    assert divergence.compare_probes(BASE, with_probe(loss=float("nan")))


@pytest.mark.parametrize(
    ("digest", "loss", "expected"),
    [("a", 0.7, "identical"), ("b", 0.70001, "equivalent"), ("b", 0.71, "changed")],
)
def test_a_trace_is_identical_equivalent_or_changed(digest, loss, expected):
    base = Trace("a", [[0.7, 1.0]], [0.7])
    assert divergence.compare_traces(base, Trace(digest, [[loss, 1.0]], [0.7])) == expected


def test_the_first_step_that_differs_is_named():
    base = Trace("a", [[0.7, 1.0], [0.6, 1.0]], [])
    assert divergence.first_divergence(base, Trace("b", [[0.7, 1.0], [0.6, 2.0]], [])) == (
        "loss curve",
        "gradient norm at step 2 of seed 0 1 -> 2",
    )


def drawn(**changes):
    probe = {"start": {"lora_A": [0.1, 800], "head": [0.02, 64]}, "dropout": [0.7, 0.01]} | changes
    return replace(BASE, probe=BASE.probe | probe)


def test_other_draws_of_the_same_kind_are_no_divergence():
    other = drawn(start={"lora_A": [0.104, 800], "head": [0.018, 64]}, dropout=[0.705, 0.014])
    assert divergence.compare_random_draws(drawn(), other) == []
    assert divergence.compare_random_draws(BASE, other) == []  # a baseline without these entries


@pytest.mark.parametrize(
    ("changes", "level", "expected"),
    [
        (
            {"start": {"lora_A": [0.01, 800], "head": [0.02, 64]}},
            "initialisation",
            "lora_A starts with a root mean square of 0.01",
        ),
        ({"start": {"lora_A": [0.0, 800], "head": [0.02, 64]}}, "initialisation", "lora_A starts"),
        ({"dropout": [0.7, 0.0]}, "dropout", "loss under dropout 0.7 ± 0.01 -> 0.7 ± 0"),
        ({"dropout": [0.7, 0.08]}, "dropout", "loss under dropout"),
        ({"dropout": [0.85, 0.02]}, "dropout", "loss under dropout"),
        (
            {"rows": {"0": "subset-0", "1": "others"}},
            "training rows",
            "other training rows in 1 of 2 seeds: 1",
        ),
    ],
)
def test_draws_of_another_kind_are_divergences(changes, level, expected):
    base = replace(drawn(), seed_results=make_result([0.8, 0.8]).seed_results)
    (found,) = divergence.compare_random_draws(base, drawn(**changes))
    assert found.level == level
    assert found.text.startswith(expected)


def test_a_tensor_that_starts_at_zero_may_stay_there():
    assert (
        divergence.compare_random_draws(
            drawn(start={"lora_B": [0.0, 8]}), drawn(start={"lora_B": [0.0, 8]})
        )
        == []
    )


def test_outputs_that_differ_state_their_largest_difference():
    (found,) = divergence.compare_probes(BASE, with_probe(outputs=[[0.1, 0.2], [0.303, -0.4]]))
    assert found.text == "outputs of the probe differ by 0.003 of 0.4 before any update"


def test_another_number_of_outputs_is_stated():
    (found,) = divergence.compare_probes(BASE, with_probe(outputs=[[0.1, 0.2]]))
    assert found.text == "outputs of the probe 4 -> 2 numbers"


def test_an_output_of_nan_differs_by_infinity():
    (found,) = divergence.compare_probes(
        BASE, with_probe(outputs=[[float("nan"), 0.2], [0.3, -0.39]])
    )
    assert found.text.startswith("outputs of the probe differ by inf of 0.4")


def test_losses_that_differ_in_their_last_digits_state_by_how_much():
    base, new = Trace("a", [[0.7, 1.0]], [0.7, 0.5]), Trace("b", [[0.7, 1.0]], [0.7, 0.500001])
    assert (
        "differ by up to 2e-06 of their size, and nothing"
        in divergence.compare_last_digits(base, new).text
    )
    same = replace(base, digest="b")
    assert (
        "differ beyond the digits on record, and nothing"
        in divergence.compare_last_digits(base, same).text
    )


def test_other_predictions_state_how_many_rows_turned():
    before, after = make_seed_result(0, 0.8), make_seed_result(0, 0.79)
    assert divergence.compare_predictions(before, after).text == (
        "predictions of seed 0 differ after identical training: "
        "4 of 400 test rows turned right or wrong"
    )


def test_a_long_structure_is_cut_and_identified_by_its_digest():
    ranks = {f"model.layers.{number}.self_attn.q_proj": 6 for number in range(40)}
    other = ranks | {"model.layers.39.self_attn.q_proj": 5}
    (found,) = divergence.compare_recipes(
        replace(BASE, recipe={"ranks": [*ranks.items()]}),
        replace(BASE, recipe={"ranks": [*other.items()]}),
    )
    before, after = found.text.split(" -> ")
    assert len(found.text) < 300
    assert before.startswith("recipe ranks [('model.layers.0.self_attn.q_proj', 6)")
    assert "whole in its JSON file" in before
    assert before.rpartition("digest ")[2] != after.rpartition("digest ")[2]


def test_a_short_value_is_not_cut():
    assert shorten(["q_proj", "v_proj"]) == "['q_proj', 'v_proj']"


def test_a_case_in_bfloat16_may_move_further():
    environment = BASE.environment | {"precision": "bfloat16"}
    base, moved = (
        replace(result, environment=environment) for result in (BASE, with_probe(loss=0.705))
    )
    assert divergence.compare_probes(base, moved) == []
    assert divergence.compare_probes(BASE, with_probe(loss=0.705))
    far = replace(with_probe(loss=0.75), environment=environment)
    assert [found.level for found in divergence.compare_probes(base, far)] == ["loss at step 0"]
