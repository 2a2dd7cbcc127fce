"""A whole GRPO step against TRL's GRPOTrainer: sample, judge, forward, backward, optimizer.

    python bench/grpo_vs_trl.py [--quick] [--repeats N]

Both sides train the same model (random weights) on the same prompts, with as many completions a
prompt and at the same precision, one step of each in turn, on one thread. TRL runs with its
defaults (bfloat16, gradient checkpointing), and tuned for speed (float32, no checkpointing). Ours
is the product's own step (trainers.loop, trainers.grpo), its rollout log included, and trains on
all groups (dynamic_sampling none), as TRL does.

Completions end where either side samples one of the model's end tokens. Its random weights give
each token about 1/264, so with four of them completions are about 55 tokens long; in the other
case no end token can come up, and each has 128. The mean lengths of both sides are printed.

What is not covered: trained models, GPUs, TRL with vLLM.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import copy
import random
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from alternating import PEER_SETTINGS, Alternating, print_results, quiet, result
from datasets import Dataset
from transformers import PrinterCallback, Qwen3Config, Qwen3ForCausalLM
from trl import GRPOConfig, GRPOTrainer

from reward_fns.records import Problem, Score
from reward_fns.registry import REWARDS, Reward
from trainers.config import GrpoConfig, TinyModelConfig
from trainers.engine.select import make_engine
from trainers.grpo import Grpo
from trainers.loop import StageLoop
from trainers.models.load import Policy
from trainers.models.tiny import build_tiny_tokenizer
from trainers.parallel import Workers
from trainers.records import StageRecords
from trainers.run import Run

EOS = 2
MAX_VARIABLES = 128
MODELS = {
    "tiny": {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 64, "intermediate_size": 768},
    "big": {"hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8,
            "num_key_value_heads": 4, "head_dim": 64, "intermediate_size": 1536},
    "quickstart": {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
                   "num_key_value_heads": 2, "head_dim": 24, "intermediate_size": 192},
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What is compared in one row of the results."""

    name: str
    model: str = "tiny"
    bf16: bool = False
    num_ends: int = 4
    """Tokens that end a completion; 0: none that comes up."""
    num_prompts: int = 4
    prompt_lengths: tuple[int, int] = (172, 259)
    max_completion_length: int = 128
    beta: float = 0.0
    quick: bool = False


CASES = (
    Case("TRL's defaults (bf16, checkpointing)", bf16=True, quick=True),
    Case("tuned (fp32, no checkpointing)"),
    Case("TRL's defaults, no completion stops early", bf16=True, num_ends=0),
    Case("tuned, no completion stops early", num_ends=0, quick=True),
    Case("tuned, beta 0.04", beta=0.04),
    Case("tuned, 8 layers of width 512", model="big"),
    Case("tuned, the quickstart's model and lengths", model="quickstart", num_prompts=32,
         prompt_lengths=(41, 73), max_completion_length=8),
)  # fmt: skip


def odd_length(completion: str, env: str) -> Score:
    """Give random texts different rewards: groups without variance would have no gradient."""
    return Score(float(len(completion) % 2), "correct")


def odd_length_rewards(completions: list[str], **columns: Any) -> list[float | None]:
    """The same in TRL's protocol."""
    return [odd_length(completion, "").value for completion in completions]


REWARDS["odd_length"] = Reward("odd_length", "sat", odd_length, odd_length_rewards)


def make_policy(case: Case) -> Policy:
    """A model with random weights, in which `num_ends` tokens end a completion."""
    tokenizer = build_tiny_tokenizer(TinyModelConfig(max_variables=MAX_VARIABLES))
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer), max_position_embeddings=512, tie_word_embeddings=True,
        eos_token_id=EOS, pad_token_id=0, bos_token_id=1, **MODELS[case.model],
    )  # fmt: skip
    model = Qwen3ForCausalLM(config)
    ends = [EOS, *range(20, 19 + case.num_ends)]
    model.generation_config.eos_token_id = ends
    if case.num_ends == 0:
        with torch.no_grad():  # all hidden states get one direction, which the end token opposes
            weight = model.get_input_embeddings().weight
            direction = torch.nn.functional.normalize(torch.randn(weight.shape[1]), dim=0)
            weight += direction
            weight[EOS] = -2 * direction
    return Policy(model, tokenizer, tuple(ends), 0, False, 512)


