"""Known upstream faults: a broken invariant that is a library's is recorded here, with its versions and a link.

The record is strict both ways: outside the versions that it names the invariant is as broken as any other, and where it holds
although the record says that it does not, somebody is told to remove the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

KNOWN_PREFIX = "known upstream fault"  # how a note begins, of a fault that is there
NOT_COMPARED_SUFFIX = (
    "probe and trace are not compared"  # how a note ends, of a fault that other CPUs do not have
)
FIXED_PREFIX = "mended upstream"  # and of one that is there no more


@dataclass(frozen=True)
class CaseFacts:
    """What a record is about in a case; `family` is transformers' `model_type`."""

    method: str
    output_mode: str
    family: str


@dataclass(frozen=True)
class KnownFault:
    """`package` in `versions` (a specifier, PEP 440) breaks an invariant, whose sentence begins with `sentence`.

    It concerns the methods, asks and families named; none named means all. `link` says where it is written down.
    """

    package: str
    versions: str
    sentence: str
    link: str
    methods: tuple[str, ...] = ()
    output_modes: tuple[str, ...] = ()
    families: tuple[str, ...] = ()

    def applies_to(self, facts: CaseFacts, environment: Mapping[str, object]) -> bool:
        """Whether it is to be expected of this case with the libraries of `environment`, versions by package."""
        named = (
            (self.methods, facts.method),
            (self.output_modes, facts.output_mode),
            (self.families, facts.family),
        )
        if any(some and one not in some for some, one in named):
            return False
        try:
            installed = Version(str(environment.get(self.package, "")))
        except InvalidVersion:  # "not installed", or not recorded
            return False
        return SpecifierSet(self.versions, prereleases=True).contains(installed)


UPSTREAM_PAGE = "docs/upstream.md#"
PROMPT_METHODS = ("prompt_tuning", "p_tuning", "prefix_tuning", "p_tuning_v2")
MULTI_MODULE_HEADS = ("roberta", "xlm-roberta", "electra")  # whose head is several modules
LAST_TOKEN_HEADS = (
    "opt",
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gpt2",
)  # whose head reads that

# What shows in the invariants that every case is inspected for.
FAULTS = (
    KnownFault(
        "peft",
        "<=0.21.2",
        "it must merge into its base model, that raised AttributeError: ",
        f"{UPSTREAM_PAGE}3-vera-oft-and-ia3-cannot-be-unloaded-from-a-head-of-several-modules",
        methods=("vera", "oft", "ia3"),
        output_modes=("head",),
        families=MULTI_MODULE_HEADS,
    ),
)
# What shows in those that only tiny models are examined for.
SLOW_FAULTS = (
    KnownFault(
        "peft",
        "<=0.21.2",
        "unload must leave a plain model, it raised AttributeError: ",
        f"{UPSTREAM_PAGE}3-vera-oft-and-ia3-cannot-be-unloaded-from-a-head-of-several-modules",
        methods=("vera", "oft", "ia3"),
        output_modes=("head",),
        families=MULTI_MODULE_HEADS,
    ),
    KnownFault(
        "peft",
        "<=0.21.2",
        "unload must leave a plain model, its ",
        f"{UPSTREAM_PAGE}1-ln-tuning-does-not-unload-the-head",
        methods=("ln_tuning",),
        output_modes=("head",),
    ),
    KnownFault(
        "peft",
        "<=0.21.2",
        "its adapter must be there to disable, that raised UnboundLocalError: ",
        f"{UPSTREAM_PAGE}2-a-classifiers-prefix-cannot-be-disabled",
        methods=PROMPT_METHODS,
        output_modes=("head",),
    ),
    KnownFault(
        "peft",
        "<0.21",
        "its second adapter must be there to delete, that raised TypeError: ",
        "docs/versions.md#a-second-prompt-cannot-be-deleted",
        methods=PROMPT_METHODS,
    ),
    KnownFault(
        "transformers",
        "<=5.23.0",
        "padded on the right, the outputs must be those of padding on the left, ",
        f"{UPSTREAM_PAGE}9-behind-a-prompt-a-classifier-reads-padding",
        methods=("prompt_tuning", "p_tuning"),
        output_modes=("head",),
        families=LAST_TOKEN_HEADS,
    ),
    KnownFault(
        "peft",
        "<=0.21.2",
        "with its adapter disabled the outputs must be the base model's, ",
        f"{UPSTREAM_PAGE}10-pissa-changes-the-base-model-for-good",
        methods=("pissa",),
    ),
    KnownFault(
        "peft",
        "<=0.21.2",
        "unloaded, the outputs must be the base model's, ",
        f"{UPSTREAM_PAGE}10-pissa-changes-the-base-model-for-good",
        methods=("pissa",),
        output_modes=("pattern", "answer"),
    ),
    KnownFault(
        "peft",
        "<=0.21.2",
        "a second adapter that is not active must not change the outputs, ",
        f"{UPSTREAM_PAGE}10-pissa-changes-the-base-model-for-good",
        methods=("pissa",),
    ),
)
# What shows in the Trainer's own loss where an update is cut into micro-batches (suites/test_engines.py).
ACCUMULATION_FAULTS = (
    KnownFault(
        "transformers",
        "<=5.23.0",
        "the Trainer's loss must be that of the update's ",
        f"{UPSTREAM_PAGE}11-under-accumulation-a-heads-loss-is-too-large",
        output_modes=("head",),
    ),
    KnownFault(
        "transformers",
        "<=5.23.0",
        "the Trainer's gradient norm must be that of the update's ",
        f"{UPSTREAM_PAGE}11-under-accumulation-a-heads-loss-is-too-large",
        output_modes=("head",),
    ),
)


