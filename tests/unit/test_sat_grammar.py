"""Completions made of pieces whose meaning is known: the verdict must follow from the meanings.

The checker below never sees a text. It knows what each piece says, and one rule: an answer says one
thing in one style, and names every variable once.
"""

import random
from collections.abc import Callable

from reward_fns.sat import score_sat
from tests.unit.test_reward_sat import env_of

NUM_COMPLETIONS = 100_000
Said = list[tuple[str, int]]
"""What a text says: (style, literal), style `odd` for names that are negated or spelled oddly."""
Piece = tuple[str, Said]

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
MINUS = "-----\u2010\u2011\u2013\u2212\uff0d"
NAMES = ("x{}", "X{}", "x_{}", "x_{{{}}}", "**x{}**", "`x{}`", "$x_{}$", "\\mathbf{{x}}_{}",
         '"x{}"', "x0{}", "\\text{{x{}}}")  # fmt: skip
SIGNS = ("=", " = ", ":", ": ", " := ", "==", " | ", "\uff1d", " \uff1d ", "\uff1a", " \u2192 ",
         " &= ", " \\to ", "   =\t ", "=" + " " * 40)  # fmt: skip
VALUES = {
    True: ("True", "true", "TRUE", "1", "**True**", "\\text{True}", "\\mathrm{True}", "`1`"),
    False: ("False", "false", "FALSE", "0", "*False*", "\\text{False}", "\\textbf{0}", "$0$"),
}
LIST_SEPARATORS = (
    ", ",
    ",",
    "; ",
    "\n",
    " and ",
    "\uff0c",
    " \\land ",
    "\\\\",
    "\n- ",
    "\n* ",
    " & ",
)
PROSE = ("", "The answer is ", "Answer: ", "So we get: ", "It follows that ",
         "There are 3 clauses. ", "By (x1 ∨ ¬x2), ", "For x1, x2 and so on: ", "Done!\n",
         "e.g. 2.5 of them: ", "v1: ")  # fmt: skip
NEGATIONS = ("¬", "~", "!", "-", "not ", "NOT ", "¬ ", "~ ", "\\neg ", "\\lnot ", "¬(", "not (",
             "-(", "\u2212", "\uffe2")  # fmt: skip


def right(said: Said, num_vars: int, clauses: list[list[int]], satisfiable: bool) -> bool:
    """Whether what a text says is right, by the rule alone."""
    if {style for style, _ in said} == {"unsat"}:
        return not satisfiable
    literals = [literal for _, literal in said]
    return (
        len({style for style, _ in said}) == 1
        and said[0][0] != "odd"
        and sorted(map(abs, literals)) == list(range(1, num_vars + 1))
        and all(set(clause) & set(literals) for clause in clauses)
    )


def assignment(coins: random.Random, literal: int) -> Piece:
    """One variable's value in any spelling."""
    number = str(abs(literal))
    if coins.random() < 0.1:
        number = number.translate(SUBSCRIPTS)
    name, sign = coins.choice(NAMES).format(number), coins.choice(SIGNS)
    return f"{name}{sign}{coins.choice(VALUES[literal > 0])}", [("names", literal)]


def plain_assignment(literal: int) -> Piece:
    return f"x{abs(literal)}={literal > 0}", [("names", literal)]


def denial(coins: random.Random, literal: int) -> Piece:
    """A negated name with a value, a name with a negated value, or a name that is negated alone."""
    number, value = abs(literal), coins.choice(VALUES[literal > 0])
    text = coins.choice(
        (
            f"{coins.choice(NEGATIONS)}x{number} = {value}",
            f"x{number} = not {value}",
            f"x{number}=¬{value}",
            f"x{number} != {value}",
            f"x{number} \\neq {value}",
            "x" + "１２３４５６７８９"[number % 9] + f"={value}",
        )
    )
    return text, [("odd", literal)]


def number(coins: random.Random, literal: int) -> str:
    """One literal in any spelling."""
    sign = coins.choice(("", "", "+")) if literal > 0 else coins.choice(MINUS)
    return coins.choice(("{}", "{}", "{}", "**{}**", "`{}`", "${}$")).format(
        f"{sign}{abs(literal)}"
    )


def numbers(coins: random.Random, literals: list[int]) -> Piece:
    """A list of literals on one line, as people or solvers write it."""
    text = coins.choice((" ", ", ", ",", "  ", "\uff0c")).join(number(coins, x) for x in literals)
    form = coins.choice(
        ("{}", "{}", "[{}]", "({})", "v {} 0", "{}.", "\\boxed{{{}}}", "Answer: {}")
    )
    return form.format(text), [("numbers", literal) for literal in literals]


def join(pieces: list[Piece], separator: Callable[[], str]) -> Piece:
    text = "".join(separator() * (i > 0) + text for i, (text, _) in enumerate(pieces))
    return text, [one for _, said in pieces for one in said]


def chosen(coins: random.Random, num_vars: int) -> list[int]:
    literals = [coins.choice((v, -v)) for v in range(1, num_vars + 1)]
    return coins.sample(literals, num_vars) if coins.random() < 0.3 else literals


