"""Fixtures of the suites without baselines: random tiny models, and known upstream faults."""

import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_ftcompare.checks.tiny_models import TASKS
from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.results.case import Case

# In the expression of -m: grid, but not "not grid".
WANTS_GRID = re.compile(r"(?<!not )\bgrid\b")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "combinations(chosen, grid): methods, families, output modes of a check"
    )
    config.addinivalue_line("markers", "grid: all combinations of a check; run by -m grid only")


def pytest_generate_tests(metafunc):
    """Run a check on its chosen combinations; with `-m grid`, on all of them."""
    marker = metafunc.definition.get_closest_marker("combinations")
    if marker is None:
        return
    chosen, grid = marker.args
    assert {*chosen} <= {*grid}
    names = ("option", "method", "family", "output_mode")
    names = names[-len(grid[0]) :]
    if WANTS_GRID.search(metafunc.config.option.markexpr):
        metafunc.parametrize(names, [pytest.param(*each, marks=pytest.mark.grid) for each in grid])
    else:
        metafunc.parametrize(names, chosen)


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """Return the folder of the tiny models; each is made at its first use.

    Libraries are quiet and write no model cards.
    """
    from peft import PeftModel

    from pytest_ftcompare.training.library_logging import quiet

    quiet()
    # Compiling the model cards' template each time would double the time.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PeftModel, "create_or_update_model_card", lambda *_: None)
        yield tmp_path_factory.mktemp("hub")


@pytest.fixture
def prepared(hub):
    """Return a function that prepares a method on a family's tiny model, with case options."""
    from pytest_ftcompare.checks.tiny_models import save
    from pytest_ftcompare.training.config import TrainingConfig
    from pytest_ftcompare.training.prepare import prepare

    def make(method, family, output_mode, shots=4, **options):
        case_options = tuple(sorted({"output_mode": output_mode, **options}.items()))
        case = Case("tiny", method, TASKS[output_mode], save(family, hub), shots, case_options)
        return prepare(case, TrainingConfig("pocket", max_length=128, hub=hub))

    return make


@pytest.fixture(scope="session")
def environment():
    """Return the versions and the instruction set that records of known faults name."""
    import torch

    packages = ("torch", "transformers", "peft", "bitsandbytes")
    versions = {name: version(name) for name in packages if find_spec(name) is not None}
    # bitsandbytes asks the CPU, torch also its environment variables.
    cpu = Path("/proc/cpuinfo")
    has_avx512 = cpu.is_file() and "avx512f" in cpu.read_text()
    torch_set = torch.backends.cpu.get_cpu_capability()
    return versions | {"instruction set": "AVX512" if has_avx512 else torch_set}


@pytest.fixture
def fail_if_broken(environment):
    """Return a function that fails with a case's broken invariants.

    A break that a known upstream fault explains is an expected failure. Each fault of `faults`
    must show. A fault of `also` may show.
    """

    def fail(case, broken, faults, also=()):
        facts = known_faults.CaseFacts(
            case.method.name, case.method.output_mode, case.interface.config.model_type
        )
        unexplained, notes = known_faults.split_known_faults(broken, facts, environment, faults)
        unexplained, more = known_faults.split_known_faults(unexplained, facts, environment, also)
        notes += [note for note in more if note.startswith(known_faults.KNOWN_PREFIX)]
        failures = unexplained + [
            note for note in notes if note.startswith(known_faults.FIXED_PREFIX)
        ]
        if failures:
            pytest.fail("\n".join(failures), pytrace=False)
        if notes:
            pytest.xfail("\n".join(notes))

    return fail
