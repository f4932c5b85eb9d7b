"""Faults of today's libraries, each as a strict xfail: once a library fixes one, its test fails.

docs/upstream.md describes each. Nothing here uses this project's code.
"""

import copy

import pytest
import torch
import transformers
from peft import (
    AdaLoraConfig,
    IA3Config,
    LNTuningConfig,
    LoraConfig,
    OFTConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from peft.utils.hotswap import hotswap_adapter
from safetensors.torch import load_file

ROW = torch.tensor([[5, 6, 7]])
SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "pad_token_id": 1,
}


def tiny(family, head, **options):
    """A random model; OPT has its own name for the inner width, and a width of the embeddings."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")
    if family == "OPT":
        options = {"ffn_dim": 32, "word_embed_proj_dim": 32} | options
    return getattr(transformers, f"{family}For{head}")(config(**SMALL | options)).eval()


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="peft: LNTuningModel does not unload a ModulesToSaveWrapper",
)
def test_ln_tuning_unloads_the_head_of_a_classifier():
    config = LNTuningConfig(task_type="SEQ_CLS", target_modules=["final_layer_norm"])
    merged = get_peft_model(tiny("OPT", "SequenceClassification"), config).merge_and_unload()
    assert type(merged.score) is torch.nn.Linear


@pytest.mark.xfail(
    strict=True,
    raises=UnboundLocalError,
    reason="peft: disable_adapter expects a model that can generate",
)
def test_the_prefix_of_a_classifier_can_be_disabled():
    base = tiny("OPT", "SequenceClassification")
    expected = base(ROW).logits
    model = get_peft_model(
        base, PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=2)
    ).eval()
    with model.disable_adapter():
        assert torch.equal(model(ROW).logits, expected)


@pytest.mark.parametrize(
    "config",
    [VeraConfig(r=2), OFTConfig(r=0, oft_block_size=8), IA3Config(feedforward_modules=[])],
    ids=lambda config: config.peft_type.value,
)
@pytest.mark.xfail(
    strict=True,
    raises=AttributeError,
    reason="peft: BaseTuner._replace_module expects a head with a weight",
)
def test_a_head_of_several_modules_is_unloaded(config):
    config.task_type, config.target_modules = "SEQ_CLS", {"query"}
    merged = get_peft_model(tiny("Roberta", "SequenceClassification"), config).merge_and_unload()
    assert type(merged.classifier).__name__ == "RobertaClassificationHead"


@pytest.mark.parametrize("config", [PromptTuningConfig, PromptEncoderConfig])
@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="peft: prompt tuning and P-tuning drop position_ids"
)
def test_padding_on_the_left_does_not_change_what_follows_a_prompt(config):
    model = get_peft_model(
        tiny("Llama", "CausalLM", initializer_range=0.5),
        config(task_type="CAUSAL_LM", num_virtual_tokens=2),
    ).eval()
    padded = {
        "input_ids": torch.tensor([[1, 1, 1, 5, 6, 7]]),
        "attention_mask": torch.tensor([[0, 0, 0, 1, 1, 1]]),
        "position_ids": torch.tensor([[0, 0, 0, 0, 1, 2]]),
    }
    alone = model(input_ids=ROW, attention_mask=torch.ones_like(ROW)).logits[:, -1]
    torch.testing.assert_close(model(**padded).logits[:, -1], alone, rtol=0, atol=1e-3)


@pytest.mark.parametrize("config", [PromptTuningConfig, PromptEncoderConfig])
@pytest.mark.xfail(
    strict=True,
    raises=RuntimeError,
    reason="peft: token_dim is the layers' width, not the embeddings'",
)
def test_a_prompt_is_as_wide_as_the_embeddings_it_joins(config):
    model = get_peft_model(
        tiny("OPT", "CausalLM", word_embed_proj_dim=16),
        config(task_type="CAUSAL_LM", num_virtual_tokens=2),
    )
    assert model(input_ids=ROW, attention_mask=torch.ones_like(ROW)).logits.shape == (1, 5, 64)


@pytest.mark.xfail(
    strict=True,
    raises=RuntimeError,
    reason="peft: token_dim is the layers' width, not the embeddings'",
)
def test_a_prompt_drawn_from_the_vocabulary_loads_again(tmp_path):
    config = PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=2, prompt_tuning_init="SAMPLE_VOCAB"
    )
    get_peft_model(tiny("OPT", "CausalLM", word_embed_proj_dim=16), config).save_pretrained(
        tmp_path
    )
    PeftModel.from_pretrained(tiny("OPT", "CausalLM", word_embed_proj_dim=16), tmp_path)


@pytest.fixture
def linear_4bit():
    """Makes a quantised layer, on a CPU where bitsandbytes repacks its weight for evaluation."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    if not bitsandbytes.functional.has_avx512bf16():
        pytest.skip("this CPU has no AVX512-BF16: bitsandbytes repacks no weight on it")

    def make(inputs, outputs):
        torch.manual_seed(0)
        return bitsandbytes.nn.LinearNF4(
            inputs, outputs, bias=False, compute_dtype=torch.float32
        ).to("cpu")

    return make


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="bitsandbytes: evaluation on a CPU computes in bfloat16",
)
def test_a_4_bit_layer_computes_the_same_in_evaluation_as_in_training(linear_4bit):
    layer, x = linear_4bit(64, 64), torch.randn(4, 64)
    expected = layer.train()(x)
    torch.testing.assert_close(layer.eval()(x), expected, rtol=0, atol=1e-5)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="bitsandbytes: a layer repacked for a CPU passes no gradient",
)
def test_a_4_bit_layer_still_trains_after_an_evaluation(linear_4bit):
    layer, x = linear_4bit(64, 64), torch.randn(4, 64)
    layer.eval()(x)
    x.requires_grad = True
    layer.train()(x).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(("inputs", "outputs"), [(64, 80), (80, 64)])
