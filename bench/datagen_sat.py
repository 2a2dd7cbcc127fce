"""SAT problems generated and answers verified per CPU second, against upstream's rule, on one core.

    python bench/datagen_sat.py [--quick] [--repeats N]

Generation: ours is everything up to the dataset on disk (prompt, answer, env and difficulty columns
in Parquet, duplicates across the dataset excluded, chance baselines, fsync, hashes, manifest); the
peer is upstream's generator alone, with the prompt's text but without writing anything.
Verification: from a completion's text and an env string to a reward, eight completions a problem
(the group that GRPO scores), all of them right, or half of them random assignments (which a check
may give up on early). A problem's env is new to both sides when its first completion comes.
Both sides are measured in the same process, alternating. What is not covered: other formats of
answers (free text takes longer than the two prompt styles), and more than one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from datagen.config import SatConfig, SizeConfig
from datagen.dataset import build_dataset, read_split
from datagen.styles import AFFINE_TAIL, answer_text
from reward_fns.formulas import forget_parsed
from reward_fns.sat import sat_reward_fn

CASES = ((7, 5, 29), (15, 10, 63), (50, 3, 213))
COMPLETIONS = 8

Case = tuple[int, int, int]


def upstream_problem(n: int, k: int) -> tuple[str, dict[int, bool], list[list[int]]]:
    """One problem as upstream makes it: the prompt, its solution and its clauses."""
    solution = {v: random.random() < 0.5 for v in range(1, n + 1)}
    clauses = []
    for _ in range(int(4.26 * n)):
        variables = random.sample(range(1, n + 1), k)
        forced = random.choice(variables)
        clause = []
        for v in variables:
            value = solution[v] if v == forced else random.random() < 0.5
            clause.append(v if value else -v)
        clauses.append(clause)
    formula = " ∧ ".join(
        "(" + " ∨ ".join(f"x{x}" if x > 0 else f"¬x{-x}" for x in clause) + ")"
        for clause in clauses
    )
    prompt = (
        f"Find a satisfying assignment for the following {k}-SAT formula over variables "
        f"x1..x{n}:\n{formula}\n{AFFINE_TAIL}"
    )
    return prompt, solution, clauses


def upstream_reward(completion: str, env: str) -> float:
    """Upstream's check of one reply."""
    clauses = json.loads(env)["clauses"]
    found = re.findall(r"x(\d+)=(True|False|1|0)", completion)
    values = {int(v): value in ("True", "1") for v, value in found}
    return float(all(any(values.get(abs(x)) == (x > 0) for x in clause) for clause in clauses))


def main() -> None:
    """Measure every case and print the figures, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="finish within a minute")
    parser.add_argument("--repeats", type=int, help="pairs of measurements a case")
    arguments = parser.parse_args()
    repeats = arguments.repeats or (3 if arguments.quick else 7)
    cpu_s = 0.4 if arguments.quick else 1.5
    pa.set_cpu_count(1)
    results = []
    for case in CASES:
        for measured in (
            generation(case, cpu_s, repeats),
            verification(case, 0, cpu_s, repeats),
            verification(case, COMPLETIONS // 2, cpu_s, repeats),
        ):
            print(shown(measured), flush=True)
            results.append(measured)
    print(json.dumps(results))


def generation(case: Case, cpu_s: float, repeats: int) -> dict:
    """Problems per CPU second, end to end for us, generator and prompt for the peer."""
    n, k, m = case
    size = SizeConfig(n=n, k=k, ratio=4.26)
    assert size.num_clauses == m

    def ours(count: int) -> None:
        config = SatConfig(family="planted", style="affine", sizes=(size,), splits={"train": count})
        with tempfile.TemporaryDirectory() as folder:
            build_dataset(config, Path(folder) / "dataset", seed=count)

    def peer(count: int) -> None:
        for _ in range(count):
            upstream_problem(n, k)

    label = f"n={n} k={k} m={m}"
    return compared("datagen_sat", label, "problems/s", ours, peer, cpu_s, repeats)


def verification(case: Case, num_random: int, cpu_s: float, repeats: int) -> dict:
    """Completions verified per CPU second; `num_random` of each problem's are random."""
    n, k, m = case
    size = SizeConfig(n=n, k=k, ratio=4.26)
    config = SatConfig(family="planted", style="affine", sizes=(size,), splits={"test": 4000})
    with tempfile.TemporaryDirectory() as folder:
        build_dataset(config, Path(folder) / "dataset", seed=0)
        rows = list(read_split(Path(folder) / "dataset", "test"))
    coins = random.Random(0)
    groups = []
    for row in rows:
        right = ["".join(list(row.answer)) for _ in range(COMPLETIONS - num_random)]
        others = [
            answer_text("affine", [coins.random() < 0.5 for _ in range(n)])
            for _ in range(num_random)
        ]
        groups.append((row.env, right + others))

    def ours(count: int) -> list[float | None]:
        forget_parsed()
        return [
            reward
            for env, texts in cycled(groups, count)
            for reward in sat_reward_fn(
                completions=texts, task=["sat"] * len(texts), env=[env] * len(texts)
            )
        ]

    def peer(count: int) -> list[float]:
        chosen = cycled(groups, count)
        return [upstream_reward(text, env) for env, texts in chosen for text in texts]

    assert ours(8 * 200) == peer(8 * 200)
    label = f"n={n} k={k} m={m}, {'half random' if num_random else 'all right'}"
    return compared("verify_sat", label, "completions/s", ours, peer, cpu_s, repeats)


def cycled(groups: list[tuple[str, list[str]]], count: int) -> list[tuple[str, list[str]]]:
    """As many groups as hold `count` completions, going round."""
    number = max(1, count // COMPLETIONS)
    return (groups * (number // len(groups) + 1))[:number]


def compared(
    name: str,
    case: str,
    unit: str,
    ours: Callable[[int], object],
    peer: Callable[[int], object],
    cpu_s: float,
    repeats: int,
) -> dict:
    """Run both sides alternately, each long enough for about `cpu_s`, and compare the rates."""
    counts = [calibrated(side, cpu_s) for side in (ours, peer)]
    rates = [
        [count / cpu_time(side, count) for side, count in zip((ours, peer), counts, strict=True)]
        for _ in range(repeats)
    ]
    ratios = [a / b for a, b in rates]
    return {
        "name": name,
        "case": case,
        "ours": round(statistics.median(a for a, _ in rates), 1),
        "peer": round(statistics.median(b for _, b in rates), 1),
        "unit": unit,
        "ratio": round(statistics.median(ratios), 2),
        "ratio_min": round(min(ratios), 2),
        "ratio_max": round(max(ratios), 2),
        "repeats": repeats,
        "clock": "cpu",
    }


def calibrated(side: Callable[[int], object], cpu_s: float) -> int:
    """How many items take about `cpu_s`; the first call warms caches up."""
    count = 512
    side(count)
    return max(count, int(count * cpu_s / cpu_time(side, count)))


def cpu_time(side: Callable[[int], object], count: int) -> float:
    """CPU seconds of this process for `count` items."""
    start = time.process_time()
    side(count)
    return time.process_time() - start


def shown(result: dict) -> str:
    """One line for people."""
    return (
        f"{result['name']} {result['case']}: {result['ours']:,.0f} against {result['peer']:,.0f} "
        f"{result['unit']}, {result['ratio']}x ({result['ratio_min']} to {result['ratio_max']})"
    )


if __name__ == "__main__":
    main()
