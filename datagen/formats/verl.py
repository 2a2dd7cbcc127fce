"""`verl`: verl's Parquet, with chat messages and what its rule-based rewards are called with.

The ground truth is the problem's env, so that `compute_score` is
`reward_fns.registry.score(extra_info["task"], extra_info["task"], solution_str, ground_truth)`.
"""

from typing import Any

import pyarrow as pa

from datagen.formats.containers import parquet_writer
from datagen.formats.format import PARQUET_TYPE, Format
from datagen.formats.rows import Row, as_problem

ABILITIES = {"sat": "logic", "abd": "code"}
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [("split", pa.string()), ("index", pa.int64())]
                + [(name, pa.string()) for name in ("id", "task", "answer", "difficulty")]
            ),
        ),
    ]
)


def record(row: Row) -> dict[str, Any]:
    """Return `{data_source, prompt, ability, reward_model, extra_info}`."""
    problem = as_problem(row, "verl")
    extra = ("split", "index", "id", "task", "answer", "difficulty")
    return {
        "data_source": f"clutch/{problem.task}",
        "prompt": [{"role": "user", "content": problem.prompt}],
        "ability": ABILITIES.get(problem.task, problem.task),
        "reward_model": {"style": "rule", "ground_truth": problem.env},
        "extra_info": {name: getattr(problem, name) for name in extra},
    }


FORMAT = Format("verl", "verl's messages", ".parquet", PARQUET_TYPE, record, parquet_writer(SCHEMA))
