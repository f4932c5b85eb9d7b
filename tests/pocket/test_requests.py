"""Test requests and sums by independent rules; no split or base model has seen another's prompt."""

import random

import pytest

from pytest_ftcompare import tasks
from pytest_ftcompare.pocket import chinese, requests, sums, words
from pytest_ftcompare.pocket.grammar import HELD_OUT
from pytest_ftcompare.tasks.hub import locate, read_split
from scripts.tune_pocket import fresh_rows

SAMPLE = 300


def made(maker, shifted):
    rng = random.Random(5)
    return [maker(rng, shifted) for _ in range(SAMPLE)]


def rows(name, split):
    source = tasks.load(name).splits()[split]
    return list(read_split(locate("datasets", source.dataset, None), source.split))


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("maker", [requests._count, requests._chinese_count])
def test_a_count_is_the_number_of_words(maker, shifted):
    for one in made(maker, shifted):
        words_of = (
            one.input.replace("和", "，").split("，")
            if one.kind.startswith("zh")
            else one.input.split()
        )
        assert one.output == str(len(words_of))


@pytest.mark.parametrize("shifted", [False, True])
def test_the_odd_noun_is_of_another_kind_than_the_three_others(shifted):
    for one in made(requests._odd, shifted):
        kinds = [words.KINDS[each] for each in one.input.split()]
        assert kinds.count(words.KINDS[one.output]) == 1 and len(set(kinds)) == 2


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(
    ("maker", "place"),
    [(requests._who, "start"), (requests._what, "middle"), (requests._whom, "end")],
)
def test_a_part_of_a_sentence_stands_in_it_where_it_should(maker, place, shifted):
    verbs = {form for verb in words.TRANSITIVE for form in (verb.base, verb.third)}
    for one in made(maker, shifted):
        (verb,) = [each for each in one.input.split() if each in verbs]
        subject, rest = one.input.split(f" {verb} ")
        target = rest.removesuffix(" .").split(" in the ")[0]
        assert one.output == {"start": subject, "middle": verb, "end": target}[place]
        assert (" in the " in one.input) == shifted


@pytest.mark.parametrize("shifted", [False, True])
def test_the_parts_of_a_chinese_sentence_make_it(shifted):
    verbs = tuple(chinese.TRANSITIVE)
    makers = (requests._chinese_who, requests._chinese_what, requests._chinese_whom)
    for who, what, whom in zip(*(made(one, shifted) for one in makers), strict=True):
        assert who.input.startswith(who.output) and who.input[len(who.output) :].startswith(verbs)
        assert what.output in verbs and what.input.count(what.output) == 1
        verb = next(one for one in verbs if one in whom.input)
        nouns = whom.input.removesuffix("。").split(verb)[1].split("和")
        english = whom.output.split(" and ")
        assert len(nouns) == len(english) == 1 + shifted
        for phrase, translated in zip(nouns, english, strict=True):
            number, singular, plural = phrase[0], *chinese.NOUNS[phrase[2:]][1:3]
            assert (
                translated == f"{chinese.NUMBERS[number]} {singular if number == '一' else plural}"
            )


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("maker", sums.MAKERS)
def test_a_sum_is_right(maker, shifted):
    change = {"en-next": 1, "zh-next": 1, "en-left": -1, "zh-left": -1, "en-sum": 0}
    for one in made(maker, shifted):
        listed = (
            one.input.replace(" and ", " ").split()
            if one.kind.startswith("en")
            else one.input.split("，")
        )
        if one.kind == "en-kinds":
            kind = sums.KINDS[one.instruction.split()[2]]
            assert one.output == str([words.KINDS[each] for each in listed].count(kind))
        else:
            assert one.output == str(len(listed) + change[one.kind])


def test_held_out_words_occur_out_of_domain_only():
    held_out = {*HELD_OUT.animate, *HELD_OUT.things}
    for name in ("pocket_requests", "pocket_sums"):
        used = {
            split: {word for row in rows(name, split) for word in row["input"].split()}
            for split in ("train", "test", "ood")
        }
        assert not held_out & (used["train"] | used["test"])
        assert held_out & used["ood"]


@pytest.mark.parametrize("name", ["pocket_requests", "pocket_sums"])
def test_every_class_has_at_least_20_rows_in_every_split(name):
    kinds = {row["kind"] for row in rows(name, "train")}
    assert {one[:2] for one in kinds} == {"en", "zh"}
    for split in ("train", "test", "ood"):
        found = [row["kind"] for row in rows(name, split)]
        assert min(found.count(kind) for kind in kinds) >= 20


def test_the_instructed_base_has_not_seen_a_prompt_of_the_data_set():
    task = tasks.load("pocket_requests")
    taken = {
        one.fields["prompt"]
        for split in task.splits()
        for one in task.convert(split, rows("pocket_requests", split))
    }
    seen = {one.fields["prompt"] for one in fresh_rows(taken, 0)}
    assert not seen & taken
    free = {one.fields["prompt"] for one in fresh_rows(set(), 0)}
    # Without the rule it would have seen some.
    assert free & taken
