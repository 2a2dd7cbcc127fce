"""What a stage of training may be told: models, SFT, GRPO and evaluation, in TRL's words.

Every field is typed, bounded and documented once, in the string under it. No torch is imported
here, so that a config is checked in milliseconds.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datagen.strict import UserPath

STAGE_NAME = r"^[a-z][a-z0-9_-]{0,31}$"


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know, and numbers that are not finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class TinyModelConfig(Strict):
    """A small decoder of the Llama family (Qwen3 blocks), made from scratch with the run's seed."""

    type: Literal["tiny"] = "tiny"
    hidden_size: int = Field(96, ge=8, le=2048, multiple_of=2)
    """Width of the residual stream."""
    num_hidden_layers: int = Field(3, ge=1, le=64)
    """Number of decoder blocks."""
    num_attention_heads: int = Field(4, ge=1, le=64)
    """Query heads."""
    num_key_value_heads: int = Field(2, ge=1, le=64)
    """Key and value heads; must divide num_attention_heads."""
    head_dim: int = Field(24, ge=2, le=256, multiple_of=2)
    """Width of one head."""
    intermediate_size: int = Field(192, ge=8, le=8192)
    """Width of the gated feed-forward layer."""
    max_position_embeddings: int = Field(256, ge=16, le=65536)
    """Longest prompt plus completion, in tokens."""
    rope_theta: float = Field(10000.0, gt=0)
    """Base of the rotary position embedding."""
    max_variables: int = Field(8, ge=1, le=1000)
    """The tokenizer has one token for each literal of the variables 1 to max_variables."""
    programs: bool = False
    """The tokenizer has the words of compact ABD problems too."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "TinyModelConfig":
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads {self.num_key_value_heads} does not divide "
                f"num_attention_heads {self.num_attention_heads}: use a divisor"
            )
        return self


class HfModelConfig(Strict):
    """Any causal language model in Hugging Face format, from a folder or the Hub.

    Loading checks that sampling and training agree on a few tokens: a model that has no cache, or
    whose cache gives other numbers, is decoded without one (slower), and one that still differs is
    refused. An answer ends as the chat template ends a turn; prompts never end in what the
    tokenizer appends to texts. A template that writes the date writes that of the run's start.
    """

    type: Literal["hf"]
    path: UserPath
    """A local folder, or a Hub name."""
    revision: str | None = None
    """Branch, tag or commit on the Hub."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights, in checkpoints too. Training changes float32 copies of bfloat16 weights,
    since bfloat16 cannot hold an update at a usual learning rate."""
    chat_template: bool = True
    """Wrap prompts in the tokenizer's chat template, where it has one."""
    eos_token: str | None = Field(None, min_length=1)
    """Token that ends a completion; by default the one that ends a turn in the chat template, else
    the tokenizer's."""
    gradient_checkpointing: bool = False
    """Recompute each layer's activations in the backward pass: less memory, more time."""


ModelConfig = Annotated[TinyModelConfig | HfModelConfig, Field(discriminator="type")]


