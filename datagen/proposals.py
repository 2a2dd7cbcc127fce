"""Asks a language model for new inputs of programs, and reads them out of its replies.

A proposal is text of a stranger: it becomes a problem only if the program, run on it in the
sandbox, ends well and prints something.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from datagen.replies import Question, Reply, Responder
from reward_fns.abductions import extract_input, same_output

PROMPT = """\
You write test inputs for Python programs. This program reads from standard input:

```python
{program}
```

Given this input:

<INPUT>
{example}
</INPUT>

it prints:

```
{output}
```

Write one new input for the program. The input must
- be valid: the program reads all that it needs from it, and ends soon and without an error;
- differ from the input above, and preferably lead to another output;
- keep the layout that the program expects, line by line;
- be the raw text only: no labels, no quotes around it, no code.{variation}

Put it between <INPUT> and </INPUT>. Only what stands between these tags is read.\
"""
VARIATION = "\n\nThis is try {number}: write an input that others would not think of first."


@dataclass(frozen=True, slots=True)
class Wish:
    """A new input that is wanted for a program, of which one input and its output are known."""

    program: str
    example_input: str
    example_output: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """An input to run, or why there is none."""

    stdin: str | None
    reason: str | None = None


def propose(
    responder: Responder, wishes: Sequence[Wish], *, max_input_bytes: int
) -> list[Proposal]:
    """Return a proposal for each wish, in order."""
    replies = responder.ask([Question(prompt_text(wish), wish.attempt) for wish in wishes])
    return [
        read_proposal(reply, wish.example_input, max_input_bytes)
        for wish, reply in zip(wishes, replies, strict=True)
    ]


def prompt_text(wish: Wish) -> str:
    """Write the question for a wish; each attempt has its own."""
    return PROMPT.format(
        program=wish.program.strip("\n"),
        example=wish.example_input.rstrip(),
        output=wish.example_output.rstrip(),
        variation=VARIATION.format(number=wish.attempt + 1) if wish.attempt else "",
    )


def read_proposal(reply: Reply, example: str, max_input_bytes: int) -> Proposal:
    """Read the input that a reply proposes.

    Reasons for none: the reply's own failure, no_input (no tags, or nothing in them), too_long,
    malformed (no encodable text), same_input (the example itself).
    """
    if reply.text is None:
        return Proposal(None, reply.failure or "malformed")
    stdin = extract_input(reply.text)
    if not stdin:
        return Proposal(None, "no_input")
    try:
        num_bytes = len(stdin.encode())
    except UnicodeEncodeError:
        return Proposal(None, "malformed")
    if num_bytes > max_input_bytes:
        return Proposal(None, "too_long")
    if same_output(example, stdin):  # the same text but for blanks at the ends of lines
        return Proposal(None, "same_input")
    return Proposal(stdin)
