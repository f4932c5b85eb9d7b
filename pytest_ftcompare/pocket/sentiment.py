"""Sentiment of short reviews: what was good, what was bad, negation and "but"."""

from __future__ import annotations

from pytest_ftcompare.pocket.grammar import Rng, join

SUBJECTS = ("soup", "bread", "music", "room", "film", "story", "service", "play", "song", "coffee")
GOOD = ("wonderful", "good", "lovely", "excellent", "pleasant", "warm")
BAD = ("terrible", "bad", "boring", "awful", "poor", "cold")
HELD_OUT_SUBJECTS = ("concert", "garden", "picture", "tour")
HELD_OUT_GOOD = ("delightful", "charming", "superb")
HELD_OUT_BAD = ("dreadful", "dull", "horrible")

Review = tuple[str, bool]


def _opinion(rng: Rng, good: bool, held_out: bool) -> str:
    """ "the soup was (not | very) ..." with the stated polarity."""
    subject = rng.choice(HELD_OUT_SUBJECTS if held_out else SUBJECTS)
    negated = rng.random() < 0.35
    pool = (
        (HELD_OUT_GOOD if held_out else GOOD)
        if good != negated
        else (HELD_OUT_BAD if held_out else BAD)
    )
    degree = "not" if negated else rng.choice(("", "very", "really"))
    return join("the", subject, "was", degree, rng.choice(pool))


def review(rng: Rng) -> Review:
    """In domain: one opinion, or two with "but", of which the second counts."""
    good = rng.random() < 0.5
    last = _opinion(rng, good, False)
    if rng.random() < 0.4:
        return join(_opinion(rng, not good, False), "but", last), good
    return last, good


def shifted_review(rng: Rng) -> Review:
    """Out of domain: held-out words, and "although", after which the *first* opinion does not count."""
    good = rng.random() < 0.5
    last = _opinion(rng, good, True)
    draw = rng.random()
    if draw < 0.3:
        return join("although", _opinion(rng, not good, True), ",", last), good
    if draw < 0.5:
        return join(last, "although", _opinion(rng, not good, True)), good
    return last, good
