"""A broken invariant that is recorded as a library's fault is a note; the record is strict on both sides."""

import re
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from pytest_ftcompare.compare.known_faults import (
    SLOW_FAULTS,
    FAULTS,
    KERNEL_FAULTS,
    KNOWN_PREFIX,
    FIXED_PREFIX,
    NOT_COMPARED_SUFFIX,
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


def test_where_the_package_is_not_recorded_nothing_is_explained():
    assert split_known_faults([BROKEN], HERE, {}, [FAULT]) == ([BROKEN], [])


@pytest.mark.parametrize(
    "other",
    [
        CaseFacts("lora", "head", "roberta"),
        CaseFacts("vera", "pattern", "roberta"),
        CaseFacts("vera", "head", "opt"),
    ],
)
def test_of_another_case_it_explains_nothing_and_is_not_missed(other):
    assert split_known_faults([BROKEN], other, {"peft": "0.21.2"}, [FAULT]) == ([BROKEN], [])
    assert split_known_faults([], other, {"peft": "0.21.2"}, [FAULT]) == ([], [])


def test_a_fault_that_no_longer_shows_is_to_be_removed():
    unexplained, (note,) = split_known_faults([], HERE, {"peft": "0.21.2"}, [FAULT])
    assert unexplained == []
    assert note.startswith(f"{FIXED_PREFIX}: peft 0.21.2 does not show the fault recorded for <=0.21.2")
    assert "remove the record" in note


def test_beside_another_broken_invariant_a_fault_that_does_not_show_is_not_called_fixed():
    assert split_known_faults(["it must train"], HERE, {"peft": "0.21.2"}, [FAULT]) == (
        ["it must train"],
        [],
    )


@pytest.mark.parametrize(
    ("then", "now", "parts"),
    [
        ("AVX512", "AVX2", True),
        ("DEFAULT", "AVX512", True),
        ("AVX512", "AVX512", False),
        ("AVX2", "DEFAULT", False),
    ],
)
def test_a_fault_of_a_kernel_parts_cpus_with_it_from_those_without(then, now, parts):
    (fault,) = KERNEL_FAULTS
    before, after = ({"bitsandbytes": "0.50.2", "instruction set": one} for one in (then, now))
    why = why_kernels_differ("qlora", before, after)
    assert bool(why) == parts
    assert why_kernels_differ("lora", before, after) == ""
    assert why_kernels_differ("qlora", before, after | {"bitsandbytes": "0.51.0"}) == ""
    assert not parts or (fault.link in why and why.endswith(NOT_COMPARED_SUFFIX))


@pytest.mark.parametrize(
    "fault",
    FAULTS + SLOW_FAULTS + KERNEL_FAULTS,
    ids=lambda one: f"{one.link.partition('#')[2]}: {one.sentence[:30]}",
)
def test_a_record_can_be_read_and_its_section_is_there(fault):
    SpecifierSet(fault.versions)
    document, _, anchor = fault.link.partition("#")
    titles = re.findall(r"^## (.+)$", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in [re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in titles]


@pytest.mark.parametrize("fault", FAULTS + SLOW_FAULTS, ids=lambda one: one.sentence[:40])
def test_a_record_is_of_a_sentence_that_an_invariant_says(fault):
    sources = "".join(
        (ROOT / "pytest_ftcompare" / "checks" / f"{name}.py").read_text(encoding="utf-8")
        for name in ("invariants", "slow_invariants", "peft_adapters")
    )
    assert re.sub(r"(that|it) raised .*", r"\1 raised", fault.sentence).strip() in sources