@dataclass(frozen=True)
class KernelFault:
    """`package` in `versions` computes otherwise where torch has this `instruction_set` than on other CPUs."""

    package: str
    versions: str
    instruction_set: str
    sentence: str
    link: str
    methods: tuple[str, ...]

    def applies_to(self, method: str, before: Mapping[str, object], after: Mapping[str, object]) -> bool:
        """Whether it is to be expected between a baseline and a run of the method, by their environments."""
        fault = KnownFault(self.package, self.versions, self.sentence, self.link, self.methods)
        facts = CaseFacts(method, "", "")
        both = all(fault.applies_to(facts, environment) for environment in (before, after))
        sets = [
            environment.get("instruction set") == self.instruction_set
            for environment in (before, after)
        ]
        return both and sets[0] != sets[1]


KERNEL_FAULTS = (
    KernelFault(
        "bitsandbytes",
        "<=0.50.2",
        "AVX512",
        "with AVX512 it reads other scales than it wrote",
        f"{UPSTREAM_PAGE}12-with-avx512-4-bit-weights-are-read-with-other-scales",
        methods=("qlora",),
    ),
)


def why_kernels_differ(
    method: str, before: Mapping[str, object], after: Mapping[str, object]
) -> str:
    """Why a baseline's probe and trace say nothing of a run that computes as it should; "" where they do."""
    faults = (fault for fault in KERNEL_FAULTS if fault.applies_to(method, before, after))
    return next(
        (
            f"{KNOWN_PREFIX} of {one.package} {one.versions}: {one.sentence} ({one.link}); {NOT_COMPARED_SUFFIX}"
            for one in faults
        ),
        "",
    )


def split_known_faults(
    broken: Iterable[str],
    facts: CaseFacts,
    environment: Mapping[str, object],
    faults: Iterable[KnownFault] = FAULTS,
) -> tuple[list[str], list[str]]:
    """(unexplained, notes): the broken invariants that no record explains, and what is to be said of those that one does.

    A fault that is recorded for the case and does not show is a note that begins with `MENDED`, but not where something
    unexplained is broken too: that may have kept its invariant from being checked.
    """
    unexplained, notes, mended = list(broken), [], []
    for fault in faults:
        if not fault.applies_to(facts, environment):
            continue
        shown = [one for one in unexplained if one.startswith(fault.sentence)]
        unexplained = [one for one in unexplained if one not in shown]
        notes += [
            f"{KNOWN_PREFIX} of {fault.package} {fault.versions}: {one} ({fault.link})" for one in shown
        ]
        if not shown:
            what = f"{fault.package} {environment[fault.package]} does not show the fault recorded for {fault.versions}"
            mended.append(
                f"{FIXED_PREFIX}: {what}, {fault.sentence!r} ({fault.link}): remove the record in compare/known_faults.py"
            )
    return unexplained, notes if unexplained else notes + mended
