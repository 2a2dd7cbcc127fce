"""What each row of a dataset must hold, looked at through what reads and judges it."""

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datagen.abd import TASK as ABD
from datagen.abd import fingerprint
from datagen.fingerprints import fingerprints, formula_fingerprint
from datagen.formats.registry import get_format
from datagen.styles import answer_text
from reward_fns.abductions import extract_input, input_text
from reward_fns.records import Problem
from reward_fns.registry import choose_rewards, score_rows


def check_formats(rows: Sequence[Problem], formats: Sequence[str]) -> list[str]:
    """Say which rows do not become a record of some format, or lose something as JSON."""
    failures = []
    for name in formats:
        record = get_format(name).record
        for row in rows:
            try:
                made = record(row)
                if json.loads(json.dumps(made, ensure_ascii=False)) != made:
                    failures.append(f"row {row.id}: its {name} record is not the same as JSON")
            except ValueError as error:
                failures.append(str(error))
    return failures


def check_scores(rows: Sequence[Problem], counts: Counter[str]) -> list[str]:
    """Say which rows' gold answers do not score 1, and which score a wrong answer above 0."""
    rewards = choose_rewards(None)
    failures = []
    for kind, texts, wanted in (
        ("gold", [row.answer for row in rows], 1.0),
        ("wrong", [wrong_answer(row) for row in rows], 0.0),
        ("wrong", [""] * len(rows), 0.0),
    ):
        scores = score_rows(rewards, rows, texts)
        counts[kind] += len(rows)
        failures += [
            f"row {row.id}: its {kind} answer scores {score.value} ({score.reason}), not {wanted}"
            for row, score in zip(rows, scores, strict=True)
            if score.value != wanted
        ]
    return failures


def wrong_answer(row: Problem) -> str:
    """Return a well-formed answer that cannot be right.

    An assignment that breaks the first clause; the input that the prompt shows as an example, or
    the empty one, neither of which may solve a problem.
    """
    if row.task == ABD:
        return input_text(extract_input(row.prompt) or "")
    env = json.loads(row.env)
    values = [True] * env["num_vars"]
    for literal in env["clauses"][0]:
        values[abs(literal) - 1] = literal < 0
    return answer_text("affine", values)


def problem_marks(rows: Sequence[Problem]) -> NDArray[np.uint64]:
    """Return 64 bits for the problem of each row, in no order.

    Formulas are the same up to the order of clauses and literals, programs up to their text.
    """
    marks: list[int] = []
    formulas: dict[tuple[int, int], list[list[list[int]]]] = {}
    for row in rows:
        env = json.loads(row.env)
        if row.task == ABD:
            marks.append(fingerprint(env["program"], env["expected_output"]))
        elif len(set(map(len, env["clauses"]))) > 1:
            marks.append(formula_fingerprint(env["clauses"]))
        else:
            size = len(env["clauses"]), len(env["clauses"][0])
            formulas.setdefault(size, []).append(env["clauses"])
    parts = [np.array(marks, np.uint64)]
    for group in formulas.values():
        literals = np.array(group, np.int64)
        parts.append(fingerprints((2 * np.abs(literals) - 2 + (literals < 0)).astype(np.uint16)))
    return np.concatenate(parts)