def spoiler(coins: random.Random, num_vars: int) -> int:
    """A literal of any size, also of variables that there are not."""
    size = coins.choice((num_vars, num_vars, num_vars, num_vars + 3, 10**9, 10**25, 10**60))
    return coins.randint(1, size) * coins.choice((1, -1))


def named(coins: random.Random, num_vars: int) -> Piece:
    """Assignments by name, with more of them, denials and literals among them now and then."""
    plain = coins.random() < 0.3
    literals = chosen(coins, num_vars)
    pieces = [plain_assignment(x) if plain else assignment(coins, x) for x in literals]
    if coins.random() < 0.4:
        extra, kind = spoiler(coins, num_vars), coins.randrange(4)
        piece = denial(coins, extra) if kind == 0 else assignment(coins, extra)
        if kind == 1:
            piece = str(extra), [("numbers", extra)]
        elif kind == 2:
            piece = f"¬x{abs(extra)}", [("odd", -abs(extra))]
        pieces.insert(coins.randrange(len(pieces) + 1), piece)
        if kind in (1, 2):  # read as an item of the list only
            return join(pieces, lambda: coins.choice((", ", ",", "; ", ",\n")))
    elif len(pieces) > 1 and coins.random() < 0.1:
        pieces.pop()
    text, said = join(pieces, lambda: coins.choice(LIST_SEPARATORS))
    form = coins.choice(
        ("{}", "{}", "{}.", "\\boxed{{{}}}", "\\[{}\\]", "{{{}}}", "({})", "\u200b{}")
    )
    return coins.choice(PROSE) + form.format(text), said


def listed(coins: random.Random, num_vars: int) -> Piece:
    """Lines of literals; the last ends the text."""
    literals = chosen(coins, num_vars)
    if coins.random() < 0.3:
        literals.insert(coins.randrange(len(literals) + 1), spoiler(coins, num_vars))
    cut = coins.randrange(len(literals)) if coins.random() < 0.3 else 0
    pieces = [numbers(coins, part) for part in (literals[:cut], literals[cut:]) if part]
    if coins.random() < 0.2:
        pieces.insert(coins.randrange(len(pieces)), numbers(coins, chosen(coins, num_vars)))
    if coins.random() < 0.2:
        pieces.insert(0, (coins.choice(("I found this:", "With 3 clauses:", "n = 3")), []))
    return join(pieces, lambda: "\n")


def unsat(coins: random.Random) -> Piece:
    words = ("UNSAT", "unsatisfiable", "**UNSAT**.", "Answer: UNSAT",
             "The formula is unsatisfiable.", "\\boxed{\\text{UNSAT}}")  # fmt: skip
    return coins.choice(words), [("unsat", 0)]


def answer(coins: random.Random, num_vars: int) -> Piece:
    """One style, or two of them on lines of their own."""
    makers = (named, named, named, listed, listed, lambda coins, _: unsat(coins))
    pieces = [coins.choice(makers)(coins, num_vars)]
    if coins.random() < 0.15:
        pieces.append(coins.choice(makers)(coins, num_vars))
        if [said[0][0] for _, said in pieces if said].count("unsat") == 1:
            pieces = [piece if piece[1] else ("x1=1", [("names", 1)]) for piece in pieces]
    return join(pieces, lambda: "\n")


def completion(coins: random.Random, num_vars: int) -> Piece:
    """An answer, with thoughts and tags around it."""
    text, said = answer(coins, num_vars)
    other = answer(coins, num_vars)[0]
    open_tag, close_tag = coins.choice((("<think>", "</think>"), ("<THINKING>", "</Thinking>")))
    case = coins.randrange(12)
    if case == 0:
        return f"{open_tag}{other}{close_tag}{text}", said
    if case == 1:
        return f"{open_tag}{text}{close_tag}I do not know", []
    if case == 2:
        return f"{open_tag}{other}\n<answer>{text}</answer>", []
    if case == 3:
        return f"{other}\n<answer>{text}</answer> {other}", said
    if case == 4:
        return f"{other}{close_tag}<Answer>{other}</answer><answer>{text}</ANSWER>", said
    if case == 5:
        return f"{text}\n{open_tag}{other}", said
    return text, said


def test_the_verdict_follows_from_the_meaning_of_the_pieces() -> None:
    coins = random.Random(7)
    problems = []
    for number in range(60):
        n = 1 + number % 4
        clauses = [
            [v * coins.choice((1, -1)) for v in coins.sample(range(1, n + 1), coins.randint(1, n))]
            for _ in range(coins.randint(1, 3))
        ]
        values = [[v if bits >> v & 1 else -v for v in range(1, n + 1)] for bits in range(0, 32, 2)]
        satisfiable = any(all(set(c) & set(value) for c in clauses) for value in values)
        problems.append((env_of(clauses, n, satisfiable), n, clauses, satisfiable))
    num_right, wrong = 0, []
    for _ in range(NUM_COMPLETIONS):
        env, *problem = coins.choice(problems)
        text, said = completion(coins, problem[0])
        expected = right(said, *problem)
        num_right += expected
        if (score_sat(text, env).value == 1) != expected:
            wrong.append((text, said, score_sat(text, env), env))
    assert wrong[:20] == []
    assert 0.1 < num_right / NUM_COMPLETIONS < 0.8
