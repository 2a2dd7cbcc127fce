"""Reads an assignment of x1..xn from free text: `x1 = true`, `**x1**: 1`, `1 -2 3`, `UNSAT`.

Nothing here raises, whatever the text: patterns have no nested repeats and match ASCII digits only,
numbers have at most seven digits, and longer answers than any honest one are refused unread.
"""

import re

UNSAT = "UNSAT"
"""What `read_assignment` returns for an answer that says that there is no solution."""

ANSWER_CHARS, ANSWER_CHARS_PER_VARIABLE = 16_384, 64
"""An answer longer than this (fixed part plus so much a variable) is too long to be one."""

_EXAMPLE = "x1=True, x2=False, ..."
_INSTRUCTION = "Provide your answer as comma-separated assignments like"
_INSTRUCTION_END = "if it has no solution."
_MARKUP = str.maketrans(
    {**dict.fromkeys("*_`$\"'{}\\", None), "\u2212": "-", "\u00a0": " ", "\u2192": "="}
)
_ASSIGNMENT = re.compile(
    r"(?<![\w¬!~-])x([0-9]{1,7})\s{0,16}(?::=|==|=|:|\|)\s{0,16}(true|false|1|0)(?!\w|\.[0-9])",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?:(?:the |my )?(?:final )?(?:answer|assignment)(?: is)?:? )", re.IGNORECASE)
_LITERALS = re.compile(r"(?:v )?[+-]?[0-9]{1,7}(?: [+-]?[0-9]{1,7})*")
_BRACKETS = str.maketrans({**dict.fromkeys("[](),", " "), ".": " "})
_NO_SOLUTION = re.compile(r"(?:(?:the |this )?formula is )?unsat(?:isfiable)?", re.IGNORECASE)


def read_assignment(answer: str, num_vars: int) -> list[int] | str:
    """Return the literals of an answer, one for each variable, or `UNSAT`, or why there are none.

    The reasons are `too_long`, `no_answer`, `unknown_variable`, `contradiction`,
    `repeated_variable` and `missing_variable`. Every variable 1..num_vars must be named exactly
    once. The instruction of the affine prompt, if the answer repeats it, is not read.
    """
    if len(answer) > ANSWER_CHARS + ANSWER_CHARS_PER_VARIABLE * num_vars:
        return "too_long"
    text = _without_echo(answer).translate(_MARKUP)
    literals = [
        int(number) if value.lower() in ("1", "true") else -int(number)
        for number, value in _ASSIGNMENT.findall(text)
    ]
    if literals:
        return _complete(literals, num_vars)
    lines = [line for line in (" ".join(line.split()) for line in text.splitlines()) if line]
    for candidate in (" ".join(lines), lines[-1] if lines else ""):
        found = _literal_list(candidate)
        if found:
            return _complete(found, num_vars)
    if lines and _says_unsat(lines[-1]):
        return UNSAT
    return "no_answer"


def _without_echo(answer: str) -> str:
    """Drop a repetition of the prompt: up to its instruction's end, and its example assignment."""
    start = answer.rfind(_INSTRUCTION)
    if start >= 0:
        end = answer.find(_INSTRUCTION_END, start)
        answer = answer[end + len(_INSTRUCTION_END) :] if end >= 0 else ""
    return answer.replace(_EXAMPLE, "")


def _literal_list(line: str) -> list[int]:
    """The literals of `1 -2 3`, `[+1, -2]` or `v 1 -2 0`; nothing if the line holds other words.

    After a compact prompt, repeated up to its `=`, only what follows counts.
    """
    line = " ".join(line.rpartition("=")[2].translate(_BRACKETS).split())
    line = line[label.end() :] if (label := _LABEL.match(line)) else line
    if not _LITERALS.fullmatch(line):
        return []
    literals = [int(word) for word in line.removeprefix("v ").split()]
    return literals[:-1] if literals[-1] == 0 else literals


def _says_unsat(line: str) -> bool:
    """Whether a line is nothing but the statement that there is no solution."""
    line = line[label.end() :] if (label := _LABEL.match(line)) else line
    return _NO_SOLUTION.fullmatch(line.strip(" .!()[]")) is not None


def _complete(literals: list[int], num_vars: int) -> list[int] | str:
    """The literals if they name each variable 1..num_vars exactly once, else the reason."""
    if any(not 1 <= abs(literal) <= num_vars for literal in literals):
        return "unknown_variable"
    distinct = set(literals)
    if any(-literal in distinct for literal in distinct):
        return "contradiction"
    if len(distinct) < len(literals):
        return "repeated_variable"
    return literals if len(literals) == num_vars else "missing_variable"
