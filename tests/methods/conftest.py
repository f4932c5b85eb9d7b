"""Random tiny models of every family that the project supports, saved once as a hub folder."""

import pytest
import torch

from pytest_ftcompare.case import Case
from pytest_ftcompare.experiment.evaluate import class_logits
from pytest_ftcompare.experiment.prepare import prepare
from pytest_ftcompare.experiment.setting import Setting
from pytest_ftcompare.experiment.train import trainable
from pytest_ftcompare.experiment.trial import Trial
from pytest_ftcompare.hub import EMBEDDED

TOKENIZER = EMBEDDED / "models" / "pocket" / "opt-0.4m"
IDS = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 2}
SHAPE = {"vocab_size": 1190, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
DECODER = SHAPE | {"max_position_embeddings": 192}
LLAMA = DECODER | IDS | {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8}
ENCODER = DECODER | {"intermediate_size": 64, "pad_token_id": 1}


def configs():
    import transformers as t

    yield "opt", t.OPTForCausalLM(t.OPTConfig(**DECODER, ffn_dim=64, word_embed_proj_dim=32, **IDS))
    # 350m's shape: normalisation after the sub-layers, embeddings narrower than the layers
    yield (
        "opt_post",
        t.OPTForCausalLM(t.OPTConfig(**DECODER, ffn_dim=64, word_embed_proj_dim=16, do_layer_norm_before=False, **IDS)),
    )
    yield "llama", t.LlamaForCausalLM(t.LlamaConfig(**LLAMA))
    yield "mistral", t.MistralForCausalLM(t.MistralConfig(**LLAMA))
    yield "qwen2", t.Qwen2ForCausalLM(t.Qwen2Config(**{k: v for k, v in LLAMA.items() if k != "head_dim"}))
    yield "qwen3", t.Qwen3ForCausalLM(t.Qwen3Config(**LLAMA))
    yield "gemma", t.GemmaForCausalLM(t.GemmaConfig(**LLAMA))
    yield "gemma2", t.Gemma2ForCausalLM(t.Gemma2Config(**LLAMA))
    yield "bert", t.BertModel(t.BertConfig(**ENCODER))  # with its pooler
    yield "roberta", t.RobertaForMaskedLM(t.RobertaConfig(**ENCODER | {"max_position_embeddings": 200}))
    yield (
        "t5",
        t.T5ForConditionalGeneration(
            t.T5Config(vocab_size=1190, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=1, **IDS)
        ),
    )
    yield "gpt2", t.GPT2LMHeadModel(t.GPT2Config(vocab_size=1190, n_embd=32, n_layer=2, n_head=4, n_positions=192, **IDS))


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("hub")
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    torch.manual_seed(0)
    for name, model in configs():
        path = folder / "models" / "tiny" / name
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
    return folder


@pytest.fixture
def make(hub):
    """Prepare a method on a model; a tiny one unless it is the embedded language's."""

    def prepared(method, model="pocket/opt-0.4m", task="pocket_sst", shots=4, **options):
        case = Case("test", method, task, model, shots, tuple(sorted(options.items())))
        return prepare(case, Setting("pocket", max_length=192, hub=hub))

    return prepared


@pytest.fixture
def moved():
    """A method's model with other than its starting weights, its trial, and the base model's logits with the same head."""

    def build(prepared):
        trial = Trial(prepared, 0, 4)
        torch.manual_seed(0)
        model = prepared.adapted()
        torch.manual_seed(0)
        base = class_logits(prepared.loaded().model, prepared.ask, trial.rows)
        for name, parameter in trainable(model).items():
            if "score" not in name and "classifier" not in name:
                torch.nn.init.normal_(parameter, std=0.1)
        return model, trial, base

    return build


@pytest.fixture
def modules():
    """The modules of a kind inside a model, in its order."""
    return lambda model, kind: [one for one in model.modules() if isinstance(one, kind)]