def make_problems(case: Case) -> list[Problem]:
    """Prompts of random literals, with lengths spread evenly over the case's range."""
    rng = random.Random(0)
    low, high = case.prompt_lengths
    problems = []
    for index in range(case.num_prompts):
        length = low + (high - low) * index // max(case.num_prompts - 1, 1)
        words = [f"{rng.choice('+-')}{rng.randint(1, MAX_VARIABLES)}" for _ in range(length - 1)]
        prompt = " ".join(words)  # the tokenizer puts <bos> in front
        problems.append(Problem(f"p{index}", "sat", "train", index, prompt, "", "{}", "{}"))
    return problems


def make_ours(case: Case, policy: Policy, folder: Path) -> tuple[StageLoop, Grpo]:
    """The product's stage on one worker."""
    config = GrpoConfig(
        type="grpo", dataset="bench", max_steps=1000, reward_funcs=("odd_length",),
        generation_batch_size=8 * case.num_prompts, bf16=case.bf16, beta=case.beta,
        max_completion_length=case.max_completion_length, dynamic_sampling="none",
    )  # fmt: skip
    run = Run(folder, 0, Workers(), lambda row: None, lambda *progress: None, lambda: False)
    records = StageRecords(run, "grpo", with_rollouts=True)
    engine = make_engine(policy.model, case.bf16)
    reference = None
    if case.beta:
        frozen = copy.deepcopy(policy.model).requires_grad_(False)
        reference = make_engine(frozen, case.bf16)
    grpo = Grpo(
        config, policy, engine, reference, make_problems(case), run, "grpo", records, None
    )  # fmt: skip
    return StageLoop(config, policy, grpo, run, records), grpo


def make_peer(case: Case, policy: Policy, steps: int, clock: Alternating) -> GRPOTrainer:
    """TRL's trainer with its own copy of the model."""
    folder = tempfile.mkdtemp()
    policy.model.config.name_or_path = folder  # the reference model is read from there
    policy.model.save_pretrained(folder)
    tuned = {} if case.bf16 else {"bf16": False, "gradient_checkpointing": False}
    args = GRPOConfig(
        folder, max_steps=steps, per_device_train_batch_size=8 * case.num_prompts,
        num_generations=8, max_completion_length=case.max_completion_length, beta=case.beta,
        **tuned, **PEER_SETTINGS,
    )  # fmt: skip
    rows = {"prompt": [problem.prompt for problem in make_problems(case)]}
    trainer = GRPOTrainer(
        copy.deepcopy(policy.model), odd_length_rewards, args,
        train_dataset=Dataset.from_dict(rows),
        processing_class=copy.deepcopy(policy.tokenizer), callbacks=[clock],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """Run both sides in turn; return the row of results."""
    policy = make_policy(case)
    with tempfile.TemporaryDirectory() as folder:
        lengths: list[float] = []
        loop, grpo = make_ours(case, policy, Path(folder))

        def our_step(step: int) -> None:
            loop._step(step)
            lengths.extend(len(c) for group in grpo.batch for c in group.completions)

        clock = Alternating(our_step, warmup=1)
        trainer = make_peer(case, policy, repeats + 1, clock)
        trainer.train()
        parts = loop.times.take(grpo.run.workers)
        loop.records.close()
    theirs = trainer.state.log_history[-1]["completions/mean_length"]
    print(
        f"mean completion: ours {statistics.mean(lengths):.1f}, TRL {theirs:.1f} "
        f"of {case.max_completion_length} tokens; our parts (wall s): "
        + ", ".join(f"{name} {value:.3f}" for name, value in parts.items() if "step" not in name)
    )
    return result("GRPO step against TRL 1.16", case.name, clock)


def main() -> None:
    """Measure all cases, or with --quick two of them, twice each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument("--repeats", type=int, default=7, help="measured steps of each side")
    parser.add_argument("--case", type=int, help="only the case of this number, from 0")
    options = parser.parse_args()
    cases = CASES if options.case is None else CASES[options.case : options.case + 1]
    with quiet():
        rows = [
            measure(case, 2 if options.quick else options.repeats)
            for case in cases
            if case.quick or not options.quick
        ]
    print_results(rows)


if __name__ == "__main__":
    main()
