"""Which part of a completion is the answer, and how a completion of any shape becomes text."""

import re

_THOUGHT_TAG = re.compile(r"<(/?)think(?:ing)?>", re.ASCII | re.IGNORECASE)
_ANSWER_TAG = re.compile(r"<(/?)answer>", re.ASCII | re.IGNORECASE)


def final_answer(completion: str) -> str:
    """Return what stands in the last `<answer>…</answer>` outside think tags.

    A completion without such a part is its own answer, but for its thoughts. Tags may be in any
    case. Blanks around the answer are dropped.
    """
    text = without_thoughts(completion)
    content = last_tagged(text, _ANSWER_TAG) if "</" in text else None
    return (text if content is None else content).strip()


def without_thoughts(completion: str) -> str:
    """Return a completion without its `<think>` and `<thinking>` parts, closed or not.

    A closing tag without an opening one ends a thought that began in the prompt.
    """
    if "<" not in completion:
        return completion
    kept: list[str] = []
    end, thinking = 0, False
    for tag in _THOUGHT_TAG.finditer(completion):
        closes = tag[1] == "/"
        if closes and not thinking:
            kept.clear()
        elif not closes and not thinking:
            kept.append(completion[end : tag.start()])
        thinking = not closes
        end = tag.end()
    return "".join(kept) if thinking else "".join(kept) + completion[end:]


def opened_thought(prompt: str) -> str:
    """Return the tag that begins a thought at the very end of a prompt, else an empty text."""
    end = prompt[-80:].rstrip()
    if not end.endswith(">"):
        return ""
    tag = next((tag for tag in _THOUGHT_TAG.finditer(end) if tag.end() == len(end)), None)
    return "" if tag is None or tag[1] else tag[0]


def last_tagged(text: str, tag_pattern: re.Pattern[str]) -> str | None:
    """Return what stands between the last closed pair of tags; None if there is no pair.

    The pattern's first group is empty for an opening tag; an inner opening tag opens anew.
    """
    start, content = None, None
    for tag in tag_pattern.finditer(text):
        if not tag[1]:
            start = tag.end()
        elif start is not None:
            content, start = (start, tag.start()), None
    return None if content is None else text[slice(*content)]


def completion_text(completion: object) -> str:
    """Return the text of a completion: a string, or a list of chat messages (the last one counts).

    A message's content may be a string or a list of `{"type": "text", "text": …}` parts; anything
    else counts as empty, since a strange completion is a wrong answer and not an error.
    """
    if isinstance(completion, str):
        return completion
    if not isinstance(completion, list) or not completion:
        return ""
    last = completion[-1]
    content = last.get("content") if isinstance(last, dict) else last
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
