"""The claims of the three studies on how methods relate, each a named test (docs/claims.md has their outcomes).

A claim rests on results that this session has; what it asks for beyond them is counted or timed. Where a study gives no number,
"better" is more than 0 points; "as well as", within `MARGIN` points, or at most so far below where more is welcome.
"""

import pytest

from pytest_ftcompare.compare.claims.claim import Claim, at_least, at_most, within
from pytest_ftcompare.compare.claims.relations import (
    Arm,
    CountRatio,
    TimeRatio,
    difference,
    gap_change,
    arm_score,
    difference_from_mean,
    trend,
)

MARGIN = 3.0
OOD, CLASS, GAP = "accuracy_ood", "accuracy_ood of class 1", "domain gap"

STUDY_1 = "Srinivasan et al. 2024 (arXiv:2405.13181), results"
MOSBACH = "Mosbach et al. 2023 (arXiv:2305.16938)"
GURURANGAN = "Gururangan et al. 2020 (arXiv:2004.10964), task-adaptive pre-training"
SNELL = "Snell et al. 2022 (arXiv:2209.15189), abstract"
HU = "Hu et al. 2021 (arXiv:2106.09685)"
HOULSBY = "Houlsby et al. 2019 (arXiv:1902.00751), abstract"
FUSION = "Pfeiffer et al. 2020 (arXiv:2005.00247), abstract"
DROP = "Rücklé et al. 2020 (arXiv:2010.11918), abstract and results"
PREFIX = "Li and Liang 2021 (arXiv:2101.00190), abstract"
PROMPT = "Lester et al. 2021 (arXiv:2104.08691), abstract"
V2 = "Liu et al. 2021 (arXiv:2110.07602), abstract"
BITFIT = "Ben Zaken et al. 2021 (arXiv:2106.10199), abstract and results"
ADALORA = "Zhang et al. 2023 (arXiv:2303.10512), abstract"
QLORA = "Dettmers et al. 2023 (arXiv:2305.14314)"
MAM = "He et al. 2021 (arXiv:2110.04366), section 4.6"
UNIPELT = "Mao et al. 2021 (arXiv:2110.07577), abstract"
BELLE = "Sun et al. 2023 (arXiv:2304.08109), results"


def few(method, shots="few", tasks=(), **options):
    return Arm("few_shot", method, shots, tasks, options=options)


def peft(method, **but):
    return Arm("peft_methods", method, overrides=but)


def moved(method, **options):
    """With one option away from the recipe."""
    return Arm("ablations", method, 32, options=options)


def recipe(method):
    """As the recipe has it, with as many examples as `moved`."""
    return Arm("peft_methods", method, 32)


def instructed(method, model, shots="rows", **but):
    return Arm("instruction_tuning", method, shots, ("instructions",), (model,), overrides=but)


def sums(method, model):
    return Arm("instruction_tuning", method, "", ("sums",), (model,))


PLAIN_LORA = {
    "targets": "all-linear",
    "micro_batches": 1,
}  # LoRA as QLoRA has it, over weights of 32 bits
RANKS = [few("lora", "ranks", **rank) for rank in ({"r": 1}, {"r": 2}, {"r": 4}, {}, {"r": 64})]