class TrainingStage(Strict):
    """What SFT and GRPO have in common: data, optimizer, schedule, logging."""

    name: str | None = Field(None, pattern=STAGE_NAME)
    """Name of the stage and of its checkpoint; the type by default."""
    dataset: str
    """Which of the run's datasets to train on."""
    split: str = "train"
    """Split of that dataset."""
    max_steps: int = Field(ge=1)
    """Optimizer steps; fixed, so that the result does not depend on the machine's speed."""
    learning_rate: float = Field(gt=0, le=1)
    """Peak learning rate of AdamW."""
    adam_beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of the first moment."""
    adam_beta2: float = Field(0.98, ge=0, lt=1)
    """Decay of the second moment."""
    adam_epsilon: float = Field(1e-8, gt=0)
    """Added to the root of the second moment."""
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled decay of matrices; vectors and norms are not decayed."""
    warmup_steps: int = Field(0, ge=0)
    """Steps over which the rate rises linearly from 0."""
    decay_fraction: float = Field(0.3, ge=0, le=1)
    """Share of the steps, at the end, over which the rate falls linearly."""
    min_lr_ratio: float = Field(0.1, ge=0, le=1)
    """Rate at the last step over the peak rate."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this norm; a large one, such as 1e9, leaves them as they are."""
    bf16: bool = False
    """Compute in bfloat16; weights keep their own type, and the optimizer float32."""
    max_prompt_length: int | None = Field(None, ge=1)
    """Longest prompt in tokens; what the model's context leaves free by default."""
    long_prompts: Literal["error", "drop", "truncate"] = "error"
    """What to do with a longer prompt: refuse the run, drop the row (counted), or keep its end."""
    logging_steps: int = Field(10, ge=1)
    """Metrics are averaged over and written every so many steps."""
    eval_steps: int | None = Field(None, ge=1)
    """Measure the greedy solve rate on eval_split every so many steps; never by default."""
    eval_split: str = "validation"
    """Split that is measured while training."""
    save_steps: int = Field(200, ge=1)
    """The state that a resumed run starts from is saved every so many steps."""
    save_total_limit: int = Field(2, ge=1)
    """How many such states are kept."""


class SftConfig(TrainingStage):
    """Supervised fine-tuning on the completions only, prompts packed without padding."""

    type: Literal["sft"]
    learning_rate: float = Field(2e-5, gt=0, le=1)
    """Peak learning rate of AdamW."""
    batch_size: int = Field(32, ge=1)
    """Completions of one optimizer step, over all workers."""
    per_device_train_batch_size: int | None = Field(None, ge=1)
    """Most completions of one forward pass on a worker; all of its share by default."""
    max_completion_length: int = Field(256, ge=1)
    """Longer completions are cut (counted)."""


class GrpoConfig(TrainingStage):
    """Group relative policy optimization; names, defaults and meaning as in TRL's GRPOConfig."""

    type: Literal["grpo"]
    learning_rate: float = Field(1e-6, gt=0, le=1)
    """Peak learning rate of AdamW."""
    reward_funcs: tuple[str, ...] | None = Field(None, min_length=1)
    """Names in the reward registry; by default each task's own, which is called like the task."""
    reward_weights: tuple[float, ...] | None = None
    """One weight for each of reward_funcs; 1 by default."""
    num_generations: int = Field(8, ge=2)
    """Completions sampled for each prompt: the group."""
    generation_batch_size: int = Field(256, ge=2)
    """Completions sampled at once, over all workers: prompts times num_generations."""
    steps_per_generation: int = Field(1, ge=1)
    """Optimizer steps that one pass over the sampled completions is split into; must divide the
    number of prompts. A step in which no group has a signal leaves the weights as they are."""
    num_iterations: int = Field(1, ge=1)
    """Passes over the sampled completions (mu in the paper)."""
    per_device_train_batch_size: int | None = Field(None, ge=2)
    """Most completions of one forward pass on a worker; all of its share by default."""
    max_completion_length: int = Field(256, ge=1)
    """Tokens after which a completion is cut."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature; log-probabilities are of the tempered distribution."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Sample from the smallest set of tokens with this probability."""
    beta: float = Field(0.0, ge=0)
    """Weight of the KL penalty (k3) to the model that the stage started from."""
    epsilon: float = Field(0.2, gt=0)
    """Lower clip of the ratio."""
    epsilon_high: float | None = Field(None, gt=0)
    """Upper clip of the ratio; epsilon by default."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Divide advantages by the standard deviation of the group, of the batch, or not at all."""
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dapo"
    """How per-token losses are normalized."""
    mask_truncated_completions: bool = False
    """Leave completions that were cut out of the loss."""
    entropy_coef: float = Field(0.0, ge=0)
    """Weight of the entropy bonus: the sum of the entropies of the tokens that are trained on, in
    nats, over the number of all completion tokens. Groups that are skipped get none."""
    dynamic_sampling: Literal["none", "skip", "refill"] = "skip"
    """Zero-variance groups: train on them, skip their forward and backward, or refill them with
    other prompts (at most max_refills times a step)."""
    max_refills: int = Field(2, ge=1)
    """How many further batches of prompts one step may sample to replace zero-variance groups."""

    @model_validator(mode="after")
    def _batches_fit(self) -> "GrpoConfig":
        if self.generation_batch_size % self.num_generations:
            raise ValueError(
                f"generation_batch_size {self.generation_batch_size} is not a multiple of "
                f"num_generations {self.num_generations}"
            )
        prompts = self.generation_batch_size // self.num_generations
        if prompts % self.steps_per_generation:
            raise ValueError(
                f"steps_per_generation {self.steps_per_generation} does not divide the {prompts} "
                f"prompts of generation_batch_size {self.generation_batch_size}: use a divisor"
            )
        size = self.per_device_train_batch_size
        if size is not None and size % self.num_generations:
            raise ValueError(
                f"per_device_train_batch_size {size} is not a multiple of num_generations "
                f"{self.num_generations}: groups are not split"
            )
        weights, functions = self.reward_weights, self.reward_funcs
        if weights is not None and len(weights) != len(functions or ()):
            raise ValueError(
                f"reward_weights has {len(weights)} entries for {len(functions or ())} "
                "reward_funcs: give both with one entry each"
            )
        return self


