"""Writes an index with thousands of recorded results, as evaluators leave them, and what is wrong.

Each row is made with a known fate, so that what a reader keeps and drops can be told exactly.
"""

import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.styles import answer_text, prompt_text

FIRST_WINDOW, WINDOW_BLOCKS = 5_412_000, 20
PROGRAM = "n = int(input())\nprint(n * 3 + 4)"

Row = dict[str, Any]


@dataclass
class Written:
    """What was written: objects by key, and the fate of every row and object."""

    objects: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """Keys that are indexed, and have no object."""
    rows: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    lies: Counter[str] = field(default_factory=Counter)
    """Kept rows whose recorded score is not what the answer is worth, by task."""

    def save(self, folder: Path) -> Path:
        """Write every object, and the index, below a folder."""
        for key, data in self.files().items():
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder

    def files(self) -> dict[str, bytes]:
        """Every object, and the index, which names two things more that are no results."""
        index = [*self.objects, *self.missing, "affine/results/notes.txt", 7]
        return {**self.objects, "affine/index.json": json.dumps(index).encode()}


def key_of(window: int, hotkey: str) -> str:
    """The key of one evaluator's results in a window, counted from the first."""
    return f"affine/results/{FIRST_WINDOW + window * WINDOW_BLOCKS:09d}-{hotkey}.json"


def sat_result(rng: random.Random, *, right: bool = True, uid: int = 7) -> Row:
    """A planted formula of 5 variables, with an answer that satisfies it or does not."""
    n, k, m = 5, 3, 21
    solution = {v: rng.random() < 0.5 for v in range(1, n + 1)}
    clauses = []
    for _ in range(m):
        names = rng.sample(range(1, n + 1), k)
        forced = rng.choice(names)
        positive = [solution[v] if v == forced else rng.random() < 0.5 for v in names]
        clauses.append([v if sign else -v for v, sign in zip(names, positive, strict=True)])
    answer = dict(solution)
    if not right:
        first = clauses[0]
        answer |= {abs(x): x < 0 for x in first}
    text = f"<think>{rng.random()}</think>\n" + answer_text("affine", list(answer.values()))
    extra = {"sol": {str(v): value for v, value in solution.items()}, "cls": clauses}
    return result("SAT", prompt_text("affine", n, clauses), text, float(right), extra, uid)


def abd_result(rng: random.Random, *, right: bool = True, uid: int = 7) -> Row:
    """A program with an input that prints its output, or does not."""
    n = rng.randrange(10**9)
    extra = {"program": PROGRAM, "expected_output": f"{n * 3 + 4}\n"}
    answer = f"<INPUT>\n{n if right else n + 1}\n</INPUT>"
    prompt = f"Program:\n{PROGRAM}\nExpected Output:\n{n * 3 + 4}"
    return result("ABD", prompt, answer, float(right), extra, uid)


def ded_result(rng: random.Random, *, right: bool = True, uid: int = 7) -> Row:
    """An environment that our rewards know nothing of."""
    prompt = f"Write a program that prints {rng.random()}"
    return result("affine:ded", prompt, "print('it')", float(right), {"premises": []}, uid)


def result(env: str, prompt: str, response: str, score: float, extra: Row, uid: int) -> Row:
    """A result with all of upstream's fields."""
    return {
        "version": "0.0.3",
        "signature": "9f" * 64,
        "hotkey": "5Validator",
        "miner": {
            "uid": uid, "hotkey": f"5Miner{uid}", "model": f"team/model-{uid}", "revision": "ab12",
            "block": FIRST_WINDOW, "chute": {"hot": True}, "slug": f"team-model-{uid}",
        },
        "challenge": {"env": env, "prompt": prompt, "extra": extra, "challenge_id": f"c{uid}"},
        "response": {
            "response": response, "latency_seconds": 1.25, "attempts": 1,
            "model": f"team/model-{uid}", "error": None, "success": True,
        },
        "evaluation": {"env": env, "score": score, "extra": {}},
    }  # fmt: skip


def changed(row: Row, path: str, value: Any) -> Row:
    """A row with another value at a path; `...` removes it."""
    row = copy.deepcopy(row)
    *parents, last = path.split(".")
    inner = row
    for name in parents:
        inner = inner[name]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return row


