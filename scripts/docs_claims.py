"""Make docs/claims.md from the baselines of claims.

python -m scripts.docs_claims baselines/cpu > docs/claims.md
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pytest_ftcompare.results import baseline_store
from pytest_ftcompare.results.claim_record import OUTCOMES, ClaimRecord

HEAD = """# Claims

Each claim is a study's statement about how methods relate, tested by `suites/test_claims.py`.
A claim is *reproduced* if the 95 % interval of its estimate lies wholly in the range that the study
states, *contradicted* if it lies wholly outside, else *undecided*. The interval is over seeds (t,
paired by seed, tasks with equal weight), or over rounds of two pieces of work timed in turn. Counts
have no interval.

The profiles' models and tasks are small, so an outcome describes this setting only. The gate fails
if an outcome *changes*, not if a study disagrees. A change to or from *undecided* is only noted
while both estimates lie within four of their joint standard errors. These pages compare the
studies' reports with these results: [few-shot](studies/few-shot.md),
[the catalogue](studies/peft-methods.md), [instruction tuning](studies/instruction-tuning.md).

Generated from the baselines, {device}."""
STUDIES = {
    "few-shot": "Few-shot",
    "peft-methods": "The catalogue",
    "instruction-tuning": "Instruction tuning",
}


def read(folder: Path) -> dict[str, list[ClaimRecord]]:
    """Return the claims' baselines of one device by profile, ordered by study and name."""
    by_profile: dict[str, list[ClaimRecord]] = {}
    for path in sorted(folder.glob(f"{baseline_store.CLAIMS}/*/*.json")):
        if (record := baseline_store.read_claim(path, path.stem)) is not None:
            by_profile.setdefault(record.profile, []).append(record)
    order = list(STUDIES)
    return {
        profile: sorted(records, key=lambda record: (order.index(record.study), record.name))
        for profile, records in by_profile.items()
    }


def page(folder: Path) -> Iterator[str]:
    """Return the lines of docs/claims.md."""
    yield HEAD.format(device=f"device `{folder.name}`")
    for profile, records in read(folder).items():
        counts = Counter(record.outcome for record in records)
        words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
        yield ""
        yield f"## Profile `{profile}`: {len(records)} claims, {words}"
        for study, group in groupby(records, key=lambda record: record.study):
            yield ""
            yield f"### {STUDIES[study]}"
            yield ""
            yield from table(list(group))


def table(records: Sequence[ClaimRecord]) -> Iterator[str]:
    """Return claims as a Markdown table."""
    yield "| claim | source | statistic | outcome | estimate ± SE | n |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for record in records:
        estimate = record.estimate
        name = f'<a id="{record.name}"></a>`{record.name}`: {record.statement}'
        n = "counted" if estimate.error == 0 and estimate.n == 1 else str(estimate.n)
        cells = (name, record.source, record.statistic, record.outcome, str(estimate), n)
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(page(Path(sys.argv[1]))))
