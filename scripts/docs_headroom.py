"""Make docs/headroom.md: each baseline's distance from chance and from the ceiling.

Run `python -m scripts.docs_headroom baselines/cpu > docs/headroom.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_ftcompare.compare.audit import CEILING, MIN_ABOVE_MAJORITY, audit_headroom
from pytest_ftcompare.results.result import Result
from scripts.mean_and_sd import mean_and_sd

POINTS = 100 * MIN_ABOVE_MAJORITY
MOST = f"{CEILING:.0%}"
HEAD = f"""# Headroom

A case at chance or at the ceiling cannot show a loss and guards nothing. A judged case's mean
accuracy in domain must be at least {POINTS:.0f} points above its majority share, and
at most {MOST}. `--update-baselines` refuses other cases. The table shows mean and SD over the
seeds of each baseline:

| suite | case | seeds | majority share | in domain | out of domain | audit |
| --- | --- | --- | --- | --- | --- | --- |"""


def table(folder: Path) -> Iterator[str]:
    """Yield the page's lines from all baselines of one device."""
    yield HEAD
    for file in sorted(folder.glob("*/*.json")):
        result = Result.from_json(file.read_text(encoding="utf-8"))
        cells = [
            result.suite,
            f"`{result.id}`",
            str(len(result.seed_results)),
            f"{result.majority_share['test']:.1%}",
        ]
        for name in ("accuracy", "accuracy_ood"):
            scores = [
                seed_result.metrics[name]
                for seed_result in result.seed_results
                if name in seed_result.metrics
            ]
            cells.append(mean_and_sd(scores) if scores else "")
        cells.append(
            "; ".join(audit_headroom(result)) or "passed" if result.judge_accuracy else "not judged"
        )
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(table(Path(sys.argv[1]))))
