"""A tiny policy that has learned the format of an answer, and a GRPO stage on it.

Sampled for real, its completions differ in length, some are right, some are cut: what the tests of
GRPO need, in two seconds.
"""

import json
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import torch

from reward_fns.records import Problem
from trainers.config import GrpoConfig, SftConfig, TinyModelConfig
from trainers.engine.select import make_engine
from trainers.grpo import Grpo
from trainers.metrics import Means
from trainers.models.load import Policy, load_policy
from trainers.optimizer import make_optimizer
from trainers.parallel import Workers
from trainers.records import StageRecords
from trainers.run import Run
from trainers.sft import Sft


def make_run(folder: Path, seed: int = 0, workers: Workers | None = None) -> Run:
    """One worker, alone by default, that reports to nobody."""
    workers = workers or Workers()
    return Run(folder, seed, workers, lambda row: None, lambda *args: None, lambda: False)


def sat_problems(count: int, sizes: tuple[int, ...] = (2, 3, 4, 5)) -> list[Problem]:
    """Planted formulas of several sizes, whose answer is any complete assignment."""
    rng = random.Random(5)
    problems = []
    for index in range(count):
        n = sizes[index % len(sizes)]
        planted = [v * rng.choice((1, -1)) for v in range(1, n + 1)]
        clauses = [[rng.choice(planted), rng.randint(1, n)] for _ in range(n)]
        env = {"num_vars": n, "k": 2, "clauses": clauses, "satisfiable": True}
        prompt = " ; ".join(" ".join(f"{literal:+d}" for literal in c) for c in clauses) + " ="
        answer = " ".join(f"{v * rng.choice((1, -1)):+d}" for v in range(1, n + 1))
        problems.append(
            Problem(f"p{index}", "sat", "train", index, prompt, answer, json.dumps(env), "{}")
        )
    return problems


def format_policy(folder: Path) -> Policy:
    """Train a tiny model for 60 steps on complete assignments drawn at random."""
    policy = load_policy(TinyModelConfig(hidden_size=48, num_hidden_layers=2), 0, "cpu")
    config = SftConfig(
        type="sft", dataset="main", max_steps=60, learning_rate=5e-3, max_completion_length=8
    )
    engine = make_engine(policy.model)
    sft = Sft(config, policy, engine, sat_problems(400), make_run(folder), "sft", None)
    optimizer = make_optimizer(policy.model.parameters(), config)
    for step in range(config.max_steps):
        optimizer.zero_grad()
        sft.gradients(step, Means(), Means())
        optimizer.step()
    optimizer.zero_grad()
    policy.model.config.name_or_path = str(folder)  # TRL reads its reference model from there
    policy.model.save_pretrained(folder)
    return policy


@contextmanager
def make_grpo(
    policy: Policy, folder: Path, seed: int = 0, workers: Workers | None = None,
    num_problems: int = 24, **settings: object,
) -> Iterator[Grpo]:  # fmt: skip
    """A GRPO stage of 6 prompts x 4 completions, of which those to 4 tokens are not cut."""
    base = {"max_steps": 4, "num_generations": 4, "generation_batch_size": 24}
    base["max_completion_length"] = 5
    config = GrpoConfig(type="grpo", dataset="main", **(base | settings))
    run = make_run(folder, seed, workers)
    reference = None
    if config.beta:
        frozen = load_policy(TinyModelConfig(hidden_size=48, num_hidden_layers=2), 0, "cpu")
        frozen.model.load_state_dict(policy.model.state_dict())
        with torch.no_grad():
            for parameter in frozen.model.parameters():
                parameter.mul_(0.95)
        reference = make_engine(frozen.model.requires_grad_(False))
    with closing(StageRecords(run, "grpo", with_rollouts=True)) as records:
        yield Grpo(
            config, policy, make_engine(policy.model), reference, sat_problems(num_problems), run,
            "grpo", records, None,
        )  # fmt: skip


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Take the model's gradients away from it."""
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def nudge(model: torch.nn.Module) -> None:
    """Change the weights a little, the same way for equal models."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
