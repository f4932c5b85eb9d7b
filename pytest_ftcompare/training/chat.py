"""A conversation as the model's own chat template writes it, in the place of its messages.

Called by prepare.py for a task with a column of messages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_ftcompare.tasks import DataError, Example, Task


def rendered(task: Task, examples: Sequence[Example], tokenizer: Any, model: str) -> list[Example]:
    """The examples with the task's chat field as the text that the model is to read, without the
    answer.

    Where the answer is written, the text ends as the template has it before one. A begin token that
    the tokenizer adds by itself is not left in the text, or the model would read it twice.
    """
    if not tokenizer.chat_template:
        raise DataError(
            f"task {task.name}: expected a model with a chat template, the tokenizer of {model} has none"
        )
    begin = tokenizer.bos_token or ""
    if begin and tokenizer("")["input_ids"][:1] != [tokenizer.bos_token_id]:
        begin = ""
    written = []
    for number, example in enumerate(examples):
        messages = json.loads(example.fields[task.chat])
        try:
            text = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=task.generative
            )
        except Exception as error:  # a template raises what it likes
            raise DataError(
                f"task {task.name}: expected messages that the chat template of {model} takes, "
                f"example {number} has others ({error})"
            ) from None
        written.append(
            replace(example, fields={**example.fields, task.chat: text.removeprefix(begin)})
        )
    return written