@pytest.mark.xfail(
    strict=True,
    raises=(AssertionError, RuntimeError),
    reason="bitsandbytes: repacking for a CPU expects round widths",
)
def test_a_4_bit_layer_of_any_width_can_be_evaluated(linear_4bit, inputs, outputs):
    assert linear_4bit(inputs, outputs).eval()(torch.randn(4, inputs)).shape == (4, outputs)


AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"


@pytest.mark.parametrize(
    "width",
    [
        128,
        pytest.param(
            160,
            marks=pytest.mark.xfail(
                AVX512, strict=True, reason="bitsandbytes: scales of other blocks"
            ),
        ),
    ],
)
def test_a_4_bit_weight_is_read_with_its_own_scales(width):
    functional = pytest.importorskip("bitsandbytes").functional
    torch.manual_seed(0)
    weight = torch.randn(64, width)
    weight[::2] *= 100  # rows of another size: a scale of another row is far off
    read = functional.dequantize_4bit(*functional.quantize_4bit(weight, quant_type="nf4"))
    rows = (read - weight).norm(dim=1) / weight.norm(dim=1)
    # Blocks that two rows share have the larger one's scale, which is right and coarse.
    assert rows[::2].max() < 0.2


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="transformers: a head with a bias is not left out of 4-bit loading",
)
def test_a_new_head_on_a_4_bit_model_can_be_run(tmp_path):
    pytest.importorskip("bitsandbytes")
    tiny("Bert", "SequenceClassification", hidden_size=64).bert.save_pretrained(tmp_path)
    model = transformers.BertForSequenceClassification.from_pretrained(
        tmp_path, quantization_config=transformers.BitsAndBytesConfig(load_in_4bit=True)
    )
    assert model.train()(ROW).logits.shape == (1, 2)


def last_allocation(**options):
    """The ranks that AdaLoRA keeps of each matrix after its steps, counted from 1."""
    config = AdaLoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], **options)
    model = get_peft_model(tiny("OPT", "CausalLM"), config)
    for step in range(1, config.total_step + 1):
        model.zero_grad()
        model(input_ids=ROW, labels=ROW).loss.backward()
        model.base_model.update_and_allocate(step)
    return [sum(kept) for kept in config.rank_pattern.values()]


@pytest.mark.xfail(
    strict=True,
    raises=KeyError,
    reason="peft: AdaLoRA's last allocation needs an earlier step's importances",
)
def test_adalora_allocates_in_a_single_step():
    assert last_allocation(total_step=1, init_r=4, target_r=2) == [2]


