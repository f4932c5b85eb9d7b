"""Generate the sentiment of short reviews: what was good or bad, negation and "but".

`corpus.py` and `data.py` call this.
"""

from __future__ import annotations

from pytest_ftcompare.pocket.grammar import Rng, join

SUBJECTS = ("soup", "bread", "music", "room", "film", "story", "service", "play", "song", "coffee")
GOOD = ("wonderful", "good", "lovely", "excellent", "pleasant", "warm")
BAD = ("terrible", "bad", "boring", "awful", "poor", "cold")
HELD_OUT_SUBJECTS = ("concert", "garden", "picture", "tour")
HELD_OUT_GOOD = ("delightful", "charming", "superb")
HELD_OUT_BAD = ("dreadful", "dull", "horrible")

Review = tuple[str, bool]  # text, and whether it is positive


def _opinion(rng: Rng, good: bool, held_out: bool) -> str:
    """Return "the soup was (not | very) ..." with the stated polarity."""
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
    """Return an in-domain review: one opinion, or two with "but"; the second counts."""
    good = rng.random() < 0.5
    last = _opinion(rng, good, False)
    if rng.random() < 0.4:
        return join(_opinion(rng, not good, False), "but", last), good
    return last, good


def shifted_review(rng: Rng) -> Review:
    """Return an out-of-domain review: held-out words; an "although" opinion does not count."""
    good = rng.random() < 0.5
    last = _opinion(rng, good, True)
    draw = rng.random()
    if draw < 0.3:
        return join("although", _opinion(rng, not good, True), ",", last), good
    if draw < 0.5:
        return join(last, "although", _opinion(rng, not good, True)), good
    return last, good
