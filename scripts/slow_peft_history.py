"""Make a git repository of peft in which one commit costs time alone, for `bisect` to find.

`python -m scripts.slow_peft_history FOLDER` copies the installed peft into a new repository of 12
commits. The 8th reads a signature several times in LoRA's forward pass, which takes time in Python
and changes no tensor, operation or allocation. It prints the first, the slow and the last commit.
`docs/bisections/README.md` has the search.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

COMMITS = 12
SLOW_COMMIT = 8
# Times that each LoRA layer reads a signature in the slow commit; chosen: an update of the pocket
# model by LoRA takes about a tenth longer (docs/bisections/README.md). Raising it makes the failure
# larger.
READINGS = 12
LAYER = Path("peft/tuners/lora/layer.py")
# The forward pass of a linear layer with LoRA starts with these lines.
CLASS = "class Linear(nn.Module, LoraLayer):"
FORWARD = "    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:\n"
SLOW_LINES = f"""\
        for _ in range({READINGS}):
            inspect.signature(self.base_layer.forward)
"""
IMPORT = "import copy\n"
# The dates and the author are fixed, so that two repositories of one peft have the same commits.
DATE = "2026-01-{day:02d}T12:00:00+00:00"
AUTHOR = ("-c", "user.name=ftcompare", "-c", "user.email=ftcompare@localhost")


def project_file(name: str = "peft") -> str:
    """Return a pyproject.toml with the version and the requirements of the installed package."""
    installed = distribution(name)
    required = [line for line in installed.requires or () if "extra ==" not in line]
    return f"""\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "{installed.version}"
dependencies = {required}

[tool.setuptools.packages.find]
include = ["{name}*"]
"""


def slowed(source: str) -> str:
    """Return the layer's source with the slow lines; raise `ValueError` if it has no such place."""
    before, found, after = source.partition(CLASS)
    if not found or FORWARD not in after or IMPORT not in before:
        raise ValueError(f"expected {CLASS} with {FORWARD.strip()} in {LAYER}: adapt this script")
    before = before.replace(IMPORT, f"{IMPORT}import inspect\n", 1)
    return before + found + after.replace(FORWARD, FORWARD + SLOW_LINES, 1)


def _git(folder: Path, *arguments: str, day: int = 1) -> str:
    date = DATE.format(day=day)
    done = subprocess.run(
        ["git", "-C", str(folder), *AUTHOR, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
    )
    return done.stdout.strip()


def make(folder: Path) -> list[str]:
    """Make the repository in a new folder, and return its commits."""
    folder.mkdir(parents=True)
    installed = distribution("peft")
    for file in installed.files or ():
        if file.parts[0] == "peft" and file.suffix != ".pyc":
            place = folder / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_binary())
    (folder / "pyproject.toml").write_text(project_file(), encoding="utf-8")
    _git(folder, "init", "--quiet", "--initial-branch=main")
    layer = folder / LAYER
    commits = []
    for number in range(1, COMMITS + 1):
        source = layer.read_text(encoding="utf-8")
        if number == SLOW_COMMIT:
            source = slowed(source)
        # Each commit changes code that LoRA's cases run, or its times could not be judged.
        source = source.replace(f"REVISION = {number - 1}\n", "") + f"REVISION = {number}\n"
        layer.write_text(source, encoding="utf-8")
        _git(folder, "add", "--all")
        _git(folder, "commit", "--quiet", f"--message=Revision {number}", day=number)
        commits.append(_git(folder, "rev-parse", "HEAD"))
    return commits


def main(folder: Path) -> None:
    """Make the repository and print its commits that matter."""
    commits = make(folder)
    slow = commits[SLOW_COMMIT - 1]
    print(f"first {commits[0][:10]}, slow {slow[:10]}, last {commits[-1][:10]} in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or Path(sys.argv[1]).exists():
        sys.exit("usage: python -m scripts.slow_peft_history FOLDER, which must not exist")
    main(Path(sys.argv[1]))
