"""Reads the input that an answer to an ABD problem proposes, and compares outputs of programs."""

import re

from reward_fns.answers import last_tagged, without_thoughts

OPEN_TAG, CLOSE_TAG = "<INPUT>", "</INPUT>"
_INPUT_TAG = re.compile(r"<(/?)input>", re.ASCII | re.IGNORECASE)


def extract_input(completion: str) -> str | None:
    """Return the input in the last `<INPUT>…</INPUT>` outside think tags; None if there is none.

    Tags may be in any case. Lines lose their trailing blanks, the input its trailing blank lines;
    what stands on the opening tag's own line loses its leading blanks too, and is no line if it is
    blank. An input that is not empty ends in a newline.
    """
    content = last_tagged(without_thoughts(completion), _INPUT_TAG)
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
    return last_tagged(text, _INPUT_TAG) is None and any(
        not m[1] for m in _INPUT_TAG.finditer(text)
    )


def same_output(expected: str, actual: str) -> bool:
    """Whether two outputs are equal, or are but for blanks at line ends and blank last lines."""
    return expected == actual or _lines(expected) == _lines(actual)


def _lines(output: str) -> list[str]:
    lines = [line.rstrip() for line in output.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines
