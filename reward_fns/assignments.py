"""Reads an assignment of x1..xn from free text: `x1 = true`, `**x1**: 1`, `1 -2 3`, `UNSAT`.

Whatever looks like an assignment or a literal counts, and a text may use one style, so that no
answer says two things. Nothing here raises, whatever the text: patterns have no nested repeats and
meet single blanks only, no number is made of more than 18 digits, and longer answers than any
honest one are refused unread.
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
    {
        **dict.fromkeys("*_`$\"'{}\\\u200b\u200c\u200d\u2060\ufeff", None),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-"),
        **dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)),
        **dict(zip("\uff1d\uff1a\uff0c\uff1b\uff0b\uff5c\uff08\uff09\uff3b\uff3d\uff0e\uff5e\uffe2",
                   "=:,;+|()[].~¬", strict=True)),
        "\u2192": "=",
        "&": " ",
    }
)  # fmt: skip
_LATEX = re.compile(r"\\{1,2}(?:(?:begin|end)\{[a-zA-Z*]*\}|([a-zA-Z]{2,})(?![a-zA-Z0-9_]))|\\\\")
_LATEX_SIGNS = {
    **dict.fromkeys(("neg", "lnot", "not", "sim", "bar", "overline"), "¬"),
    **dict.fromkeys(("to", "rightarrow"), "="),
    **dict.fromkeys(("ne", "neq"), "≠"),
}
_LATEX_STYLE = re.compile(
    r"text[a-z]*|math[a-z]*|[fm]box|boxed|operatorname|q?quad|left|right|ensuremath|displaystyle"
)

_ASSIGNMENT = re.compile(
    r"x(?<!\wx)(?<=(.{7})x)(\d+)"
    r"(\)?[ \n]?(?::=|==|=|:|\||!=|≠)[ \n]?(?:not[ \n]|[¬!~-][ \n]?)?)"
    r"(true|false|1|0)(?!\w|\.[0-9])",
    re.IGNORECASE | re.DOTALL,
)
"""What stands before the name, its number, what is between number and value, the value."""
_BEFORE_TEXT = "\n" * 7
_NEGATION = re.compile(
    r"(?:(?<!\w)not(?=[ \n(])[ \n]?(?:\([ \n]?)?|[¬~][ \n]?(?:\([ \n]?)?|[!-]\(?)\Z",
    re.IGNORECASE,
)
_INVERSION = re.compile(r"!=|≠|not|[¬!~-]", re.IGNORECASE)
_MARK = "\0"
"""Takes the place of an assignment that was read."""
_NEGATED_NAME = re.compile(
    r"(?:^|[,;\n\0]) ?(?:not |[¬~] ?|[!-])x(\d+)(?= ?(?:[,;.\n]|$))", re.IGNORECASE
)
_LITERAL_BESIDE = re.compile(
    r"(?<![\w.+-])[+-][0-9]+(?!\w|\.[0-9])"  # a signed number anywhere
    r"|\0 ?[,;] ?[0-9]+ ?(?=[,;\n\0]|$)|(?:^|[,;\n]) ?[0-9]+ ?[,;] ?\0"  # an item of the list
    r"|(?:^|[\n\0]) ?v [0-9]"
)
_LABEL = re.compile(r"(?:(?:the |my )?(?:final )?(?:answer|assignment)(?: is)?:? )", re.IGNORECASE)
_LITERALS = re.compile(r"(?:v )?[+-]?[0-9]+(?: [+-]?[0-9]+)*")
_BRACKETS = str.maketrans(dict.fromkeys("[](),", " "))
_COMPACT_FORMULA = re.compile(r"[-+0-9;= ]*")
_NO_SOLUTION = re.compile(r"(?:(?:the |this )?formula is )?unsat(?:isfiable)?", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_NUMBER_DIGITS = 18
_TOO_LARGE = 10**_NUMBER_DIGITS
"""Stands for numbers of more digits, which no formula has as variables."""


def read_assignment(answer: str, num_vars: int) -> list[int] | str:
    """Return the literals of an answer, one for each variable, or `UNSAT`, or why there are none.

    The reasons are `too_long`, `no_answer`, `mixed_styles`, `unknown_variable`, `contradiction`,
    `repeated_variable` and `missing_variable`. Every variable 1..num_vars must be named exactly
    once: assignments anywhere in the text, or lines of literals of which the last ends the text,
    or a last line that says that there is no solution. A negated name gives no value, but counts
    as naming its variable. The instruction of the affine prompt, if the answer repeats it, is not
    read.
    """
    if len(answer) > ANSWER_CHARS + ANSWER_CHARS_PER_VARIABLE * num_vars:
        return "too_long"
    lines = _plain_lines(answer)
    first, *found = _ASSIGNMENT.split(_BEFORE_TEXT + "\n".join(lines))
    if found:
        return _read_names(found, _MARK.join([first, *found[4::5]]), num_vars)
    if literals := _literal_list(" ".join(lines), anywhere=False):
        each = [_literals(line) for line in lines] if 0 in literals else []
        if each and all(each):  # each line of a solver's ends in 0
            literals = [literal for line in each for literal in line]
        return _complete(literals, [], num_vars)
    return _read_lines(lines, num_vars) if lines else "no_answer"


def _plain_lines(answer: str) -> list[str]:
    """The lines of an answer that are not blank, without an echo of the prompt and without markup.

    Blanks are single, and every sign is spelled in one way.
    """
    start = answer.rfind(_INSTRUCTION)
    if start >= 0:
        end = answer.find(_INSTRUCTION_END, start)
        answer = answer[end + len(_INSTRUCTION_END) :] if end >= 0 else ""
    text = answer.replace(_EXAMPLE, "")
    if "\\" in text:
        text = _LATEX.sub(_without_latex, text)
    lines = (" ".join(line.split()) for line in text.translate(_MARKUP).splitlines())
    return [line for line in lines if line]


def _without_latex(command: re.Match[str]) -> str:
    """What a command of LaTeX stands for: a sign, a new line, or nothing but its braces."""
    word = command[1]
    if word is None:
        return "\n" if command[0] == "\\\\" else " "
    if word in _LATEX_SIGNS:
        return _LATEX_SIGNS[word]
    return " " if _LATEX_STYLE.fullmatch(word) else f" {word} "


def _read_names(found: list[str], rest: str, num_vars: int) -> list[int] | str:
    """Read assignments, given as the groups of each and what follows it; `rest` is other text."""
    befores, numbers, links, values = (found[i::5] for i in range(4))
    plain = [
        _number(number) if value[0] in "1tT" else -_number(number)
        for number, value in zip(numbers, values, strict=True)
    ]
    odd: list[int] = []
    negated = {before for before in set(befores) if _NEGATION.search(before)}
    inverted = {link: len(_INVERSION.findall(link)) for link in set(links)}
    if (
        negated
        or any(inverted.values())
        or ")" in "".join(inverted)
        or not "".join(numbers).isascii()
    ):
        named, plain = plain, []
        for literal, before, number, link in zip(named, befores, numbers, links, strict=True):
            flips = (before in negated) + inverted[link]
            if flips or not number.isascii():
                odd.append(-literal if flips % 2 else literal)
            elif ")" not in link:  # a bracket without a negation is as in `f(x1) = 1`
                plain.append(literal)
    if _DIGIT.search(rest):
        lines = rest.split("\n")
        if _LITERAL_BESIDE.search(rest) or any(map(_literals_beside, lines)):
            return "mixed_styles"
        odd += [-_number(number) for number in _NEGATED_NAME.findall(rest)]
    if "unsat" in rest.lower() and any(map(_says_unsat, rest.split("\n"))):
        return "mixed_styles"
    return _complete(plain, odd, num_vars)


def _read_lines(lines: list[str], num_vars: int) -> list[int] | str:
    """Read lines of which the last is a list of literals or says UNSAT; every list counts."""
    above = [literal for line in lines[:-1] for literal in _literals_beside(line)]
    literals = _literal_list(lines[-1], anywhere=True)
    says_unsat = [_says_unsat(line) for line in lines]
    if any(says_unsat) and (above or literals):
        return "mixed_styles"
    if literals:
        return _complete(above + literals, [], num_vars)
    return UNSAT if says_unsat[-1] else "no_answer"


def _literals_beside(line: str) -> list[int]:
    """The literals of a line that is a list, though the answer is another line.

    A single number after a `=` may be the value of another name (`n = 3`).
    """
    literals = _literals(line.rpartition("=")[2])
    return [] if len(literals) == 1 and "=" in line else literals


def _literal_list(line: str, anywhere: bool) -> list[int]:
    """The literals of a text that is a list, or that ends in one after a `=`; else none.

    Before the `=` may stand a compact formula, or with `anywhere` also words without literals.
    """
    before, equals, last = line.rpartition("=")
    if not equals or _COMPACT_FORMULA.fullmatch(before):
        return _literals(last)
    if not anywhere or "=" in before or _LITERAL_BESIDE.search(before):
        return []
    return _literals(last)


def _literals(text: str) -> list[int]:
    """The literals of `1 -2 3`, `[+1, -2]` or `v 1 -2 0`; none if the text holds other words."""
    if not text or text[-1].isalpha():
        return []
    line = " ".join(f"{text.translate(_BRACKETS)} ".replace(". ", " ").split())
    line = line[label.end() :] if (label := _LABEL.match(line)) else line
    if not _LITERALS.fullmatch(line):
        return []
    literals = [_number(word) for word in line.removeprefix("v ").split()]
    return literals[:-1] if literals[-1] == 0 else literals


def _number(word: str) -> int:
    """The value of a number of any length."""
    if len(word) <= _NUMBER_DIGITS:
        return int(word)
    return -_TOO_LARGE if word.startswith("-") else _TOO_LARGE


def _says_unsat(line: str) -> bool:
    """Whether a line is nothing but the statement that there is no solution."""
    line = line[label.end() :] if (label := _LABEL.match(line)) else line
    return _NO_SOLUTION.fullmatch(line.strip(" .!()[]")) is not None


def _complete(plain: list[int], odd: list[int], num_vars: int) -> list[int] | str:
    """The plain literals if each variable 1..num_vars is named by exactly one, else the reason."""
    literals = plain + odd
    if any(not 1 <= abs(literal) <= num_vars for literal in literals):
        return "unknown_variable"
    distinct = set(literals)
    if any(-literal in distinct for literal in distinct):
        return "contradiction"
    if len(distinct) < len(literals):
        return "repeated_variable"
    return plain if len(plain) == num_vars else "missing_variable"
