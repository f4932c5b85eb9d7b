"""Define the lexicon of the pocket language: a slice of English that a model learns in minutes.

`grammar.py` and the generators of the tasks use it. Held-out words never occur in labelled
pre-training text or in a training split. They occur in unlabelled pre-training text and in the
out-of-domain test sets.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """The five forms of a verb: they run, it runs, it ran, it has run, it is running."""

    base: str
    third: str
    past: str
    participle: str
    gerund: str


def _regular(base: str) -> Verb:
    """Return a regular verb. Final e and y are handled; a doubled consonant needs a `Verb`."""
    stem = base[:-1] if base.endswith("e") else base
    if base.endswith("y") and base[-2] not in "aeiou":
        return Verb(base, f"{base[:-1]}ies", f"{base[:-1]}ied", f"{base[:-1]}ied", f"{base}ing")
    third = f"{base}es" if base.endswith(("sh", "ch", "ss")) else f"{base}s"
    return Verb(base, third, f"{stem}ed", f"{stem}ed", f"{stem}ing")


def _verbs(names: str) -> tuple[Verb, ...]:
    return tuple(_regular(name) for name in names.split())


def _nouns(names: str) -> dict[str, str]:
    """Return the plural of each singular."""

    def plural(noun: str) -> str:
        if noun.endswith(("x", "ch", "sh", "ss")):
            return f"{noun}es"
        if noun.endswith("f"):
            return f"{noun[:-1]}ves"
        return f"{noun}s"

    return {noun: plural(noun) for noun in names.split()}


PEOPLE = _nouns("doctor teacher farmer pilot singer lawyer student baker poet nurse judge king")
ANIMALS = _nouns("dog cat horse bird fox rabbit bear goat")
THINGS = _nouns("book letter box cup chair lamp key coin picture hat")
HELD_OUT_PEOPLE = _nouns("senator sailor banker chef soldier dancer")
HELD_OUT_ANIMALS = _nouns("wolf duck camel lion")
HELD_OUT_THINGS = _nouns("ticket basket drum knife bottle")
PLURAL = PEOPLE | ANIMALS | THINGS | HELD_OUT_PEOPLE | HELD_OUT_ANIMALS | HELD_OUT_THINGS

PLACES = ["garden", "house", "park", "school", "market", "kitchen", "forest", "village"]

INTRANSITIVE = (
    *_verbs("laugh wait cough smile arrive dance"),
    Verb("sleep", "sleeps", "slept", "slept", "sleeping"),
    Verb("run", "runs", "ran", "run", "running"),
    Verb("fall", "falls", "fell", "fallen", "falling"),
)
TRANSITIVE = (
    *_verbs("chase admire help push follow ignore thank watch visit call"),
    Verb("see", "sees", "saw", "seen", "seeing"),
    Verb("find", "finds", "found", "found", "finding"),
)
HELD_OUT_INTRANSITIVE = _verbs("stumble yawn")
HELD_OUT_TRANSITIVE = _verbs("greet touch warn")
DITRANSITIVE = (
    _regular("show"),
    Verb("give", "gives", "gave", "given", "giving"),
    Verb("send", "sends", "sent", "sent", "sending"),
)
# Take "that", never "whether".
SAYING = (
    _regular("claim"),
    Verb("think", "thinks", "thought", "thought", "thinking"),
    Verb("say", "says", "said", "said", "saying"),
)
ASKING = (_regular("wonder"), _regular("ask"))  # take "whether"

OPPOSITES = {
    "tall": "short",
    "happy": "sad",
    "old": "young",
    "rich": "poor",
    "fast": "slow",
    "clean": "dirty",
    "strong": "weak",
    "loud": "quiet",
}
OPPOSITES |= {second: first for first, second in OPPOSITES.items()}
ADJECTIVES = tuple(OPPOSITES)
HELD_OUT_ADJECTIVES = ("brave", "gentle", "famous")
ADVERBS = ("quickly", "quietly", "often", "never", "always")
PREPOSITIONS = ("near", "behind", "beside", "with")

KINDS = dict.fromkeys((*PEOPLE, *HELD_OUT_PEOPLE), "person")
KINDS |= dict.fromkeys((*ANIMALS, *HELD_OUT_ANIMALS), "animal")
KINDS |= dict.fromkeys((*THINGS, *HELD_OUT_THINGS), "thing")
KIND_PLURAL = {"person": "people", "animal": "animals", "thing": "things"}
