"""Render conversations with the model's own chat template.

`prepare.py` calls it for a task with a column of messages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_ftcompare.tasks import DataError, Example, Task


def render_messages(
    task: Task, examples: Sequence[Example], tokenizer: Any, model: str
) -> list[Example]:
    """Return the examples with the task's chat field as the text that the model reads.

    The text has no answer. For a generative task it ends with the template's generation prompt. A
    begin token that the tokenizer adds itself is removed, or the model would read it twice. A
    missing template, or messages that it refuses, raise `DataError`.
    """
    if not tokenizer.chat_template:
        raise DataError(
            f"task {task.name}: expected a model with a chat template, "
            f"the tokenizer of {model} has none"
        )
    begin = tokenizer.bos_token or ""
    if begin and tokenizer("")["input_ids"][:1] != [tokenizer.bos_token_id]:
        begin = ""
    rendered = []
    for example in examples:
        messages = json.loads(example.fields[task.chat])
        try:
            text = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=task.generative
            )
        # A template may raise any exception.
        except Exception as error:
            raise DataError(
                f"task {task.name}: expected messages that the chat template of {model} takes, "
                f"row {example.row} has others ({error})"
            ) from None
        rendered.append(
            replace(example, fields={**example.fields, task.chat: text.removeprefix(begin)})
        )
    return rendered