FEW_SHOT = [
    (
        "pbft-under-vanilla-out-of-domain",
        "pattern-based fine-tuning generalises out of domain less well than vanilla fine-tuning",
        STUDY_1,
        difference(few("pbft"), few("full"), OOD),
        at_most(0),
    ),
    (
        "pbft-under-vanilla-where-overlap-misleads",
        "on rows that are not entailed although their words overlap, pattern-based fine-tuning is below vanilla fine-tuning",
        STUDY_1,
        difference(few("pbft", tasks=("mnli",)), few("full", tasks=("mnli",)), CLASS),
        at_most(0),
    ),
    (
        "overlap-misleads-vanilla",
        "vanilla fine-tuning is right on less than half of the rows that are not entailed although their words overlap",
        "McCoy et al. 2019 (arXiv:1902.01007), abstract",
        arm_score(few("full", tasks=("mnli",)), CLASS),
        at_most(50),
    ),
    (
        "lora-as-vanilla-out-of-domain",
        "LoRA generalises out of domain as well as vanilla fine-tuning or slightly worse",
        STUDY_1,
        difference(few("lora"), few("full"), OOD),
        within(MARGIN),
    ),
    (
        "adaptive-as-vanilla-out-of-domain",
        "training the last layers alone, which the study calls adaptive, is out of domain equal to vanilla or slightly worse",
        STUDY_1,
        difference(few("partial"), few("full"), OOD),
        within(MARGIN),
    ),
    (
        "pretraining-on-the-task-helps",
        "going on with language modelling on the task's own text, before the task, makes it better",
        GURURANGAN,
        difference(few("adaptive"), few("full")),
        at_least(0),
    ),
    (
        "distillation-above-vanilla",
        "context distillation is above vanilla fine-tuning; here both learn from as many rows",
        STUDY_1,
        difference(few("context_distillation"), few("full")),
        at_least(0),
    ),
    (
        "distillation-above-vanilla-out-of-domain",
        "context distillation is above vanilla fine-tuning out of domain, too; here both learn from as many rows",
        STUDY_1,
        difference(few("context_distillation"), few("full"), OOD),
        at_least(0),
    ),
    (
        "distillation-keeps-its-context",
        "a model distilled from its own answers with a context does without it as well as prompting does with it",
        SNELL,
        difference(few("context_distillation"), few("icl")),
        at_least(-MARGIN),
    ),
    (
        "demonstrations-teach-more-than-an-instruction",
        "a teacher that reads solved examples teaches more than one that is told the task alone",
        SNELL,
        difference(
            few("context_distillation", "ranks"),
            few("context_distillation", "ranks", demonstrations=0),
        ),
        at_least(0),
    ),
    (
        "fine-tuning-generalises-as-prompting",
        "at the same size, few-shot fine-tuning generalises out of domain as well as in-context learning, or better",
        f"{MOSBACH}, abstract",
        difference(few("pbft"), few("icl"), OOD),
        at_least(-MARGIN),
    ),
    (
        "more-examples-help-in-domain",
        "vanilla fine-tuning gets better with the number of examples, in domain",
        f"{MOSBACH}, results",
        difference(few("full", "most"), few("full", "least")),
        at_least(0),
    ),
    (
        "more-examples-help-out-of-domain",
        "vanilla fine-tuning gets better with the number of examples, out of domain",
        f"{MOSBACH}, results",
        difference(few("full", "most"), few("full", "least"), OOD),
        at_least(0),
    ),
    (
        "fine-tuning-gains-more-from-examples-than-prompting",
        "with more examples fine-tuning gains more than in-context learning",
        f"{MOSBACH}, results",
        gap_change((few("full", 64), few("full", 16)), (few("icl", 64), few("icl", 16))),
        at_least(0),
    ),
    (
        "vanilla-loses-out-of-domain",
        "vanilla fine-tuning is worse out of domain than in domain",
        f"{MOSBACH}, results",
        arm_score(few("full"), GAP),
        at_least(0),
    ),
    (
        "lora-loses-no-more-out-of-domain",
        "from in domain to out of domain LoRA loses as much as vanilla fine-tuning",
        STUDY_1,
        difference(few("lora"), few("full"), GAP),
        within(MARGIN),
    ),
    (
        "lora-as-vanilla-at-any-scale",
        "with the number of examples the distance from vanilla fine-tuning to LoRA stays what it is",
        STUDY_1,
        gap_change((few("full", "most"), few("lora", "most")), (few("full", 16), few("lora", 16))),
        within(MARGIN),
    ),
    (
        "rank-does-not-matter",
        "from rank 1 to 64, LoRA's accuracy hardly moves",
        f"{HU}, section 7.2",
        trend(RANKS),
        within(MARGIN),
    ),
    (
        "rank-one-suffices",
        "LoRA of rank 1 does as well as of rank 8",
        f"{HU}, section 7.2",
        difference(RANKS[0], RANKS[3]),
        at_least(-MARGIN),
    ),
    (
        "lora-stands-still-at-full-fine-tunings-rate",
        "LoRA at learning rate 1e-5, as in the study's published runs, stays at the majority class",
        "Srinivasan et al. 2024 (arXiv:2405.13181), published result files",
        arm_score(moved("lora", lr=1e-5), "above majority"),
        within(MARGIN),
    ),
]

