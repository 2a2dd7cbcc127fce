"""What makes a program and an input a problem: the checks that each has to pass.

A problem is a program and an output that the program prints on its gold input, the same on a second
run. The rest is left out, and counted by reason:

failed         the program fails, or is stopped, on its gold input
unstable       a second run prints something else
empty_output   nothing is printed
too_long       program, input or output are longer than the config allows
echo           the output is the input, or gives itself when it is read as the input
constant       every other input gives the same output
ambiguous      more than `max_chance` of other inputs do, or the empty one does
no_words       the compact style has no words for it
"""

import hashlib
from collections.abc import Sequence

from reward_fns.abductions import same_output

TASK = "abd"
NUM_SCREENED = 16
"""Random inputs on which a generated program is tried."""


def unfit(
    gold: str,
    output: str | None,
    empty: str | None,
    again: str | None,
    others: Sequence[str | None],
    max_chance: float,
) -> str | None:
    """Return why a program's gold input makes no problem, None if it makes one.

    `output`, `empty`, `again` and `others` are what the program prints on the gold input, on the
    empty one, on its own output and on random inputs; None where it fails.
    """
    if output is None:
        return "failed"
    if not output.strip():
        return "empty_output"
    if same_output(output, gold):
        return "echo"
    same = sum(solves(output, other) for other in others)
    if others and same == len(others):
        return "constant"
    if same > max_chance * len(others) or solves(output, empty):
        return "ambiguous"
    return "echo" if solves(output, again) else None


def solves(expected: str, actual: str | None) -> bool:
    """Tell whether a run printed what was expected."""
    if actual is None or actual.split() != expected.split():
        return False  # the quicker look: what differs in words is not the same
    return same_output(expected, actual)


def fingerprint(program: str, output: str) -> int:
    """Return 64 bits that tell problems apart: equal ones ask for the same output of a program."""
    text = f"{program}\0{output.rstrip()}"
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:8], "big")
