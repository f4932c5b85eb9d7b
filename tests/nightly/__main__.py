"""Rehearse nights with the recipes' own epochs, and print what each run and the issue say.

`python -m tests.nightly [FOLDER]` keeps the checkout, the runner and the artifacts in FOLDER.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.nightly.rehearsal import FAULT, WHOLE, Rehearsal
from tests.nightly.runner import Run


def nights(rehearsal: Rehearsal) -> Iterator[tuple[str, bool, Run]]:
    """Yield each run's title, whether it should pass, and the run."""
    yield "the first night", True, rehearsal.make_baselines()
    yield "nothing changed", True, rehearsal.runner.run()
    rehearsal.upgrade_peft(FAULT)
    yield "an upgrade with a fault", False, rehearsal.runner.run()
    rehearsal.edit("methods/bitfit.py", "lr=1e-3", "lr=1e-5")
    yield "another fault, in a method", False, rehearsal.runner.run()
    rehearsal.git("revert", "--no-edit", "HEAD", "HEAD~1")
    model = rehearsal.folder / "hub" / "models" / "facebook" / "opt-350m"
    shutil.move(model, rehearsal.folder / "taken")
    yield "a model is missing", False, rehearsal.runner.run()
    shutil.move(rehearsal.folder / "taken", model)
    rehearsal.kill_the_next_run()
    yield "repaired, and killed once", True, rehearsal.runner.run()


def main() -> None:
    """Run all nights; exit with status 1 if one did not end as it should."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()).resolve()
    rehearsal, wrong = Rehearsal(folder, WHOLE), []
    began = time.monotonic()
    for title, passes, run in nights(rehearsal):
        seconds, began = time.monotonic() - began, time.monotonic()
        print(f"\n######## {title}: {seconds:.0f} s, passed: {run.succeeded}", flush=True)
        print(
            "\n".join(f"#### {step}\n{output}" for step, output in run.output.items()), flush=True
        )
        wrong += [title] if run.succeeded is not passes else []
    for issue in rehearsal.github_state()["issues"]:
        print(f"\n######## the issue, {issue['state']}")
        print(*issue["texts"], sep="\n-------- comment\n")
    sys.exit(f"ended otherwise: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
