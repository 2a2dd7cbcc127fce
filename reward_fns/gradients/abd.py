"""`abd_reward_fn` for the Gradients platform, which has no sandbox."""

from typing import Any

from reward_fns.abductions import extract_input, same_output
from reward_fns.evaluator.run import run_program
from reward_fns.gradients.extras import rewards_of


def abd_reward_fn(completions: Any, extra_data: Any = None, **kwargs: Any) -> list[float]:
    """Score 1.0 if the program prints the expected output when given the proposed input, else 0.0.

    Reads extra_data: a JSON string {"task_type": "ABD", "program": "...", "expected_output":
    "..."} for each completion; the input is what stands in the last <INPUT>...</INPUT>. Rows of
    other tasks, and broken ones, score 0.0.

    There is no sandbox here, and the platform's restricted execution is none: it runs in the
    trainer's own process without a limit of time or memory, and knows neither input() nor x += 1.
    So nothing is executed: the program's syntax tree is evaluated within a budget of steps.
    What that does not know scores 0.0 for every completion: import, class, try, with, yield,
    formatting by % or format(), and all names and methods but the common ones of numbers, text,
    lists, dicts and sets. So does what shows more than values, such as the order of a set, and a
    run of more than some 200,000 steps or 600 calls inside each other.
    """
    return rewards_of("ABD", judge_abd, completions, extra_data)


def judge_abd(text: str, extra: dict[str, Any]) -> float:
    """Return the reward of a completion."""
    program, expected = extra.get("program"), extra.get("expected_output")
    stdin = extract_input(text)
    if not isinstance(program, str) or not isinstance(expected, str) or not expected.strip():
        raise ValueError("an ABD row holds program and expected_output")
    if stdin is None:
        return 0.0
    printed = run_program(program, stdin)
    return float(printed is not None and same_output(expected, printed))