FAULTS: tuple[tuple[str, Any, str], ...] = (
    ("challenge", ..., "invalid: no challenge.env"),
    ("challenge.env", 3, "invalid: challenge.env is no text"),
    ("challenge.env", " ", "invalid: challenge.env is blank"),
    ("challenge.prompt", ..., "invalid: no challenge.prompt"),
    ("challenge.prompt", "", "invalid: challenge.prompt is blank"),
    ("challenge.prompt", "half \ud83d", "invalid: challenge.prompt holds half a character"),
    ("challenge.prompt", "p" * 1_000_001, "invalid: challenge.prompt is over 1,000,000 characters"),
    ("challenge.challenge_id", 9, "invalid: challenge.challenge_id is no text"),
    ("challenge.extra", None, "invalid: no challenge.extra.cls"),
    ("challenge.extra.cls", [], "invalid: challenge.extra.cls is no list of clauses"),
    ("challenge.extra.cls", [[1], []], "invalid: challenge.extra.cls is no list of clauses"),
    ("challenge.extra.cls", [[1, True]], "invalid: challenge.extra.cls holds what is no literal"),
    ("challenge.extra.cls", [[0]], "invalid: challenge.extra.cls holds what is no literal"),
    (
        "challenge.extra.cls",
        [[10**9]],
        "invalid: challenge.extra.cls names a variable without a value",
    ),
    (
        "challenge.extra.cls",
        [[1], [-1]],
        "invalid: challenge.extra.sol does not satisfy cls",
    ),
    ("challenge.extra.sol", ..., "invalid: no challenge.extra.sol"),
    ("challenge.extra.sol", {"x": True}, "invalid: challenge.extra.sol is no assignment"),
    ("challenge.extra.sol", {"1": 1}, "invalid: challenge.extra.sol is no assignment"),
    ("response", [], "invalid: no response.success"),
    ("response.response", ..., "invalid: no response.response"),
    ("response.response", 5, "invalid: response.response is no text"),
    (
        "response.response",
        "a" * 10_000_000,
        "invalid: response.response is over 1,000,000 characters",
    ),
    ("response.success", "yes", "invalid: response.success is no boolean"),
    ("response.latency_seconds", None, "invalid: response.latency_seconds is no number"),
    ("response.latency_seconds", float("inf"), "invalid: response.latency_seconds is not finite"),
    ("evaluation", "lost", "invalid: no evaluation.score"),
    ("evaluation.score", "1.0", "invalid: evaluation.score is no number"),
    ("evaluation.score", True, "invalid: evaluation.score is no number"),
    ("evaluation.score", float("nan"), "invalid: evaluation.score is not finite"),
    ("evaluation.score", 10**400, "invalid: evaluation.score is not finite"),
    ("miner.uid", "7", "invalid: miner.uid is no whole number"),
    ("miner.uid", 2**70, "invalid: miner.uid is no whole number"),
    ("miner.model", 4, "invalid: miner.model is no text"),
)
"""A path, the value put there, and what is said of such a SAT row."""

_MAKERS: tuple[Callable[..., Row], ...] = (sat_result, abd_result, ded_result)


def write_results(num_windows: int, num_hotkeys: int, num_rows: int, seed: int = 0) -> Written:
    """Results of several environments, right and wrong, some recorded falsely; none is broken."""
    rng, written = random.Random(seed), Written()
    for window in range(num_windows):
        for number in range(num_hotkeys):
            rows = [_one_row(rng, written) for _ in range(num_rows)]
            written.objects[key_of(window, f"5Hot{number}")] = json.dumps(rows).encode()
            written.outcomes["read"] += 1
    return written


def _one_row(rng: random.Random, written: Written) -> Row:
    """A row whose fate, at the default settings, is counted."""
    maker = rng.choice(_MAKERS)
    kind = rng.choices(("right", "wrong", "lie", "empty"), (70, 20, 5, 5))[0]
    row = maker(rng, right=kind == "right", uid=rng.randrange(256))
    if kind == "wrong":
        written.rows["below min_score"] += 1
    elif kind == "empty":
        empty = changed(row, "response.response", rng.choice((None, "", " \n")))
        row = changed(empty, "evaluation.score", 1.0)
        written.rows["empty response"] += 1
    else:
        row = changed(row, "evaluation.score", 1.0)
        written.rows["kept"] += 1
        task = row["challenge"]["env"].rpartition(":")[2].lower()
        written.lies[task] += kind == "lie"
    return row


def add_faults(written: Written, window: int) -> None:
    """Add objects that are broken in every way, and whole ones with rows that are."""
    rng = random.Random(99)
    good = sat_result(rng)
    rows = [changed(sat_result(rng), path, value) for path, value, _ in FAULTS]
    written.rows.update(reason for _, _, reason in FAULTS)
    written.rows.update({"invalid: not an object": 3, "duplicate": 2, "kept": 1})
    text = json.dumps([*rows, 5, None, "row", good, good, good])
    broken = {
        "empty": (b"", "empty"),
        "words": (b"<html>503 Slow Down</html>", "not JSON"),
        "object": (b'{"results": []}', "not a JSON array"),
        "cut": (json.dumps([sat_result(rng), sat_result(rng)]).encode()[:-200], "truncated"),
        "latin": ('[{"a": "é"}]'.encode("latin-1"), "not UTF-8"),
        "bomb": (b"[" * 2_000_000, "nested too deeply"),
        "huge": (b'["' + b"a" * 20_000_000 + b'"]', "item over 16 MiB"),
        "twice": (b"[][]", "text after the array"),
    }
    written.rows["kept"] += 1  # the row before the cut is whole
    written.objects[key_of(window, "5Faults")] = text.encode()
    written.outcomes["read"] += 1
    for hotkey, (data, outcome) in broken.items():
        written.objects[key_of(window, hotkey)] = data
        written.outcomes[outcome] += 1
    written.missing.append(key_of(window, "5Gone"))
    written.outcomes["missing"] += 1