@pytest.mark.xfail(
    strict=True,
    raises=RuntimeError,
    reason="peft: AdaLoRA with nothing to cut asks for the 0th smallest value",
)
def test_adalora_keeps_all_ranks_where_none_is_to_be_cut():
    assert last_allocation(total_step=4, init_r=4, target_r=4) == [4]


@pytest.mark.parametrize("config", [PromptTuningConfig, PromptEncoderConfig])
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="transformers: a head looks for no padding in embeddings",
)
def test_a_classifier_behind_a_prompt_reads_no_padding(config):
    model = get_peft_model(
        tiny("Llama", "SequenceClassification", initializer_range=0.5),
        config(task_type="SEQ_CLS", num_virtual_tokens=2),
    ).eval()
    padded = {
        "input_ids": torch.tensor([[5, 6, 7, 1, 1]]),
        "attention_mask": torch.tensor([[1, 1, 1, 0, 0]]),
    }
    alone = model(input_ids=ROW, attention_mask=torch.ones_like(ROW)).logits
    torch.testing.assert_close(model(**padded).logits, alone, rtol=0, atol=1e-3)


@pytest.fixture
def pissa():
    """A PiSSA adapter on a tiny model, and the logits of that model before."""
    base = tiny("OPT", "CausalLM", init_std=0.5)
    expected = base(ROW).logits.detach()
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], init_lora_weights="pissa"
    )
    return get_peft_model(base, config).eval(), expected


@pytest.mark.parametrize("way", ["disable", "unload"])
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="peft: PiSSA changes the base weights, and nothing puts them back",
)
def test_a_disabled_adapter_is_the_base_model(pissa, way):
    model, expected = pissa
    if way == "unload":
        torch.testing.assert_close(model.unload()(ROW).logits, expected, rtol=0, atol=1e-3)
    with model.disable_adapter():
        torch.testing.assert_close(model(ROW).logits, expected, rtol=0, atol=1e-3)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="peft: loading a PiSSA adapter changes the base weights again",
)
def test_a_second_adapter_leaves_the_first_alone(pissa, tmp_path):
    model, _ = pissa
    before = model(ROW).logits
    model.save_pretrained(tmp_path)
    model.load_adapter(tmp_path, "other")
    torch.testing.assert_close(model(ROW).logits, before, rtol=0, atol=1e-3)


@pytest.mark.parametrize("family", ["OPT", "Llama", "Bert"])
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="transformers: a head ignores the count that the Trainer gives it",
)
def test_accumulation_does_not_change_a_heads_loss(family, tmp_path):
    rows = [{"input_ids": [5 + number, 6, 7 + number], "labels": number % 2} for number in range(8)]
    logged = []
    for accumulate in (1, 4):
        model = tiny(family, "SequenceClassification")
        model.train = lambda mode=True, model=model: model  # no dropout
        arguments = transformers.TrainingArguments(
            str(tmp_path),
            use_cpu=True,
            per_device_train_batch_size=8 // accumulate,
            gradient_accumulation_steps=accumulate,
            max_steps=1,
            logging_steps=1,
            report_to="none",
        )
        trainer = transformers.Trainer(model, arguments, train_dataset=rows)
        trainer.train()
        logged.append(trainer.state.log_history[0]["loss"])
    assert logged[1] == pytest.approx(logged[0], rel=1e-4)


TASKS = {"CausalLM": "CAUSAL_LM", "SequenceClassification": "SEQ_CLS"}
ON_QUERIES = {"target_modules": ["q_proj"]}
ADALORA = {**ON_QUERIES, "init_r": 4, "target_r": 2, "total_step": 8}
PROMPTS = [PromptTuningConfig, PrefixTuningConfig, PromptEncoderConfig]


def adapted(kind, head="SequenceClassification", **options):
    """A tiny model with a new adapter."""
    if kind in PROMPTS:
        options["num_virtual_tokens"] = 2
    return get_peft_model(tiny("OPT", head), kind(task_type=TASKS[head], **options)).eval()


def loaded(folder, head="SequenceClassification", **options):
    """A tiny model with the adapter of a folder."""
    return PeftModel.from_pretrained(tiny("OPT", head), folder, **options).eval()