CATALOGUE = [
    (
        "lora-wants-a-higher-rate-than-full",
        "LoRA's learning rate is about ten times full fine-tuning's, at which it learns less",
        f"{HU}, hyper-parameters",
        difference(recipe("lora"), moved("lora", lr=5e-4)),
        at_least(0),
    ),
    (
        "full-wants-a-lower-rate-than-lora",
        "full fine-tuning at LoRA's learning rate learns less than at its own",
        f"{HU}, hyper-parameters",
        difference(recipe("full"), moved("full", lr=5e-3)),
        at_least(0),
    ),
    (
        "lora-as-full",
        "LoRA does as well as full fine-tuning, or better",
        f"{HU}, abstract",
        difference(peft("lora"), peft("full")),
        at_least(-MARGIN),
    ),
    (
        "lora-merged-costs-no-time",
        "merged into its base model, LoRA adds no latency",
        f"{HU}, section 4.1",
        TimeRatio("merged evaluation", peft("lora"), peft("full"), "evaluation"),
        within(0.05, 1.0),
    ),
    (
        "adapters-slow-inference",
        "adapters add latency where few rows are answered at a time",
        f"{HU}, table 1",
        TimeRatio("inference", peft("adapter"), peft("full")),
        at_least(1.0),
    ),
    (
        "lora-unmerged-slows-inference",
        "kept beside its base model, LoRA's matrices cost time",
        f"{HU}, section 4.1",
        TimeRatio("inference", peft("lora"), peft("full")),
        at_least(1.0),
    ),
    (
        "lora-steps-are-faster",
        "an update of LoRA takes less time than one of full fine-tuning (25 % faster on GPT-3)",
        f"{HU}, section 4.2",
        TimeRatio("step", peft("lora", micro_batches=1), peft("full")),
        at_most(1.0),
    ),
    (
        "lora-needs-a-third-of-the-memory",
        "training by LoRA needs a third of full fine-tuning's memory (GPT-3)",
        f"{HU}, abstract",
        CountRatio("peak bytes", peft("lora", micro_batches=1), peft("full")),
        at_most(1 / 3),
    ),
    (
        "lora-checkpoints-are-small",
        "what LoRA saves is under a hundredth of the model (a ten-thousandth on GPT-3)",
        f"{HU}, section 4.2",
        CountRatio("checkpoint bytes", peft("lora"), peft("full")),
        at_most(0.01),
    ),
    (
        "adapters-as-full",
        "adapters come close to full fine-tuning",
        HOULSBY,
        difference(peft("adapter"), peft("full")),
        at_least(-MARGIN),
    ),
    (
        "adapters-train-few-parameters",
        "adapters add 3.6 % of parameters",
        HOULSBY,
        CountRatio("trainable", peft("adapter")),
        at_most(0.036),
    ),
    (
        "adapter-steps-are-faster",
        "an update of adapters takes less time than one of full fine-tuning",
        DROP,
        TimeRatio("step", peft("adapter", placement="pfeiffer"), peft("full")),
        at_most(1.0),
    ),
    *(
        (
            f"adapter-drop-{k}-speeds-up-training",
            f"without adapters in the lowest {k} of the layers, updates are faster than with all adapters",
            DROP,
            TimeRatio("step", peft("adapter_drop", drop=k), peft("adapter_drop", drop=0)),
            at_most(1.0),
        )
        for k in (1, 2, 3)
    ),
    (
        "adapter-drop-speeds-up-inference",
        "without adapters in all but the highest layer, inference is faster than with all adapters",
        DROP,
        TimeRatio("evaluation", peft("adapter_drop", drop=3), peft("adapter_drop", drop=0)),
        at_most(1.0),
    ),
    (
        "adapter-drop-costs-little",
        "leaving out the adapters of up to half of the layers costs little accuracy",
        DROP,
        trend(
            [moved("adapter_drop", drop=0), recipe("adapter_drop"), moved("adapter_drop", drop=2)]
        ),
        at_least(-MARGIN),
    ),
    (
        "fusion-above-an-adapter",
        "adapters of several tasks, fused, do better than one of the task alone",
        FUSION,
        difference(peft("adapter_fusion"), peft("adapter")),
        at_least(0),
    ),
    (
        "bitfit-trains-a-thousandth",
        "BitFit trains about a thousandth of the parameters",
        BITFIT,
        CountRatio("trainable", peft("bitfit")),
        at_most(0.0015),
    ),
    (
        "bitfit-as-full",
        "with little data, training the biases alone does as well as training everything",
        BITFIT,
        difference(peft("bitfit"), peft("full")),
        at_least(-MARGIN),
    ),
    (
        "bitfit-under-lora",
        "LoRA does better than BitFit",
        f"{HU}, table 2",
        difference(peft("bitfit"), peft("lora")),
        at_most(0),
    ),
    (
        "prefix-above-full-with-little-data",
        "with little data, prefix tuning does better than full fine-tuning",
        PREFIX,
        difference(peft("prefix_tuning"), peft("full")),
        at_least(0),
    ),
    (
        "prefix-length-costs-memory",
        "a prefix of 20 positions saves more bytes for the backward pass than one of 5",
        PREFIX,
        CountRatio(
            "saved bytes", peft("prefix_tuning", length=20), peft("prefix_tuning", length=5)
        ),
        at_least(1.0),
    ),
    (
        "prompt-length-costs-computation",
        "a prompt of 20 trained tokens costs more operations than one of 5",
        PROMPT,
        CountRatio("flops", peft("prompt_tuning", length=20), peft("prompt_tuning", length=5)),
        at_least(1.0),
    ),
    (
        "prompt-length-costs-time",
        "a prompt of 20 trained tokens makes inference slower than full fine-tuning's",
        PROMPT,
        TimeRatio("evaluation", peft("prompt_tuning", length=20), peft("full")),
        at_least(1.0),
    ),
    (
        "prompt-under-full-on-small-models",
        "on small models prompt tuning is well below full fine-tuning",
        PROMPT,
        difference(peft("prompt_tuning"), peft("full")),
        at_most(0),
    ),
    (
        "prefix-above-prompt-on-small-models",
        "on small models trained keys and values in every layer do better than trained tokens at the input",
        V2,
        difference(peft("prefix_tuning"), peft("prompt_tuning")),
        at_least(0),
    ),
    (
        "p-tuning-v2-mends-prompt-tuning",
        "on small models P-Tuning v2 does better than prompt tuning",
        V2,
        difference(peft("p_tuning_v2"), peft("prompt_tuning")),
        at_least(0),
    ),
    (
        "p-tuning-v2-as-full",
        "P-Tuning v2 does as well as full fine-tuning at every size",
        V2,
        difference(peft("p_tuning_v2"), peft("full")),
        at_least(-MARGIN),
    ),
    (
        "adalora-above-lora",
        "LoRA with a rank budget spread by importance does better than with equal ranks",
        ADALORA,
        difference(peft("adalora"), peft("lora")),
        at_least(0),
    ),
    (
        "qlora-saves-memory",
        "with its base in four bits, the same LoRA holds fewer bytes of weights",
        f"{QLORA}, abstract",
        CountRatio("weights bytes", peft("qlora"), peft("lora", **PLAIN_LORA)),
        at_most(1.0),
    ),
    (
        "qlora-lowers-the-peak",
        "with its base in four bits, the same LoRA needs less memory at the peak of an update",
        f"{QLORA}, abstract",
        CountRatio("peak bytes", peft("qlora"), peft("lora", **PLAIN_LORA)),
        at_most(1.0),
    ),
    (
        "qlora-costs-speed",
        "weights that are unpacked at each use make updates slower",
        f"{QLORA}, section 3",
        TimeRatio("step", peft("qlora"), peft("lora", **PLAIN_LORA)),
        at_least(1.0),
    ),
    (
        "qlora-as-full",
        "LoRA over a base in four bits does as well as full fine-tuning",
        f"{QLORA}, abstract",
        difference(peft("qlora"), peft("full")),
        at_least(-MARGIN),
    ),
    (
        "mam-above-its-parts",
        "prefix and parallel adapter together do better than they do alone; here against the mean of prefix and adapter",
        MAM,
        difference_from_mean(peft("mam"), peft("prefix_tuning"), peft("adapter")),
        at_least(0),
    ),
    (
        "unipelt-above-its-parts",
        "LoRA, prefix and adapter behind gates do better than the best of them; here against their mean, which is less to ask",
        UNIPELT,
        difference_from_mean(peft("unipelt"), peft("lora"), peft("prefix_tuning"), peft("adapter")),
        at_least(0),
    ),
    (
        "unipelt-slows-inference",
        "with three methods in it, UniPELT answers more slowly than LoRA",
        UNIPELT,
        TimeRatio("inference", peft("unipelt"), peft("lora")),
        at_least(1.0),
    ),
]

