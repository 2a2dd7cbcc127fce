"""A run folder in the real formats with synthetic contents: input for the tests of reports."""

import json
import math
import random
from pathlib import Path

LABELS = ("n4 m9", "n5 m10", "n5 m12", "n6 m14", "n6 m16")
HELD_OUT = "n6 m15"
SKILL = {
    "base": {"greedy": 0.02, "sample": 0.03},
    "sft": {"greedy": 0.25, "sample": 0.19},
    "grpo": {"greedy": 0.84, "sample": 0.81},
}

CONFIG = {
    "name": "quickstart",
    "seed": 0,
    "storage": "runs",
    "model": {"type": "tiny", "hidden_size": 96, "num_hidden_layers": 3},
    "datasets": {
        "sat": {
            "type": "sat",
            "family": "q_hidden",
            "style": "compact",
            "splits": {
                "warmup": {"num_problems": 8000, "demonstrations": {"type": "walk"}},
                "train": {"num_problems": 40000},
                "test": {"num_problems": 1000},
                "unseen": {"num_problems": 250},
            },
        },
    },
    "stages": [
        {"type": "sft", "name": None, "dataset": "sat", "split": "warmup", "max_steps": 320},
        {
            "type": "grpo",
            "name": None,
            "dataset": "sat",
            "split": "train",
            "max_steps": 1200,
            "reward_funcs": ["sat"],
            "dynamic_sampling": "skip",
            "entropy_coef": 0.02,
            "learning_rate": 5e-4,
        },
    ],
    "evaluation": {
        "dataset": "sat",
        "splits": ["test", "unseen"],
        "reward": "sat",
        "num_samples": 8,
    },
}