def trained(model, adapter=""):
    """The names of the tensors that train: all, or an adapter's."""
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (not adapter or adapter in name.split("."))
    ]


def with_ranks_cut():
    """AdaLoRA on a classifier, after its first allocation."""
    model = adapted(AdaLoraConfig, **ADALORA)
    model(input_ids=ROW, labels=torch.tensor([1])).loss.backward()
    model.base_model.update_and_allocate(1)
    return model


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (LoraConfig, ON_QUERIES),
        (LoraConfig, {**ON_QUERIES, "use_dora": True}),
        (AdaLoraConfig, ADALORA),
        (IA3Config, {**ON_QUERIES, "feedforward_modules": []}),
        (VeraConfig, ON_QUERIES),
        (OFTConfig, {**ON_QUERIES, "r": 0, "oft_block_size": 8}),
        (LNTuningConfig, {"target_modules": ["final_layer_norm"]}),
    ],
    ids=["lora", "dora", "adalora", "ia3", "vera", "oft", "ln_tuning"],
)
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="peft: enable_adapters makes the active adapter train",
)
def test_disabling_leaves_an_adapter_for_inference_frozen(kind, options, tmp_path):
    adapted(kind, **options).save_pretrained(tmp_path)
    model = loaded(tmp_path)
    before = trained(model)
    with model.disable_adapter():
        pass
    assert trained(model) == before


@pytest.mark.parametrize("name", ["q_proj", "layers", "model"])
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="peft: saving looks for other adapters' names anywhere in a path",
)
def test_an_adapter_is_saved_whole_beside_one_named_like_a_module(name, tmp_path):
    model = adapted(LoraConfig, **ON_QUERIES)
    model.save_pretrained(tmp_path / "alone")
    model.add_adapter(name, LoraConfig(task_type="SEQ_CLS", **ON_QUERIES))
    model.save_pretrained(tmp_path / "beside", selected_adapters=["default"])
    alone, beside = (
        load_file(tmp_path / folder / "adapter_model.safetensors") for folder in ("alone", "beside")
    )
    assert set(beside) == set(alone)


@pytest.mark.parametrize("name", ["layers", "lay"])
@pytest.mark.xfail(
    strict=True,
    raises=AttributeError,
    reason="peft: AdaLoRA looks for an adapter's name anywhere in a path",
)
def test_adalora_loads_an_adapter_named_like_a_module(name, tmp_path):
    model = with_ranks_cut()
    model.save_pretrained(tmp_path)
    model.load_adapter(tmp_path, name)


