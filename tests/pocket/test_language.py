"""Test the pocket language by independent rules, and the shipped data against the generator."""

import random

import pytest

from pytest_ftcompare.pocket import acceptability, chinese, corpus, entailment, sentiment, words
from pytest_ftcompare.pocket.data import make_data
from pytest_ftcompare.pocket.grammar import HELD_OUT, SEEN
from pytest_ftcompare.tasks.hub import EMBEDDED

CONSTRUCTIONS = acceptability.IN_DOMAIN + acceptability.OUT_OF_DOMAIN
INFERENCES = entailment.IN_DOMAIN + entailment.OUT_OF_DOMAIN


@pytest.mark.parametrize("construction", CONSTRUCTIONS, ids=lambda one: one.__name__)
def test_a_minimal_pair_differs(construction):
    rng = random.Random(1)
    pairs = [construction(rng, SEEN) for _ in range(300)]
    assert all(good != bad for good, bad in pairs)
    assert len({good for good, _ in pairs}) > 50


def test_simple_agreement_follows_an_independent_rule():
    rng = random.Random(2)
    plural = set(words.PLURAL.values())
    thirds = {verb.third for verb in (*words.INTRANSITIVE, *words.TRANSITIVE)}
    bases = {verb.base for verb in (*words.INTRANSITIVE, *words.TRANSITIVE)}
    for _ in range(300):
        for label, sentence in zip((True, False), acceptability.agreement(rng, SEEN), strict=True):
            tokens = sentence.split()
            verb = next(index for index, token in enumerate(tokens) if token in thirds | bases)
            agrees = (tokens[verb - 1] in plural) == (tokens[verb] in bases)
            assert agrees == label, sentence


@pytest.mark.parametrize("inference", INFERENCES, ids=lambda one: one.__name__)
def test_an_inference_gives_both_answers(inference):
    rng = random.Random(3)
    answers = [inference(rng, SEEN)[2] for _ in range(400)]
    assert 120 < sum(answers) < 280


def test_no_single_negation_word_gives_the_in_domain_answer_away():
    rng = random.Random(4)
    rows = [rng.choice(entailment.IN_DOMAIN)(rng, SEEN) for _ in range(4000)]
    negated = [
        entailed for _, hypothesis, entailed in rows if {"no", "not"} & set(hypothesis.split())
    ]
    assert 0.25 < sum(negated) / len(negated) < 0.5


@pytest.mark.parametrize("inference", entailment.OUT_OF_DOMAIN, ids=lambda one: one.__name__)
def test_every_word_of_an_overlap_hypothesis_stands_in_its_premise(inference):
    rng = random.Random(5)
    for _ in range(200):
        premise, hypothesis, _ = inference(rng, SEEN)
        assert set(hypothesis.split()) <= set(premise.split())


def test_held_out_words_and_constructions_never_occur_in_labelled_pretraining_text():
    rng = random.Random(6)
    held_out = {
        *HELD_OUT.animate,
        *HELD_OUT.things,
        *HELD_OUT.adjectives,
        *(verb.base for verb in HELD_OUT.transitive),
    }
    labelled = "".join(
        text
        for _ in range(800)
        for kind in corpus.EPISODES
        for text, _ in corpus.episode(rng, kind)
    )
    assert not held_out & set(labelled.split())
    plain = "".join(text for _ in range(800) for text, _ in corpus.plain(rng))
    assert held_out <= set(plain.split())


def test_a_classifier_is_right_in_the_sentence_and_wrong_in_its_twin():
    rng = random.Random(7)

    def right(text):
        return all(
            text[index - 1] == entry[0]
            for noun, entry in chinese.NOUNS.items()
            for index in range(1, len(text))
            if text.startswith(noun, index)
        )

    for _ in range(200):
        sentence = chinese.sentence(rng)
        assert right(sentence.text) and not right(sentence.wrong)


def test_a_review_counts_its_last_opinion():
    rng = random.Random(8)
    for _ in range(300):
        text, good = sentiment.review(rng)
        last = text.split(" but ")[-1].split()
        assert good == ((last[-1] in sentiment.GOOD) != ("not" in last))


def test_the_corpus_is_the_same_for_the_same_seed_and_holds_both_scripts():
    first = [next(source) for source in [corpus.documents(1)] for _ in range(300)]
    source = corpus.documents(1)
    assert first == [next(source) for _ in range(300)]
    text = "".join(part for one in first for part, _ in one)
    assert "instruction:" in text and "指令" in text


def test_the_shipped_data_is_what_the_generator_makes(tmp_path):
    make_data(tmp_path)
    shipped = EMBEDDED / "datasets" / "pocket"
    made = sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*.jsonl"))
    assert made == sorted(file.relative_to(shipped) for file in shipped.rglob("*.jsonl"))
    for file in made:
        assert (tmp_path / file).read_bytes() == (shipped / file).read_bytes()