StageConfig = Annotated[SftConfig | GrpoConfig, Field(discriminator="type")]


class EvaluationConfig(Strict):
    """How each checkpoint is measured: greedy, and pass@1 and pass@k over k samples."""

    dataset: str
    """Which of the run's datasets."""
    splits: tuple[str, ...] = Field(("test",), min_length=1)
    """Splits to measure; the first is the one in the table."""
    reward_funcs: tuple[str, ...] | None = Field(None, min_length=1)
    """Names in the reward registry, by default each task's own; a completion is solved if the
    first one for its task gives it 1."""
    num_samples: int = Field(8, ge=1)
    """Sampled completions for each problem, beside the greedy one."""
    temperature: float = Field(1.0, gt=0)
    """Temperature of the samples."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus of the samples."""
    max_completion_length: int = Field(256, ge=1)
    """Tokens after which a completion is cut."""
    batch_size: int = Field(128, ge=1)
    """Problems decoded at once on a worker."""
    limit: int | None = Field(None, ge=1)
    """Measure only the first so many problems of each split."""


class SandboxConfig(Strict):
    """How programs are run that judge answers (ABD): each in a fresh process of a guarded server.

    Without the guards of the kernel (see `clutch doctor`) nothing is run, unless mode is unsafe.
    """

    mode: Literal["guarded", "unsafe"] = "guarded"
    """`unsafe` runs programs without the kernel's guards: only for programs and models you trust.
    Every report says so."""
    num_servers: int | None = Field(None, ge=1, le=256)
    """Servers of each worker; as many as it has threads by default."""
    wall_s: float = Field(5.0, gt=0, le=3600)
    """Seconds after which a run is stopped. Each run has them for itself, whatever others do: a run
    that uses them up is an answer that scores 0."""
    cpu_s: int = Field(4, ge=1, le=3600)
    """CPU seconds after which a run is stopped."""
    memory_bytes: int = Field(256 << 20, ge=32 << 20)
    """Address space of a run."""


def stage_name(stage: TrainingStage) -> str:
    """Name of a stage: its own, or its type."""
    return stage.name or str(getattr(stage, "type", "stage"))


def resolve_checkpoint(path: Path) -> Path:
    """Return `path`, refusing one that holds no model, by name."""
    if not (path / "config.json").is_file():
        raise ValueError(f"no checkpoint at {path}: a model folder holds config.json")
    return path