INSTRUCTIONS = [
    (
        "a-larger-base-helps-lora",
        "by LoRA the larger base does better (13B .648, 7B .609 on 2M instructions)",
        BELLE,
        difference(instructed("lora", "large"), instructed("lora", "small")),
        at_least(0),
    ),
    (
        "more-instructions-help-lora",
        "by LoRA more instructions do better (.589, .609, .624 on 0.6M, 2M, 4M)",
        BELLE,
        difference(instructed("lora", "large", "most"), instructed("lora", "large", "least")),
        at_least(0),
    ),
    (
        "more-instructions-help-full",
        "in full more instructions do better (.686, .710 on 0.6M, 2M)",
        BELLE,
        difference(instructed("full", "large", "most"), instructed("full", "large", "least")),
        at_least(0),
    ),
    (
        "full-above-lora-at-equal-data",
        "full fine-tuning does better than LoRA on the same instructions (.710, .609 on 2M)",
        BELLE,
        difference(instructed("full", "large"), instructed("lora", "large")),
        at_least(0),
    ),
    (
        "data-leaves-the-gap-to-full",
        "with more instructions the gap from LoRA to full fine-tuning stays (.097, .101 on 0.6M, 2M)",
        BELLE,
        gap_change(
            (instructed("full", "large", "most"), instructed("lora", "large", "most")),
            (instructed("full", "large", "least"), instructed("lora", "large", "least")),
        ),
        within(MARGIN),
    ),
    (
        "a-tuned-base-closes-the-gap",
        "on a base that is instruction-tuned, LoRA nearly closes the gap to full fine-tuning (.101, then .009)",
        BELLE,
        gap_change(
            (sums("full", "tuned"), sums("lora", "tuned")),
            (sums("full", "large"), sums("lora", "large")),
        ),
        at_most(0),
    ),
    (
        "lora-as-full-on-a-tuned-base",
        "on an instruction-tuned base LoRA does as well as full fine-tuning (.729, .738)",
        BELLE,
        difference(sums("lora", "tuned"), sums("full", "tuned")),
        at_least(-MARGIN),
    ),
    (
        "full-costs-two-to-four-times-an-epoch",
        "an epoch in full takes two to four times as long as by LoRA (31 h and 7 h, 17 h and 5 h, 4 h and 2 h)",
        BELLE,
        TimeRatio(
            "step", instructed("full", "large"), instructed("lora", "large", micro_batches=1)
        ),
        within(1.0, 3.0),
    ),
    (
        "full-costs-more-an-epoch",
        "an epoch in full takes longer than by LoRA",
        BELLE,
        TimeRatio(
            "step", instructed("full", "large"), instructed("lora", "large", micro_batches=1)
        ),
        at_least(1.0),
    ),
]

STUDIES = {"few-shot": FEW_SHOT, "peft-methods": CATALOGUE, "instruction-tuning": INSTRUCTIONS}
CLAIMS = [Claim(name, study, *rest) for study, claims in STUDIES.items() for name, *rest in claims]


@pytest.mark.ftcompare_claims(CLAIMS)
def test_claims(claim):
    claim()
