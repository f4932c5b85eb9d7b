"""Bad input: one clear sentence, exit status 1 (or 4 for usage), nothing lost."""

import signal

import pytest
from safetensors.torch import load_file, save_file

from pytest_ftcompare import methods
from pytest_ftcompare.checks import tiny_models
from pytest_ftcompare.gate import torch_case

KILLED = """
import os, signal

def pytest_runtest_logstart(nodeid):
    if "icl" in nodeid:  # the case before it is accepted
        os.kill(os.getpid(), signal.SIGKILL)
"""


def says(result, *patterns):
    result.stdout.fnmatch_lines([f"*{pattern}*" for pattern in patterns])
    result.stdout.no_fnmatch_line("*Traceback (most recent call last)*")
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


BROKEN_FILES = {
    "half a file": (r"(?s)\A(.{300}).*", r"\1", "is not JSON*may be half a file*"),
    "merge conflict": (
        r"(?s)\A(.*)",
        r"<<<<<<< ours\n\1>>>>>>> theirs\n",
        "merge-conflict markers*",
    ),
    "newer schema": (r'"schema": 1', '"schema": 2', "newer schema than 1*"),
    "another case": (r'"id": "full', '"id": "else', "found that of else-pocket_sst*"),
}


def test_a_broken_baseline_fails_its_case_and_an_update_replaces_it(shell):
    shell.update(seeds=1)
    for pattern, replacement, sentence in BROKEN_FILES.values():
        shell.edit(pattern, replacement)
        result = shell.run()
        assert result.ret == 1
        says(result, f"*{sentence}*", "*1 case: 1 invalid.*")
        shell.update(seeds=1)
        assert shell.files()[0].read_text().startswith("{\n"), sentence
    assert shell.run().ret == 0


@pytest.mark.parametrize(("judge_accuracy", "status"), [(True, 1), (False, 0)])
def test_a_baseline_of_another_experiment_is_incomparable_and_fails_the_session(
    shell, judge_accuracy, status
):
    shell.suite(shots=(16,), extra="judge_accuracy=False")
    shell.update()
    shell.suite(shots=(16,), extra=f"judge_accuracy={judge_accuracy}")
    shell.edit(r'"fingerprint": "\w+"', '"fingerprint": "0"')
    result = shell.run()
    says(result, "*1 case: 1 incomparable.*")
    assert result.ret == status
    if status:
        says(result, "*1 of 1 cases could not be compared: too many to pass.*")


def test_a_broken_baseline_does_not_affect_other_cases(shell):
    shell.suite(methods=("full", "icl"))
    shell.update()
    shell.files()[0].write_text("{")
    result = shell.run()
    result.assert_outcomes(failed=1, passed=1)
    says(result, "*2 cases: 1 same, 1 invalid.*")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"methods": ("lorra",)},
            "no method is called 'lorra': expected one of full, *Did you mean 'lora'?",
        ),
        (
            {"tasks": ("pocket_kola",)},
            "no task is called 'pocket_kola': *Did you mean 'pocket_cola'?",
        ),
        ({"shots": (0,)}, "shots: expected a number of at least 1, got 0"),
        ({"extra": "epochs=3"}, "the marker ftcompare does not know epochs"),
    ],
)
def test_a_table_with_a_wrong_name_is_an_error_at_collection(shell, change, sentence):
    shell.suite(**change)
    result = shell.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    says(result, sentence)


def test_a_test_without_a_table_fails_with_the_marker_to_add(shell):
    shell.pytester.makepyfile(test_quick="def test_quick(gate): gate()")
    says(
        shell.run(), "*test_quick has no table: expected @pytest.mark.ftcompare(methods=..., ...)*"
    )


def test_a_projects_own_fixture_called_gate_is_left_alone(shell):
    shell.pytester.makepyfile(
        test_quick="""
        import pytest

        @pytest.fixture
        def gate():
            return 1

        def test_quick(gate):
            assert gate == 1
        """
    )
    shell.run().assert_outcomes(passed=1)


def test_an_option_that_a_method_lacks_is_named(shell):
    shell.suite(extra="options={'rank': 3}")
    says(
        shell.run(), "*the method full has no option 'rank': expected one of batch_size, epochs, *"
    )


