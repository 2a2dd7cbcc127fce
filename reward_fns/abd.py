"""What an answer to a program abduction (ABD) problem is worth: does its input give the output?

Any input that makes the program print the expected output is right. The program runs in the
sandbox; the expected output never enters it, and outputs are compared outside. Usable alone in TRL
on rows with the columns `task` and `env` (`{"program", "expected_output"}` as a JSON string).
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache

from reward_fns.abductions import extract_input, has_unclosed_input, same_output
from reward_fns.program_runs import Outcome, run_all
from reward_fns.protocol import reward_of
from reward_fns.records import Score

TASK = "abd"
_CORRECT, _NO_INPUT = Score(1.0, "correct"), Score(0.0, "no_input")
_UNSCORED = Score(None, "sandbox")

Judge = Callable[[str, str, Outcome], Score]
"""Judges a run by (completion, expected output, outcome)."""


def score_abd(completion: str, env: str) -> Score:
    """Score 1 iff the program, given the proposed input, ends well and prints what is expected.

    0 for no input in tags, another output, and a program that fails, exits or meets a limit; None
    where the sandbox failed. Raises ValueError for a broken env, never for a completion, and
    SandboxError where programs cannot be run safely.
    """
    return score_abd_batch([completion], [env])[0]


def score_abd_affine(completion: str, env: str) -> Score:
    """Score as the reward functions that Affine registers at Gradients.

    1 for the output, .1 for an unclosed tag, .2 for a run that fails or writes to stderr, else
    .3 + .6 times the share of characters that agree, at most .95; 0 without tags.
    """
    return score_abd_affine_batch([completion], [env])[0]


def score_abd_batch(completions: Sequence[str], envs: Sequence[str]) -> list[Score]:
    """Return `score_abd` of each completion, the runs spread over the servers of the sandbox."""
    return _scores(_judge, completions, envs)


def score_abd_affine_batch(completions: Sequence[str], envs: Sequence[str]) -> list[Score]:
    """Return `score_abd_affine` of each completion."""
    scores = _scores(_judge_affine, completions, envs)
    return [
        Score(0.1, "unclosed_tag") if s is _NO_INPUT and has_unclosed_input(c) else s
        for c, s in zip(completions, scores, strict=True)
    ]


@reward_of(TASK)
def abd_reward_fn(completions: Sequence[str], envs: Sequence[str]) -> list[Score]:
    """Reward completions by `score_abd`, in TRL's protocol: None for other tasks."""
    return score_abd_batch(completions, envs)


@reward_of(TASK)
def abd_affine_reward_fn(completions: Sequence[str], envs: Sequence[str]) -> list[Score]:
    """Reward completions by `score_abd_affine`, in TRL's protocol."""
    return score_abd_affine_batch(completions, envs)


def _scores(judge: Judge, completions: Sequence[str], envs: Sequence[str]) -> list[Score]:
    problems = [_parse(env) for env in envs]
    inputs = [extract_input(completion) for completion in completions]
    rows = zip(problems, inputs, strict=True)
    runs = [(program, stdin) for (program, _), stdin in rows if stdin is not None]
    outcomes = iter(run_all(runs))
    scores = []
    for completion, (_, expected), stdin in zip(completions, problems, inputs, strict=True):
        if stdin is None:
            scores.append(_NO_INPUT)
            continue
        outcome = next(outcomes)
        scores.append(_UNSCORED if outcome is None else judge(completion, expected, outcome))
    return scores


def _judge(completion: str, expected: str, outcome: Outcome) -> Score:
    if outcome.status != "ok":
        return Score(0.0, outcome.status)
    return _CORRECT if same_output(expected, outcome.stdout) else Score(0.0, "wrong_output")


def _judge_affine(completion: str, expected: str, outcome: Outcome) -> Score:
    if outcome.status != "ok" or outcome.has_stderr:
        return Score(0.2, "error" if outcome.status == "ok" else outcome.status)
    if same_output(expected, outcome.stdout):
        return _CORRECT
    return Score(min(0.3 + 0.6 * _similarity(expected, outcome.stdout), 0.95), "wrong_output")


def _similarity(expected: str, actual: str) -> float:
    """The share of places, of the longer text, at which two texts have the same character."""
    longest = max(len(expected), len(actual))
    return sum(a == b for a, b in zip(expected, actual, strict=False)) / max(longest, 1)


@lru_cache(maxsize=1024)
def _parse(env: str) -> tuple[str, str]:
    """The program and the expected output of an env; ValueError says what is wrong with it."""
    try:
        payload = json.loads(env)
    except ValueError:
        raise ValueError("env is not JSON: an ABD row holds program and expected_output") from None
    values = []
    for name in ("program", "expected_output"):
        value = payload.get(name) if isinstance(payload, dict) else None
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"env has no text in {name!r}: an ABD row needs it")
        values.append(value)
    return values[0], values[1]
