"""Reads the input that an answer to an ABD problem proposes, and compares outputs of programs."""

import re

OPEN_TAG, CLOSE_TAG = "<INPUT>", "</INPUT>"
_THOUGHT = re.compile(r"<(/?)think(?:ing)?>", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r"<(/?)input>", re.ASCII | re.IGNORECASE)


def extract_input(completion: str) -> str | None:
    """Return the input in the last `<INPUT>…</INPUT>` outside think tags; None if there is none.

    Tags may be in any case. Lines lose their trailing blanks, the input its trailing blank lines;
    what stands on the opening tag's own line loses its leading blanks too, and is no line if it is
    blank. An input that is not empty ends in a newline.
    """
    content = _last_content(without_thoughts(completion))
    if content is None:
        return None
    first, *others = content.replace("\r\n", "\n").split("\n")
    lines = [line.rstrip() for line in ([first.lstrip(), *others] if first.strip() else others)]
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n" if lines else ""


def input_text(stdin: str) -> str:
    """Write an input as an answer: what `extract_input` reads back, up to trailing blanks."""
    return f"{OPEN_TAG}\n{stdin.rstrip()}\n{CLOSE_TAG}"


def has_unclosed_input(completion: str) -> bool:
    """Whether an `<INPUT>` outside think tags is never closed, and no other one is."""
    text = without_thoughts(completion)
    return _last_content(text) is None and any(not m[1] for m in _TAG.finditer(text))


def without_thoughts(completion: str) -> str:
    """Return a completion without its `<think>` and `<thinking>` parts, closed or not.

    A closing tag without an opening one ends a thought that began in the prompt.
    """
    if "<" not in completion:
        return completion
    kept: list[str] = []
    end, thinking = 0, False
    for tag in _THOUGHT.finditer(completion):
        closes = tag[1] == "/"
        if closes and not thinking:
            kept.clear()
        elif not closes and not thinking:
            kept.append(completion[end : tag.start()])
        thinking = not closes
        end = tag.end()
    return "".join(kept) if thinking else "".join(kept) + completion[end:]


def same_output(expected: str, actual: str) -> bool:
    """Whether two outputs are equal, or are but for blanks at line ends and blank last lines."""
    return expected == actual or _lines(expected) == _lines(actual)


def _lines(output: str) -> list[str]:
    lines = [line.rstrip() for line in output.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _last_content(text: str) -> str | None:
    """What stands between the last closed pair of tags; an inner opening tag opens anew."""
    start, content = None, None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            start = tag.end()
        elif start is not None:
            content, start = (start, tag.start()), None
    return None if content is None else text[slice(*content)]