def test_more_shots_than_rows_is_one_sentence(shell):
    shell.suite(shots=(5000,))
    says(
        shell.run(),
        "*expected at least 5000 training rows of class 'negative', found *, or ask for fewer*",
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--ftcompare-profile=pockt",),
            "no profile is called 'pockt': expected one of pocket, pocket-full, local, *",
        ),
        (
            ("--ftcompare-profile=local",),
            "the profile local reads models and data from a folder*--ftcompare-hub=DIR",
        ),
        (
            ("--ftcompare-profile=local", "--ftcompare-hub=/nowhere"),
            "expected a folder with models/ or datasets/*",
        ),
        (("--ftcompare-seeds=0",), "--ftcompare-seeds: expected a number of at least 1, got 0"),
        (("--ftcompare-device=tpu",), "--ftcompare-device: expected cpu, cuda or auto, got 'tpu'"),
    ],
)
def test_a_wrong_option_is_a_usage_error_before_anything_runs(shell, arguments, sentence):
    result = shell.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{sentence}*"])


def test_a_hub_folder_without_the_model_names_it_and_how_to_fetch_it(shell):
    (shell.pytester.path / "hub" / "models").mkdir(parents=True)
    shell.pytester.makepyfile(
        test_quick="""
        import pytest

        @pytest.mark.ftcompare(methods=("full",), tasks=("cola",), shots=(2,))
        def test_quick(gate):
            gate()
        """
    )
    result = shell.run(
        "--ftcompare-profile=local", f"--ftcompare-hub={shell.pytester.path / 'hub'}"
    )
    assert result.ret == 1
    says(
        result,
        "*expected the model HuggingFaceTB/SmolLM2-135M-Instruct in*hf download*--repo-type model*",
    )


ADAPTER_CONFIG = """{"peft_type": "LORA", "peft_version": "9.0", "new_key": 1,
"base_model_name_or_path": "/home/alice/base"}"""


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("adapter", "*without an adapter in *tiny/llama, it has adapter_config.json (saved by*"),
        ("NaN", "*expected finite numbers in the model *tiny/llama, lm_head.weight has NaN: fetch"),
    ],
)
def test_a_base_model_that_is_not_whole_is_refused_before_training(
    shell, monkeypatch, broken, sentence
):
    hub = shell.pytester.path / "hub"
    path = hub / "models" / tiny_models.save("llama", hub)
    if broken == "adapter":
        (path / "adapter_config.json").write_text(ADAPTER_CONFIG)
    else:
        weights = load_file(path / "model.safetensors")
        weights["lm_head.weight"][0, 0] = float("nan")
        save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    shell.suite(methods=("icl",), extra="judge_accuracy=False")
    source = (shell.pytester.path / "test_quick.py").read_text()
    (shell.pytester.path / "test_quick.py").write_text(
        source.replace("pocket/opt-0.4m", "tiny/llama")
    )
    monkeypatch.setattr(torch_case, "run_seed", lambda *_: pytest.fail("it trained"))
    result = shell.run(f"--ftcompare-hub={hub}", "--update-baselines", "--ftcompare-seeds=1")
    assert result.ret == 1
    says(result, sentence, "*1 case: 1 invalid.*")
    assert shell.files() == []


def test_a_method_file_that_raises_is_one_sentence(shell, monkeypatch):
    def broken(name):
        raise methods.MethodFileError(
            f"methods/{name}.py could not be loaded: ValueError: no such layer"
        )

    monkeypatch.setattr(methods, "load", broken)
    says(shell.run(), "*methods/full.py could not be loaded: ValueError: no such layer*")


def test_a_method_that_raises_while_it_trains_keeps_its_traceback_and_counts_as_invalid(
    shell, monkeypatch
):
    def broken(*_):
        raise ValueError("no such layer")

    monkeypatch.setattr(methods.load("full"), "apply", broken)
    result = shell.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E * ValueError: no such layer", "*1 case: 1 invalid.*"])


def test_a_loss_that_is_not_finite_names_step_and_seed(shell):
    shell.suite(shots=(8,), extra="options={'lr': 1e30, 'max_grad_norm': 1e30}")
    says(
        shell.run(),
        "*expected a finite loss and gradient norm, got * at step * (seed 0): "
        "lower the learning rate*",
    )


def test_a_read_only_baseline_folder_is_an_error_before_training(shell):
    shell.baselines.write_text("a file where the folder should be")
    result = shell.run("--update-baselines")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--update-baselines writes into *, which cannot be written*"])


