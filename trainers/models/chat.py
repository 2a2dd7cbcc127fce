"""Chat templates: what a conversation looks like to a model, on which day, and how a turn ends."""

import json
import re
from datetime import date, datetime, time
from functools import cache
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

TEMPLATE_ERRORS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError)
ANSWER = "forty-two"
"""Stands for an answer in a conversation that is rendered to see what follows it."""


def render_chat(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], today: date | None = None,
    **options: Any,
) -> str:  # fmt: skip
    """Return the text of a conversation; a template that asks for the time gets `today`, 0:00."""
    template = tokenizer.get_chat_template()
    if today is not None:
        template = _with_fixed_clock(template, today)
    return str(
        tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, **options)
    )


@cache
def _with_fixed_clock(template: str, today: date) -> str:
    """Put a Jinja macro in front that hides strftime_now, which transformers gives to templates.

    No function of ours may be handed to a template, so the macro replaces the directives, each of
    which stands somewhere in the template.
    """
    midnight = datetime.combine(today, time())
    words = {"%%": "\0"}
    for directive in sorted(set(re.findall("%-?[a-zA-Z]", template)), key=len, reverse=True):
        words[directive] = midnight.strftime(directive)
    words["\0"] = "%"
    filters = "".join(f"|replace({json.dumps(a)},{json.dumps(b)})" for a, b in words.items())
    # The line break behind a block is not rendered.
    macro = f"{{% macro strftime_now(format) %}}{{{{ format{filters} }}}}{{% endmacro %}}"
    return f"{macro}\n{template}"


def turn_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the token with which the chat template ends an assistant's turn, if it has one."""
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": ANSWER}]
    try:
        text = render_chat(tokenizer, turns)
    except TEMPLATE_ERRORS:
        return None  # its users' turns may well be all that it is for
    _, answer, rest = text.rpartition(ANSWER)
    if not answer:
        return None
    ids = tokenizer(rest.lstrip(), add_special_tokens=False)["input_ids"]
    return int(ids[0]) if ids and int(ids[0]) in tokenizer.added_tokens_decoder else None
