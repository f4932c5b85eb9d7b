"""Answer general requests in two scripts.

Out of domain: held-out nouns in lists, sentences with a place or a second object.
"""

from __future__ import annotations

from pytest_ftcompare.tasks.base import Source, Task
from pytest_ftcompare.tasks.pocket_instructions import example

TASK = Task(
    name="pocket_requests",
    labels=(),
    train=Source("pocket/requests", "train", example),
    test=Source("pocket/requests", "test", example),
    ood=Source("pocket/requests", "ood", example),
    text_template="{prompt}",
    pattern="{prompt}",
    generative=True,
)