def test_an_update_that_is_interrupted_leaves_every_baseline_as_it_was(shell):
    shell.update(seeds=2)
    before = {file.name: file.read_bytes() for file in shell.files()}
    # Ctrl-C after the first case was accepted. A signal could arrive at an instruction without a
    # line number, which pytest on Python 3.11 fails to format.
    source = (shell.pytester.path / "test_quick.py").read_text()
    (shell.pytester.path / "test_quick.py").write_text(
        f"{source}\ndef test_then():\n    raise KeyboardInterrupt\n"
    )
    result = shell.pytester.runpytest_subprocess(
        *shell.plugin, "--update-baselines", "--ftcompare-seeds=3"
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*Interrupted: no baseline was written.*"])
    assert {file.name: file.read_bytes() for file in shell.files()} == before


def test_an_update_that_is_killed_leaves_every_baseline_as_it_was(shell):
    shell.suite(methods=("full", "icl"))
    shell.update(seeds=2)
    before = {file.name: file.read_bytes() for file in shell.files()}
    shell.pytester.makeconftest(KILLED)
    assert (
        shell.pytester.runpytest_subprocess(*shell.plugin, "--update-baselines").ret
        == -signal.SIGKILL
    )
    assert {file.name: file.read_bytes() for file in shell.files()} == before


def test_two_tests_that_would_share_a_baseline_are_refused(shell):
    shell.pytester.mkdir("more")
    source = (shell.pytester.path / "test_quick.py").read_text()
    (shell.pytester.path / "more" / "test_quick.py").write_text(source)
    result = shell.run("--import-mode=importlib", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    sentence = "*have the same baseline, quick/full-pocket_sst-opt-0.4m-n2-epochs=2.json: rename*"
    result.stderr.fnmatch_lines([sentence])
    result = shell.run("--import-mode=importlib", "-n1")
    assert result.ret != 0
    result.stdout.fnmatch_lines([sentence])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_test_that_fails_after_its_gate_accepts_nothing(shell):
    source = (shell.pytester.path / "test_quick.py").read_text()
    (shell.pytester.path / "test_quick.py").write_text(
        source.replace("gate()", "gate()\n    assert False")
    )
    result = shell.run("--update-baselines", "--ftcompare-seeds=1")
    assert result.ret == 1
    assert shell.files() == []


def test_an_expected_failure_is_left_to_pytest(shell):
    source = (shell.pytester.path / "test_quick.py").read_text()
    (shell.pytester.path / "test_quick.py").write_text(
        source.replace("def test_quick", "@pytest.mark.xfail\ndef test_quick")
    )
    shell.run().assert_outcomes(xfailed=1)


def test_the_suggested_command_repeats_the_runs_options(shell):
    shell.run("--ftcompare-threads=2").stdout.fnmatch_lines(
        ["*pytest --ftcompare-threads=2 --ftcompare-window=0.0 --update-baselines 'test_quick.py*"]
    )


def test_an_output_mode_that_a_method_lacks_is_refused_at_collection(shell):
    shell.suite(methods=("pbft",), extra='options={"output_mode": "head"}')
    result = shell.run("--collect-only")
    assert result.ret == 2
    says(result, "*pbft has no output mode 'head': expected output_mode='pattern' in its options*")


def test_a_task_that_does_not_fit_the_output_mode_is_refused_at_collection(shell):
    for method, task, extra, sentence in (
        (
            "icl",
            "pocket_ner",
            "shots=(2,)",
            "icl on pocket_ner: expected a task with one label per row",
        ),
        (
            "full",
            "pocket_instructions",
            "shots=(2,)",
            "full on pocket_instructions: expected another output_mode than 'head'",
        ),
        (
            "lora",
            "pocket_sst",
            'options={"output_mode": "answer"}',
            "lora on pocket_sst: expected another output_mode than 'answer'",
        ),
    ):
        extra = extra if "options" in extra else "judge_accuracy=False"
        shell.suite(methods=(method,), tasks=(task,), extra=extra)
        result = shell.run("--collect-only")
        assert result.ret == 2
        says(result, f"*{sentence}*")


def test_a_method_with_another_output_mode_is_another_case(shell):
    shell.suite(
        methods=("lora",),
        extra='options={"output_mode": "pattern", "epochs": 1}, judge_accuracy=False',
    )
    shell.update(seeds=1)
    (file,) = shell.files()
    assert file.stem == "lora-pocket_sst-opt-0.4m-n2-epochs=1-output_mode=pattern"
    assert shell.run().ret == 0


def test_a_method_that_refuses_its_options_is_one_sentence_and_invalid(shell):
    shell.suite(methods=("lora",), extra='options={"r": 0}, judge_accuracy=False')
    result = shell.run()
    assert result.ret == 1
    says(result, "*lora: expected r to be a whole number of at least 1, got 0*", "*1 invalid*")
