"""Test real pre-trained models on real data, if a folder holds them.

`FTCOMPARE_HUB=DIR` names the folder, laid out by hub id. The tasks are CoLA with its out-of-domain
set, BLiMP pairs as acceptability, MNLI with HANS, and Chinese and English instructions. The models
are LLaMA-style decoders and a BERT encoder. Each case makes a baseline and passes the gate.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import transformers.models.bert.modeling_bert
import transformers.models.llama.modeling_llama  # noqa: F401  pytester forgets what its runs import, transformers looks it up

from pytest_ftcompare.compare import measured_cost
from pytest_ftcompare.gate.profiles import PROFILES
from pytest_ftcompare.measure import timer

HUB = os.environ.get("FTCOMPARE_HUB", "")
SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
STORIES = "raincandy-u/TinyStories-656K"

ANSWER = {"output_mode": "answer", "epochs": 1}

# method, task, model, shots, options: small enough that all of them take minutes on two cores
CASES = [
    ("full", "mnli", MINILM, 16, {"epochs": 2, "lr": 5e-5}),
    ("lora", "cola", MINILM, 16, {"epochs": 2, "lr": 2e-3}),
    ("adapter", "cola", MINILM, 16, {"epochs": 2, "lr": 1e-3}),
    ("unipelt", "cola", MINILM, 16, {"epochs": 1}),
    ("icl", "blimp", SMOL, 4, {"demonstrations": 1}),
    ("full", "alpaca_zh", STORIES, 8, ANSWER),
    ("qlora", "alpaca_en", STORIES, 8, ANSWER | {"r": 8}),
    ("mam", "alpaca_en", STORIES, 8, ANSWER),
]
# Rows that two cores read or write in a minute or two.
TEST_ROWS = {"mnli": 24, "blimp": 16, "alpaca_zh": 12, "alpaca_en": 12}


@pytest.fixture(autouse=True)
def few_rows(monkeypatch, request):
    """Shorten the local profile: few test rows, and one window of one round for a baseline."""
    task = request.node.callspec.params.get("task", "")
    monkeypatch.setitem(
        PROFILES, "local", replace(PROFILES["local"], test_rows=TEST_ROWS.get(task, 32), threads=1)
    )
    # A test's clock gives equal windows, so one is enough.
    for module, name in (
        (measured_cost, "BASELINE_WINDOWS"),
        (timer, "WARM_UP_CALLS"),
        (timer, "ROUNDS"),
    ):
        monkeypatch.setattr(module, name, 1)


def present(model):
    return (Path(HUB) / "models" / model).is_dir()


@pytest.mark.skipif(
    not HUB, reason="FTCOMPARE_HUB names no folder with real models and data: see docs/hub.md"
)
@pytest.mark.parametrize(
    ("method", "task", "model", "shots", "options"),
    CASES,
    ids=lambda value: str(value).rsplit("/")[-1],
)
def test_a_real_case_passes_update_and_gate(pytester, method, task, model, shots, options):
    if not present(model):
        pytest.skip(f"{HUB} has no models/{model}")
    pytester.makepyfile(
        test_real=f"""
        import pytest

        @pytest.mark.ftcompare(
            methods=({method!r},), tasks=({task!r},), models=({model!r},),
            shots=({shots},), options={options}, judge_accuracy=False,
        )
        def test_real(gate):
            gate()
        """
    )
    arguments = (
        "-p",
        "pytest_ftcompare.plugin",
        "--ftcompare-profile=local",
        f"--ftcompare-hub={HUB}",
        "--ftcompare-seeds=1",
    )
    written = pytester.runpytest_inprocess(*arguments, "--update-baselines", "--ftcompare-window=0")
    assert written.ret == 0, written.stdout.str()
    compared = pytester.runpytest_inprocess(*arguments, "--benchmark-disable")
    assert compared.ret == 0
    compared.stdout.fnmatch_lines(["* 1  *1  1 same"])


REFUSED = [
    ("pbft", MINILM, "*expected a model that supports output mode pattern, all-MiniLM-L6-v2 is*"),
    (
        "icl",
        STORIES,
        "*expected a verbalizer of one token, ' No' is * tokens for TinyStories-656K*",
    ),
    (
        "full",
        STORIES,
        "*to hold the whole of its LlamaForSequenceClassification but the head, "
        "they lack model.embed_tokens*",
    ),
]


@pytest.mark.skipif(
    not HUB, reason="FTCOMPARE_HUB names no folder with real models and data: see docs/hub.md"
)
@pytest.mark.parametrize(("method", "model", "sentence"), REFUSED)
def test_a_model_without_the_output_mode_is_refused_in_one_sentence(
    pytester, method, model, sentence
):
    if not present(model):
        pytest.skip(f"{HUB} has no models/{model}")
    pytester.makepyfile(
        test_real=f"""
        import pytest

        @pytest.mark.ftcompare(
            methods=({method!r},), tasks=("cola",), models=({model!r},), shots=(2,)
        )
        def test_real(gate):
            gate()
        """
    )
    result = pytester.runpytest_inprocess(
        "-p", "pytest_ftcompare.plugin", "--ftcompare-profile=local", f"--ftcompare-hub={HUB}"
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines([sentence])
    result.stdout.no_fnmatch_line("*Traceback*")
