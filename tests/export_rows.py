"""Rows for the tests of export formats: SAT and ABD problems, and traces."""

import json
from collections.abc import Iterator

from datagen.traces import Trace
from reward_fns.records import Problem

PROGRAM = "n = int(input())\nprint(n * 3 + 4)"


def sat_row(index: int, num_vars: int = 3) -> Problem:
    """A formula that its all-true answer satisfies."""
    clauses = [[v, -(v % num_vars + 1)] for v in range(1, num_vars + 1)]
    env = {"num_vars": num_vars, "k": 2, "clauses": clauses, "satisfiable": True}
    prompt = " ; ".join(" ".join(f"{x:+d}" for x in clause) for clause in clauses) + " ="
    answer = " ".join(f"+{v}" for v in range(1, num_vars + 1))
    texts = json.dumps(env, separators=(",", ":")), '{"label":"n3 k2 m3"}'
    return Problem(f"sat:train:0:{index}", "sat", "train", index, prompt, answer, *texts)


def abd_row(index: int) -> Problem:
    """A program whose output tells its input."""
    env = json.dumps({"program": PROGRAM, "expected_output": f"{index * 3 + 4}\n"})
    answer = f"<INPUT>\n{index}\n</INPUT>"
    prompt = f"Which input makes\n{PROGRAM}\nprint {index * 3 + 4}?"
    row_id = f"abd:train:0:{index}"
    return Problem(row_id, "abd", "train", index, prompt, answer, env, '{"label":"micro"}')


def mixed_rows(count: int) -> Iterator[Problem]:
    """SAT and ABD problems by turns."""
    return (sat_row(i) if i % 2 == 0 else abd_row(i) for i in range(count))


def trace_row(index: int) -> Trace:
    """The sum of two numbers, in two steps."""
    steps = [
        {"i": 0, "type": "parse", "content": f"Read {index} and 27"},
        {"i": 1, "type": "add", "content": f"Add {index} and 27"},
    ]
    return Trace.model_validate(
        {
            "prompt": f"What is {index} + 27?",
            "steps": steps,
            "final_answer": str(index + 27),
            "meta": {"topic": "addition", "index": index},
        }
    )