def write_run(
    folder: Path,
    *,
    num_problems: int = 120,
    num_samples: int = 8,
    hostile: str | None = None,
    checkpoints: tuple[str, ...] = ("base", "sft", "grpo"),
) -> Path:
    """Write a finished run to `folder`; `hostile` replaces the text of every completion."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "run_manifest.json", _manifest())
    _write_json(
        folder / "result.json", {"wall_s": 301.5, "cpu_s": 455.2, "peak_bytes": 1_900_000_000}
    )
    _write_json(folder / "datasets" / "sat" / "manifest.json", _dataset_manifest())
    _write_lines(folder / "metrics.jsonl", _metrics())
    _write_lines(folder / "timings.jsonl", _timings())
    for checkpoint in checkpoints:
        rows = [
            _row(checkpoint, split, index, num_samples, hostile)
            for split, count in (("test", num_problems), ("unseen", num_problems // 4))
            for index in range(count)
        ]
        _write_lines(folder / "evaluations" / f"{checkpoint}.jsonl", rows)
    return folder


def _manifest() -> dict:
    return {
        "run_id": "2b6f0a52-8e0f-4c55-9d0c-5d5a3a1c7e11",
        "created_at": "2026-11-20T10:00:00+00:00",
        "config": CONFIG,
        "config_hash": "c0ffee" + "0" * 58,
        "datasets": {"sat": "bb" * 32},
        "dataset_hash": "bb" * 32,
        "base_checkpoint": {"path": "checkpoints/base", "sha256": "ee" * 32},
        "seed": 0,
        "git_sha": "ce4365c0000000000000000000000000000000ff",
        "git_dirty": False,
        "packages": {"torch": "2.13.0", "ray": "2.54.0", "transformers": "5.10.1"},
        "hardware": {"cpus": 2, "memory_bytes": 25_000_000_000, "machine": "x86_64"},
    }


def _dataset_manifest() -> dict:
    trained = dict.fromkeys(LABELS, 8000)
    return {
        "format": "clutch-dataset-v1",
        "name": "sat",
        "seed": 0,
        "generator": "sat",
        "generator_version": 1,
        "dataset_hash": "bb" * 32,
        "splits": {"train": {"num_rows": 40000, "num_problems": 40000}},
        "difficulty": {
            "warmup": trained,
            "train": trained,
            "test": trained,
            "unseen": {HELD_OUT: 250},
        },
        "chance_method": {"test": "exact", "unseen": "exact"},
        "chance": {
            "test": {"all_true": 0.187, "random": 0.195, "majority": 0.471},
            "unseen": {"all_true": 0.131, "random": 0.138, "majority": 0.402},
        },
    }


def _row(checkpoint: str, split: str, index: int, num_samples: int, hostile: str | None) -> dict:
    problem = random.Random(f"{split}-{index}")
    label = HELD_OUT if split == "unseen" else LABELS[index % len(LABELS)]
    n, m = (int(word[1:]) for word in label.split())
    clauses = [
        [v * problem.choice((1, -1)) for v in sorted(problem.sample(range(1, n + 1), 3))]
        for _ in range(m)
    ]
    prompt = " ; ".join(" ".join(f"{v:+d}" for v in clause) for clause in clauses) + " ="
    hardness = problem.gauss(0, 0.8) + (n - 5) * 0.5 + (0.8 if split == "unseen" else 0)
    noise = random.Random(f"{checkpoint}-{split}-{index}")

    def completion(kind: str) -> dict:
        skill = SKILL[checkpoint][kind]
        solved = noise.random() < 1 / (1 + math.exp(hardness - math.log(skill / (1 - skill))))
        literals = [v * noise.choice((1, -1)) for v in range(1, n + 1)]
        reason = "correct" if solved else "unsatisfied_clause"
        if checkpoint == "base" and not solved:
            literals, reason = literals[: noise.randrange(n)], "missing_variable"
        text = " ".join(f"{v:+d}" for v in literals) if hostile is None else hostile
        return {"text": text, "score": float(solved), "reason": reason, "num_tokens": n + 1}

    return {
        "id": f"sat-{split}-{index:06d}",
        "task": "sat",
        "split": split,
        "label": label,
        "prompt": prompt,
        "answer": "",
        "env": json.dumps({"num_vars": n, "k": 3, "clauses": clauses, "satisfiable": True}),
        "greedy": completion("greedy"),
        "samples": [completion("sample") for _ in range(num_samples)],
    }


def _metrics() -> list[dict]:
    noise = random.Random(7)
    rows = []
    for step in range(10, 321, 10):
        rows.append(
            {
                "stage": "sft",
                "step": step,
                "loss/train": 0.88 + 2.1 * math.exp(-step / 60) + noise.gauss(0, 0.02),
                "optim/lr": 3e-3 * min(1, step / 30, (320 - step) / 96 + 0.1),
                "optim/grad_norm": 0.4 + 0.3 * noise.random(),
            }
        )
    for step in range(10, 1201, 10):
        reward = 0.18 + 0.64 / (1 + math.exp(-(step - 450) / 150)) + noise.gauss(0, 0.015)
        rows.append(
            {
                "stage": "grpo",
                "step": step,
                "loss/policy": noise.gauss(0, 0.01),
                "reward/mean": reward,
                "reward/std": math.sqrt(reward * (1 - reward)),
                "policy/entropy": 0.12 + 0.55 * math.exp(-step / 300),
                "groups/zero_variance": 0.15 + 0.7 / (1 + math.exp(-(step - 600) / 150)),
                "policy/clip_fraction": 0.0,
                "sampler/mismatch": 1e-6 * noise.random(),
                "completions/mean_length": 6.0 + noise.gauss(0, 0.05),
                "completions/truncated": 0.01 * math.exp(-step / 100),
                "reward/malformed": 0.06 * math.exp(-step / 80),
                "optim/lr": 5e-4,
                "optim/grad_norm": 0.5 + 0.2 * noise.random(),
            }
        )
    return rows


def _timings() -> list[dict]:
    rows: list[dict] = []
    for row in _metrics():
        step_s = 0.08 if row["stage"] == "sft" else 0.11
        parts = {"generate_s": 0.05, "train_s": 0.05} if row["stage"] == "grpo" else {}
        seconds = row["step"] * step_s
        rows.append(
            {
                "stage": row["stage"],
                "step": row["step"],
                "time": 1_795_000_000.0 + 10 * step_s * len(rows),
                "wall_s": seconds,
                "cpu_s": 0.9 * seconds,
                **parts,
                "step_s": step_s,
            }
        )
    return rows


def _write_json(path: Path, value: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _write_lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