def check_combined(model):
    """Combine a model's adapter, with random weights for trained ones, and compare the logits."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_()
        expected = model(ROW).logits
        model.base_model.add_weighted_adapter(["default"], [1.0], "combined")
        model.set_adapter("combined")
        torch.testing.assert_close(model(ROW).logits, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("option", ["use_rslora", "use_dora"])
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="peft: add_weighted_adapter scales rsLoRA twice and loses DoRA's magnitudes",
)
def test_combined_an_adapter_of_weight_one_is_itself(option):
    check_combined(adapted(LoraConfig, "CausalLM", **ON_QUERIES, **{option: True}))


@pytest.mark.parametrize(
    ("kind", "options"),
    [(LoraConfig, {}), (IA3Config, {"feedforward_modules": []})],
    ids=["lora", "ia3"],
)
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="peft: add_weighted_adapter does not copy the trained head",
)
def test_combined_a_classifier_keeps_its_trained_head(kind, options):
    check_combined(adapted(kind, **ON_QUERIES, **options))


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="peft: a prompt ignores the inference mode"
)
def test_a_prompt_for_inference_is_frozen(kind, tmp_path):
    adapted(kind, "CausalLM").save_pretrained(tmp_path)
    assert trained(loaded(tmp_path, "CausalLM")) == []


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="peft: a prompt ignores the inference mode"
)
def test_a_second_prompt_for_inference_is_frozen(kind, tmp_path):
    model = adapted(kind, "CausalLM")
    model.save_pretrained(tmp_path)
    model.load_adapter(tmp_path, "second")
    assert trained(model, "second") == []


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="peft: set_adapter freezes no other prompt"
)
def test_with_a_second_prompt_active_the_first_is_frozen(kind, tmp_path):
    model = adapted(kind, "CausalLM")
    model.save_pretrained(tmp_path)
    model.load_adapter(tmp_path, "second")
    model.set_adapter("second")
    assert trained(model, "default") == []


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="peft: AdaLoRA's update_layer sets the active adapter's inference mode",
)
def test_a_second_adalora_leaves_the_first_training(tmp_path):
    model = with_ranks_cut()
    before = trained(model)
    model.save_pretrained(tmp_path)
    model.load_adapter(tmp_path, "second")
    assert trained(model) == before


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="peft: AdaLoRA's update_layer sets the active adapter's inference mode",
)
def test_a_trainable_adalora_leaves_the_first_frozen(tmp_path):
    first = with_ranks_cut()
    first.save_pretrained(tmp_path)
    model = loaded(tmp_path)
    model.load_adapter(tmp_path, "second", is_trainable=True)
    assert trained(model) == [name.replace("default", "second") for name in trained(first)]


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="peft: a new prompt freezes the base model with its trained heads",
)
def test_a_second_prompt_leaves_the_first_prompts_head_training(kind, tmp_path):
    model = adapted(kind)
    before = trained(model, "default")
    model.save_pretrained(tmp_path)
    model.load_adapter(tmp_path, "second")
    assert trained(model, "default") == before


@pytest.mark.parametrize("with_state", [True, False], ids=["optimizer's state", "adapter only"])
@pytest.mark.xfail(
    strict=True, raises=RuntimeError, reason="peft: AdaLoRA's saved factors have other shapes"
)
def test_adalora_with_ranks_cut_can_be_resumed(with_state, tmp_path):
    def train(model, optimizer, steps):
        for step in steps:
            optimizer.zero_grad()
            model(input_ids=ROW, labels=ROW).loss.backward()
            optimizer.step()
            model.base_model.update_and_allocate(step)

    model = adapted(AdaLoraConfig, "CausalLM", **ADALORA, tfinal=4)
    optimizer = torch.optim.AdamW(one for one in model.parameters() if one.requires_grad)
    train(model, optimizer, range(1, 6))
    model.save_pretrained(tmp_path)
    again = loaded(tmp_path, "CausalLM", is_trainable=True)
    resumed = torch.optim.AdamW(one for one in again.parameters() if one.requires_grad)
    if with_state:
        resumed.load_state_dict(optimizer.state_dict())
    train(again, resumed, range(6, 9))


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="bitsandbytes: float64 weights are not written"
)
def test_a_4_bit_layer_computes_in_double_precision_or_refuses():
    bitsandbytes = pytest.importorskip("bitsandbytes")
    torch.manual_seed(0)
    layer = bitsandbytes.nn.LinearNF4(64, 64, bias=False, compute_dtype=torch.float32).to("cpu")
    layer.train()
    x = torch.randn(4, 64)
    expected = layer(x)
    layer.compute_dtype = torch.float64
    try:
        output = layer(x.double())
    except (ValueError, RuntimeError):
        return
    assert torch.allclose(output.float(), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "head", "task", "raised"),
    [
        ("Llama", "CausalLM", "CAUSAL_LM", RuntimeError),
        ("T5", "ConditionalGeneration", "SEQ_2_SEQ_LM", pytest.fail.Exception),
    ],
    ids=["Llama", "T5"],
)
def test_checkpointing_after_a_prefix_is_refused(request, family, head, task, raised):
    request.applymarker(
        pytest.mark.xfail(strict=True, raises=raised, reason="peft: a prefix and checkpointing")
    )
    options = {"decoder_start_token_id": 1, "d_kv": 16} if family == "T5" else {}
    config = PrefixTuningConfig(task_type=task, num_virtual_tokens=2)
    model = get_peft_model(tiny(family, head, **options), config)
    model.gradient_checkpointing_enable()
    with pytest.raises(ValueError, match="gradient checkpointing"):
        model.train()(input_ids=ROW, labels=ROW[:, :1] if family == "T5" else ROW)


Q_PROJ = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj"]}


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="peft: a cast parameter requires a gradient again"
)
@pytest.mark.parametrize(
    "config",
    [
        IA3Config(**Q_PROJ, feedforward_modules=[]),
        VeraConfig(**Q_PROJ, r=2),
        AdaLoraConfig(**Q_PROJ, total_step=9),
    ],
    ids=["IA3", "VeRA", "AdaLoRA"],
)
def test_in_half_precision_an_adapter_for_inference_is_frozen(config, tmp_path):
    get_peft_model(tiny("OPT", "CausalLM").bfloat16(), config).save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny("OPT", "CausalLM").bfloat16(), tmp_path)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="peft: a cast parameter requires a gradient again"
)
def test_in_half_precision_the_number_of_ranks_does_not_train():
    config = AdaLoraConfig(**Q_PROJ, total_step=9)
    model = get_peft_model(tiny("OPT", "CausalLM").bfloat16(), config)
    layer = model.base_model.model.model.decoder.layers[0].self_attn.q_proj
    assert not layer.ranknum["default"].requires_grad


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="peft: LN tuning's layers are not cast"
)
def test_in_half_precision_ln_tuning_trains_in_float32():
    config = LNTuningConfig(task_type="CAUSAL_LM", target_modules=["final_layer_norm"])
    model = get_peft_model(tiny("OPT", "CausalLM").bfloat16(), config)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert {parameter.dtype for parameter in trained} == {torch.float32}


@pytest.mark.xfail(
    strict=True, raises=AttributeError, reason="peft: DoRA takes the scales of an 8-bit layer"
)
def test_dora_on_an_8_bit_base_model_computes_twice(tmp_path):
    pytest.importorskip("bitsandbytes")
    tiny("OPT", "CausalLM").save_pretrained(tmp_path)
    in_8_bits = transformers.BitsAndBytesConfig(load_in_8bit=True)
    base = transformers.OPTForCausalLM.from_pretrained(tmp_path, quantization_config=in_8_bits)
    model = get_peft_model(base, LoraConfig(**Q_PROJ, use_dora=True)).train()
    assert model(ROW).logits.shape == model(ROW).logits.shape


def with_adapted_embeddings(family, name):
    torch.manual_seed(0)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        target_modules=[name],
        ensure_weight_tying=True,
        init_lora_weights=False,
    )
    return get_peft_model(tiny(family, "CausalLM", tie_word_embeddings=True), config).eval()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="peft: merging changes the head that is tied"
)
def test_an_adapter_on_tied_embeddings_merges():
    model = with_adapted_embeddings("OPT", "embed_tokens")
    before = model(ROW).logits
    after = model.merge_and_unload()(ROW).logits
    assert torch.allclose(before, after, rtol=1e-4, atol=1e-3)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.xfail(
    strict=True, raises=RuntimeError, reason="peft: tied adapters are tensors in a graph"
)
def test_a_model_with_tied_adapters_can_be_copied():
    copy.deepcopy(with_adapted_embeddings("OPT", "embed_tokens"))


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="peft: the old config stays")
def test_a_hot_swapped_adapter_is_saved_with_its_own_scale(tmp_path):
    new = LoraConfig(**Q_PROJ, lora_alpha=32, init_lora_weights=False)
    get_peft_model(tiny("OPT", "CausalLM"), new).save_pretrained(tmp_path / "new")
    model = get_peft_model(tiny("OPT", "CausalLM"), LoraConfig(**Q_PROJ)).eval()
    hotswap_adapter(model, str(tmp_path / "new"), "default")
    model.save_pretrained(tmp_path / "again")
    again = PeftModel.from_pretrained(tiny("OPT", "CausalLM"), tmp_path / "again").eval()
    assert torch.allclose(model(ROW).logits, again(ROW).logits)


@pytest.mark.xfail(
    strict=True, raises=KeyError, reason="peft: hot-swapping looks for tensors that are not LoRA's"
)
@pytest.mark.parametrize(
    "options", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}], ids=["DoRA", "modules"]
)
def test_an_adapter_that_cannot_be_hot_swapped_is_refused(options, tmp_path):
    config = LoraConfig(**Q_PROJ, **options)
    base = {"tie_word_embeddings": False}
    get_peft_model(tiny("OPT", "CausalLM", **base), config).save_pretrained(tmp_path)
    model = get_peft_model(tiny("OPT", "CausalLM", **base), config)
    with pytest.raises((ValueError, NotImplementedError)):
        hotswap_adapter(model, str(tmp_path), "default")
