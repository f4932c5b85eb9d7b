"""A recorded upstream fault makes a broken invariant a note; a record is strict both ways."""

import re
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from pytest_ftcompare.compare.known_faults import (
    ACCUMULATION_FAULTS,
    FAULTS,
    FIXED_PREFIX,
    HOT_SWAP_FAULTS,
    KERNEL_FAULTS,
    KNOWN_PREFIX,
    LIFECYCLE_FAULTS,
    NOT_COMPARED_SUFFIX,
    OPTION_FAULTS,
    QUANTISATION_FAULTS,
    RECOMPUTATION_FAULTS,
    SLOW_FAULTS,
    CaseFacts,
    KnownFault,
    split_known_faults,
    why_kernels_differ,
)

ROOT = Path(__file__).parents[2]
FAULT = KnownFault(
    "peft",
    "<=0.21.2",
    "it must merge",
    "docs/upstream.md#3",
    methods=("vera",),
    output_modes=("head",),
    families=("roberta",),
)
HERE = CaseFacts("vera", "head", "roberta")
BROKEN = "it must merge into its base model, that raised AttributeError: no weight"


def test_a_recorded_fault_is_a_note_with_its_sentence_and_link():
    unexplained, (note,) = split_known_faults([BROKEN], HERE, {"peft": "0.21.2"}, [FAULT])
    assert unexplained == []
    assert note == f"{KNOWN_PREFIX} of peft <=0.21.2: {BROKEN} (docs/upstream.md#3)"


@pytest.mark.parametrize("version", ["0.21.3", "0.22.0", "0.22.0.dev0", "not installed"])
def test_outside_its_versions_the_fault_is_a_broken_invariant(version):
    assert split_known_faults([BROKEN], HERE, {"peft": version}, [FAULT]) == ([BROKEN], [])


@pytest.mark.parametrize(
    ("limits", "environment", "applies"),
    [
        ({"on_gpu": True}, {"device": "nvidia-h200"}, True),
        ({"on_gpu": True}, {"device": "cpu"}, False),
        ({"on_gpu": True}, {}, False),
        ({"instruction_set": "AVX512"}, {"instruction set": "AVX512"}, True),
        ({"instruction_set": "AVX512"}, {"instruction set": "AVX2"}, False),
    ],
)
def test_a_record_may_be_limited_to_gpus_or_an_instruction_set(limits, environment, applies):
    fault = replace(FAULT, **limits)
    assert fault.applies_to(HERE, {"peft": "0.21.2", **environment}) == applies


def test_without_the_packages_version_no_fault_is_explained():
    assert split_known_faults([BROKEN], HERE, {}, [FAULT]) == ([BROKEN], [])


@pytest.mark.parametrize(
    "other",
    [
        CaseFacts("lora", "head", "roberta"),
        CaseFacts("vera", "pattern", "roberta"),
        CaseFacts("vera", "head", "opt"),
    ],
)
def test_a_record_does_not_apply_to_another_case(other):
    assert split_known_faults([BROKEN], other, {"peft": "0.21.2"}, [FAULT]) == ([BROKEN], [])
    assert split_known_faults([], other, {"peft": "0.21.2"}, [FAULT]) == ([], [])


def test_a_note_asks_to_remove_a_fault_that_no_longer_shows():
    unexplained, (note,) = split_known_faults([], HERE, {"peft": "0.21.2"}, [FAULT])
    assert unexplained == []
    assert note.startswith(
        f"{FIXED_PREFIX}: peft 0.21.2 does not show the fault recorded for <=0.21.2"
    )
    assert "remove the record" in note


def test_beside_another_broken_invariant_a_fault_that_does_not_show_is_not_called_fixed():
    assert split_known_faults(["it must train"], HERE, {"peft": "0.21.2"}, [FAULT]) == (
        ["it must train"],
        [],
    )


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ("AVX512", "AVX2", True),
        ("DEFAULT", "AVX512", True),
        ("AVX512", "AVX512", False),
        ("AVX2", "DEFAULT", False),
    ],
)
def test_a_kernel_fault_separates_cpus_with_it_from_others(before, after, differs):
    (fault,) = KERNEL_FAULTS
    old, new = ({"bitsandbytes": "0.50.2", "instruction set": name} for name in (before, after))
    why = why_kernels_differ("qlora", old, new)
    assert bool(why) == differs
    assert why_kernels_differ("lora", old, new) == ""
    assert why_kernels_differ("qlora", old, new | {"bitsandbytes": "0.51.0"}) == ""
    assert not differs or (fault.link in why and why.endswith(NOT_COMPARED_SUFFIX))


@pytest.mark.parametrize(
    "fault",
    [
        *(*FAULTS, *SLOW_FAULTS, *LIFECYCLE_FAULTS, *KERNEL_FAULTS),
        *(*ACCUMULATION_FAULTS, *QUANTISATION_FAULTS, *RECOMPUTATION_FAULTS),
        *chain(*OPTION_FAULTS.values(), *HOT_SWAP_FAULTS.values()),
    ],
    ids=lambda fault: f"{fault.link.partition('#')[2]}: {fault.sentence[:30]}",
)
def test_a_record_is_valid_and_links_to_a_section(fault):
    SpecifierSet(fault.versions)
    document, _, anchor = fault.link.partition("#")
    titles = re.findall(r"^## (.+)$", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in [re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in titles]


@pytest.mark.parametrize(
    "fault", FAULTS + SLOW_FAULTS + LIFECYCLE_FAULTS, ids=lambda one: one.sentence[:40]
)
def test_a_record_begins_like_an_invariants_message(fault):
    names = ("invariants", "slow_invariants", "peft_adapters", "adapter_lifecycle")
    sources = "".join(
        (ROOT / "pytest_ftcompare" / "checks" / f"{name}.py").read_text(encoding="utf-8")
        for name in names
    )
    # Join strings that are split over lines.
    sources = re.sub(r'"\s*\n\s*f?"', "", sources)
    check, refused, raised = fault.sentence.partition(" must work or be refused")
    if refused:  # an error inside a check: the sentence begins with the check's name
        assert f'"{check}": ' in sources and raised.startswith(", it raised ")
        return
    start = re.sub(r"(that|it) raised .*", r"\1 raised", fault.sentence).strip()
    # A message may name the operation first.
    assert start in sources or re.sub(r"^\S+ ", "{operation} ", start) in sources


@pytest.mark.parametrize(
    ("version", "loss", "norm"),
    [("5.1.0", True, True), ("5.2.0", True, False), ("5.5.3", True, False), ("5.5.4", True, True)],
)
def test_a_fault_that_comes_and_goes_is_recorded_by_intervals(version, loss, norm):
    facts = CaseFacts("full", "head", "llama")
    applies = [fault.applies_to(facts, {"transformers": version}) for fault in ACCUMULATION_FAULTS]
    assert applies == [loss, norm]
