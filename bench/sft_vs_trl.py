"""Real tokens that an SFT step trains in a CPU second, against TRL's SFTTrainer.

    python bench/sft_vs_trl.py [--quick] [--repeats N]

Both sides train the same model (random weights) on the same prompts and completions, in the same
number of rows a step, with the loss on completions only, one step of each in turn, on one thread.
TRL runs with its defaults (bfloat16, gradient checkpointing), and tuned for speed (float32, no
checkpointing); ours at the same precision. Tokens are those of prompts and completions, padding
not counted. Each prompt stands in the data once, except in the last case, in which four
completions share each prompt, as in the quickstart's demonstrations.

What is not covered: GPUs, and TRL's packing (slower than its defaults here: it has no kernel that
keeps packed rows apart on a CPU).
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import copy
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alternating import PEER_SETTINGS, Alternating, print_results, quiet, result
from datasets import Dataset
from grpo_vs_trl import MAX_VARIABLES, make_policy
from grpo_vs_trl import Case as ModelCase
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from reward_fns.records import Problem
from trainers.config import SftConfig
from trainers.engine.select import make_engine
from trainers.loop import StageLoop
from trainers.models.load import Policy
from trainers.parallel import Workers
from trainers.records import StageRecords
from trainers.run import Run
from trainers.sft import Sft

ROWS = 32
"""Completions of one step."""


@dataclass(frozen=True)
class Case:
    """What is compared in one row of the results."""

    name: str
    bf16: bool = False
    model: str = "tiny"
    prompt_lengths: tuple[int, int] = (32, 256)
    completion_lengths: tuple[int, int] = (16, 128)
    per_prompt: int = 1
    quick: bool = False


CASES = (
    Case("TRL's defaults (bf16, checkpointing)", bf16=True, quick=True),
    Case("tuned (fp32, no checkpointing)"),
    Case("TRL's defaults, the quickstart's model, 4 completions a prompt", bf16=True,
         model="quickstart", prompt_lengths=(41, 73), completion_lengths=(10, 19), per_prompt=4),
)  # fmt: skip


def make_problems(case: Case, steps: int) -> list[Problem]:
    """Random literals; the rows that share a prompt are adjacent."""
    rng = random.Random(0)

    def words(low: int, high: int) -> str:
        length = rng.randint(low, high) - 1  # <bos> or <eos> is added
        return " ".join(f"{rng.choice('+-')}{rng.randint(1, MAX_VARIABLES)}" for _ in range(length))

    problems = []
    for index in range(steps * ROWS // case.per_prompt):
        prompt = words(*case.prompt_lengths)
        for sample in range(case.per_prompt):
            name, answer = f"p{index}-{sample}", words(*case.completion_lengths)
            problems.append(Problem(name, "sat", "train", index, prompt, answer, "{}", "{}"))
    return problems


def make_ours(case: Case, policy: Policy, problems: list[Problem], folder: Path) -> StageLoop:
    """The product's stage on one worker."""
    config = SftConfig(
        type="sft", dataset="bench", max_steps=1000, batch_size=ROWS, bf16=case.bf16,
        max_completion_length=256,
    )  # fmt: skip
    run = Run(folder, 0, Workers(), lambda row: None, lambda *progress: None, lambda: False)
    engine = make_engine(policy.model, case.bf16)
    sft = Sft(config, policy, engine, problems, run, "sft", None)
    return StageLoop(config, policy, sft, run, StageRecords(run, "sft", with_rollouts=False))


def make_peer(
    case: Case, policy: Policy, problems: list[Problem], steps: int, clock: Alternating
) -> SFTTrainer:
    """TRL's trainer with its own copy of the model."""
    tuned = {} if case.bf16 else {"bf16": False, "gradient_checkpointing": False}
    args = SFTConfig(
        tempfile.mkdtemp(), max_steps=steps, per_device_train_batch_size=ROWS, **tuned,
        **PEER_SETTINGS,
    )  # fmt: skip
    rows = {
        "prompt": [problem.prompt for problem in problems],
        "completion": [" " + problem.answer for problem in problems],
    }
    trainer = SFTTrainer(
        copy.deepcopy(policy.model), args, train_dataset=Dataset.from_dict(rows),
        processing_class=copy.deepcopy(policy.tokenizer), callbacks=[clock],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """Run both sides in turn; return the row of results."""
    policy = make_policy(ModelCase("", case.model))
    steps = repeats + 2
    problems = make_problems(case, steps)
    with tempfile.TemporaryDirectory() as folder:
        loop = make_ours(case, policy, problems, Path(folder))
        clock = Alternating(lambda step: loop._step(step), warmup=2)
        trainer = make_peer(case, policy, problems, steps, clock)
        trainer.train()
        loop.records.close()
    ours = sum(group.num_tokens for group in loop.algorithm.groups)
    prompts = sum(len(g.prompt) * (len(g.completions) - 1) for g in loop.algorithm.groups)
    theirs = int(trainer.state.log_history[-1]["num_tokens"])
    print(f"tokens trained: ours {ours + prompts}, TRL {theirs}")
    return result(
        "SFT step against TRL 1.16", case.name, clock, (ours + prompts) / steps, "tokens/s"
    )


def main() -> None:
    """Measure all cases, or with --quick the first on fewer steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument("--repeats", type=int, default=15, help="measured steps of each side")
    options = parser.parse_args()
    with quiet():
        rows = [
            measure(case, 4 if options.quick else options.repeats)
            for case in CASES
            if case.quick or not options.quick
        ]
    print_results(rows)


if __name__ == "__main__":
    main()
