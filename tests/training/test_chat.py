"""Conversations are rendered with the model's own chat template."""

import json
from types import SimpleNamespace

import pytest

from pytest_ftcompare.tasks import DataError, Example
from pytest_ftcompare.tasks.base import Source, Task
from pytest_ftcompare.tasks.hub import locate
from pytest_ftcompare.training.chat import render_messages

MESSAGES = [{"role": "user", "content": "the server is down"}]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def task(**changes):
    source = Source("x", "train", lambda row, _: [])
    return Task(
        "tickets", ("calm", "urgent"), source, source, text_template="{m}", chat="m", **changes
    )


@pytest.fixture
def tokenizer():
    from transformers import AutoTokenizer

    made = AutoTokenizer.from_pretrained(locate("models", "pocket/opt-0.4m", None))
    made.chat_template = TEMPLATE
    return made


def text(tokenizer, **changes):
    (one,) = render_messages(
        task(**changes), [Example({"m": json.dumps(MESSAGES)}, 0)], tokenizer, "a model"
    )
    return one.fields["m"]


def test_the_template_renders_the_messages(tokenizer):
    assert text(tokenizer) == "<user>the server is down"


def test_a_generative_task_gets_the_generation_prompt(tokenizer):
    assert text(tokenizer, generative=True) == "<user>the server is down<assistant>"


def test_a_begin_token_that_the_tokenizer_adds_is_not_there_twice(tokenizer):
    tokenizer.chat_template = "{{ bos_token }}" + TEMPLATE
    ids = tokenizer(text(tokenizer))["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1


def test_a_begin_token_stays_if_the_tokenizer_adds_none(tokenizer):
    silent = SimpleNamespace(
        chat_template="x",
        bos_token="<s>",
        bos_token_id=1,
        apply_chat_template=lambda messages, **_: f"<s>{messages[0]['content']}",
    )
    made = type("Silent", (), {**vars(silent), "__call__": lambda self, text: {"input_ids": []}})()
    made.apply_chat_template = silent.apply_chat_template
    assert text(made) == "<s>the server is down"


def test_a_model_without_a_template_is_refused(tokenizer):
    tokenizer.chat_template = None
    with pytest.raises(
        DataError, match="expected a model with a chat template, the tokenizer of a model has none"
    ):
        text(tokenizer)


def test_messages_that_the_template_refuses_name_the_row(tokenizer):
    tokenizer.chat_template = "{{ raise_exception('system first') }}"
    with pytest.raises(
        DataError,
        match=r"expected messages that the chat template of a model takes, "
        r"row 0 .*system first",
    ):
        text(tokenizer)
