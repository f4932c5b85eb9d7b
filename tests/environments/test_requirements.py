"""A change keeps the build that is installed, and a file of constraints is read or refused."""

import pytest

from pytest_ftcompare.environments import requirements
from pytest_ftcompare.environments.installer import InstallError
from pytest_ftcompare.environments.lock import Lock
from pytest_ftcompare.environments.requirements import RequirementError, constrained_lock, resolve

HERE = Lock({"torch": "torch==2.13.0+cpu", "peft": "peft==0.21.2"})


class Index:
    """Resolves to the builds it has, the first one that a requirement allows."""

    def __init__(self, *builds):
        self.builds, self.asked = builds, []

    def resolve(self, lines):
        self.asked.append(list(lines))
        (build, *_) = [part for line in lines for part in [line.partition("+")[2]] if part] or [""]
        found = [each for each in self.builds if build in ("", each.partition("+")[2])]
        if not found:
            raise InstallError(f"no version satisfies {lines[-1]}.")
        return {"torch": f"torch=={found[0]}"}


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setattr(requirements, "installed_lock", lambda: HERE)


@pytest.mark.parametrize("other", ["2.12.0", "2.12.0+cu128"])
@pytest.mark.parametrize("asked", ["torch==2.12.0", "torch>=2.12", "transformers"])
def test_another_version_is_of_the_installed_build(asked, other):
    index = Index(other, "2.12.0+cpu")
    assert resolve([asked], index) == {"torch": "torch==2.12.0+cpu"}
    assert index.asked == [[asked], [asked, "torch==2.12.0+cpu"]]


def test_a_version_without_the_installed_build_is_refused():
    with pytest.raises(RequirementError) as error:
        resolve(["torch==2.12.0"], Index("2.12.0"))
    assert str(error.value) == (
        "the build +cpu of torch is installed, torch==2.12.0 is another one, and torch==2.12.0, "
        "torch==2.12.0+cpu does not resolve: no version satisfies torch==2.12.0+cpu: name the "
        "build that you want, such as torch==2.12.0+cu128, or torch===2.12.0 for the one without a "
        "name"
    )


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("torch==2.12.0+cu128", "torch==2.12.0+cu128"),
        ("torch===2.12.0", "torch==2.12.0"),
        ("torch==2.12.0", "torch==2.12.0+cpu"),
    ],
)
def test_a_build_that_is_named_or_installed_is_taken(asked, line):
    index = Index(line.removeprefix("torch=="))
    assert resolve([asked], index) == {"torch": line}
    assert index.asked == [[asked]]


@pytest.mark.parametrize("line", ["-e /code/torch", "torch @ https://files/torch.whl"])
def test_a_checkout_or_an_archive_is_no_build(line):
    class Direct:
        def resolve(self, lines):
            return {"torch": line}

    assert resolve(["torch"], Direct()) == {"torch": line}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"peft==1\n-e /code/peft\n", r"line 2: expected a requirement .*, got .-e /code/peft."),
        (b"# old\n\npeft=1\n", "line 3: expected a requirement such as"),
        (b"peft==1\n# caf\xe9\n", "line 2: expected UTF-8, got another encoding: save the file"),
    ],
)
def test_a_file_that_has_no_constraints_is_refused_by_its_line(tmp_path, content, sentence):
    file = tmp_path / "old.txt"
    file.write_bytes(content)
    with pytest.raises(RequirementError, match=rf"old\.txt, {sentence}"):
        constrained_lock(file, HERE, Index())


def test_constraints_keep_the_build_of_the_lock(tmp_path):
    file = tmp_path / "old.txt"
    file.write_text("torch==2.12.0\n")
    plain = Lock({"torch": "torch==2.13.0"})
    index = Index("2.12.0", "2.12.0+cpu")
    assert constrained_lock(file, HERE, index).lines["torch"] == "torch==2.12.0+cpu"
    assert constrained_lock(file, plain, index).lines["torch"] == "torch==2.12.0"
