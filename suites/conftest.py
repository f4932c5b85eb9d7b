"""What the suites without baselines share: random tiny models, methods made ready on them, known upstream faults explained."""

from importlib.metadata import version

import pytest

from pytest_ftcompare.checks.tiny_models import TASKS
from pytest_ftcompare.compare import known_faults
from pytest_ftcompare.results.case import Case


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """The folder of the tiny models, each made when it is first needed; libraries are quiet and write no model cards."""
    from peft import PeftModel

    from pytest_ftcompare.training.library_logging import quiet

    quiet()
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # their template, compiled anew for each, takes as long as all else
        patch.setattr(PeftModel, "create_or_update_model_card", lambda *_: None)
        yield tmp_path_factory.mktemp("hub")


@pytest.fixture
def prepared(hub):
    """Makes a method ready on a family's tiny model, with the options of a case."""
    from pytest_ftcompare.checks.tiny_models import save
    from pytest_ftcompare.training.config import TrainingConfig
    from pytest_ftcompare.training.prepare import prepare

    def make(method, family, output_mode, shots=4, **options):
        chosen = tuple(sorted({"output_mode": output_mode, **options}.items()))
        case = Case("tiny", method, TASKS[output_mode], save(family, hub), shots, chosen)
        return prepare(case, TrainingConfig("pocket", max_length=128, hub=hub))

    return make


@pytest.fixture
def hold():
    """Fails with what is broken in a case; what a record of a known upstream fault explains is an expected failure."""

    def held(case, broken, faults):
        facts = known_faults.CaseFacts(
            case.method.name, case.method.output_mode, case.interface.config.model_type
        )
        installed = {name: version(name) for name in ("torch", "transformers", "peft")}
        unexplained, notes = known_faults.split_known_faults(broken, facts, installed, faults)
        wrong = unexplained + [one for one in notes if one.startswith(known_faults.FIXED_PREFIX)]
        if wrong:
            pytest.fail("\n".join(wrong), pytrace=False)
        if notes:
            pytest.xfail("\n".join(notes))

    return held
