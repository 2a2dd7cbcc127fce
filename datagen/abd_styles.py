"""How an ABD problem is written: prompt, answer, env and difficulty.

`affine` keeps the order and the tags in which Affine's models are asked; `compact` is one token a
word, for tiny models, and fits micro programs only.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from reward_fns.abductions import CLOSE_TAG, OPEN_TAG, input_text

COMPACT_OUTPUT, COMPACT_INPUT = "->", "<-"
"""What stands in a compact prompt before an output, and before an input."""
COMPACT_ASK, COMPACT_RUN = "input", "run"
"""What ends a compact prompt: asking for an input, or for the output."""
READ_ONE, READ_SEVERAL = "int(input())", "map(int,input().split())"

COMPACT_WORDS: tuple[str, ...] = (
    *(COMPACT_OUTPUT, COMPACT_INPUT, COMPACT_ASK, COMPACT_RUN, OPEN_TAG, CLOSE_TAG),
    *(";", "{", "}", READ_ONE, READ_SEVERAL, "print", "if", "else", "abs", "min", "max"),
    *("=", "+", "-", "*", "//", "%", "==", "!=", "<", ">", "<=", ">=", "(", ")", ",", ":"),
    *("n", "x", "a", "k", "m", "b", "c", "y", "z", "p", "q", "r", "s", "t", "d"),
    *(str(number) for number in range(100)),
)
"""All words of compact prompts and answers, in the order of a tokenizer's ids."""

_KNOWN = frozenset(COMPACT_WORDS)
_OUTPUTS = frozenset(("-", ";", *(str(number) for number in range(100))))
_TOKEN = re.compile(r"int\(input\(\)\)|map\(int,input\(\)\.split\(\)\)|\w+|//|[=!<>]=|\S")

_AFFINE = """\
You are an expert programmer. You are given a Python {given}, and you have to find out {unknown}.

Program:
```python
{program}
```

Expected Output:
```
{output}
```

Task: {task}

You MUST put {sought} within {open} {close} tags, for example:

{example}

I will extract only the content between these tags.

Requirements for the data within the tags:
{requirements}
4. No prefixes such as "Input:" and no explanations

Please analyze the program and provide the required input:"""


@dataclass(frozen=True)
class Wording:
    """What an `affine` prompt says of one kind of program."""

    given: str
    unknown: str
    task: str
    sought: str
    requirements: str


AFFINE_STDIN = Wording(
    given="program and the output that it printed",
    unknown="what input it read",
    task="Find the data on standard input (stdin) with which the program prints the expected "
    "output.",
    sought="the data",
    requirements="1. One line for each line that the program reads\n"
    "2. Exactly the format in which the program reads it\n"
    "3. The raw values only: no quotes around them, no names of variables",
)
AFFINE_CALL = Wording(
    given="function and the value that it returned",
    unknown="what arguments it was called with",
    task="Find arguments with which a call of `f` returns the expected output.",
    sought="the arguments",
    requirements="1. All arguments on one line, separated by commas\n"
    "2. Each argument a Python literal, with quotes around text\n"
    "3. The arguments only: not the call itself",
)


def affine_prompt(program: str, output: str, example: str, wording: Wording = AFFINE_STDIN) -> str:
    """Write the prompt of a problem; `example` shows the tags and must not be a solution."""
    return _AFFINE.format(
        **vars(wording),
        program=program,
        output=output.rstrip("\n"),
        example=input_text(example),
        open=OPEN_TAG,
        close=CLOSE_TAG,
    )


def answer_text(style: str, stdin: str) -> str:
    """Write an input in its tags."""
    if style == "compact":
        return f"{OPEN_TAG} {stdin.rstrip()} {CLOSE_TAG}"
    return input_text(stdin)


def env_text(program: str, output: str) -> str:
    """Write the JSON that the reward function reads."""
    return _json({"program": program, "expected_output": output})


def difficulty_text(label: str, knobs: Mapping[str, int]) -> str:
    """Write the difficulty of a problem."""
    return _json({"label": label, **knobs})


def compact_words(program: str) -> str | None:
    """Return a program's words separated by blanks, None if one has no token.

    Lines are separated by `;`, and blocks stand in braces.
    """
    words: list[str] = []
    depth = 0
    for line in program.split("\n"):
        text = line.lstrip()
        deeper = (len(line) - len(text)) // 4
        if deeper > depth:
            words.append("{")
        elif deeper < depth:
            words += ["}"] * (depth - deeper)
        elif words:
            words.append(";")
        depth = deeper
        words += _TOKEN.findall(text.replace("(int, input", "(int,input"))
    words += ["}"] * depth
    return " ".join(words) if _KNOWN.issuperset(words) else None


def compact_output(output: str) -> str | None:
    """Return the words of an output, None if it holds more than numbers of -99..99.

    A negative number is two words, and lines are separated by `;`.
    """
    words = output.strip().replace("-", "- ").replace("\n", " ; ").split(" ")
    return " ".join(words) if _OUTPUTS.issuperset(words) else None


def compact_prompt(program: str, output: str) -> str:
    """Write the prompt that asks for an input, of a program's words and an output's."""
    return f"{program} {COMPACT_OUTPUT} {output} {COMPACT_ASK}"


def compact_run_prompt(program: str, stdin: str) -> str:
    """Write the prompt that asks for the output, of a program's words and an input."""
    return f"{program} {COMPACT_INPUT} {stdin.rstrip()} {COMPACT_RUN}"


def _json(payload: Mapping[str, str | int]) -> str:
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
