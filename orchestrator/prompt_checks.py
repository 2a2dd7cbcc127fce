"""Prompts that a model cannot read, told from the config alone, before a dataset is made.

A tiny model has one token for each word of the compact style, so that the length of a SAT prompt is
known exactly. With another model it is known once its tokenizer has read the shortest prompt of a
size, and whether that fits is a question to its files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from datagen.config import AbdConfig, DatasetConfig, DimacsConfig, MixConfig, SatConfig, SizeConfig
from datagen.styles import num_compact_words, prompt_text
from orchestrator.yaml_source import DataPath
from trainers.config import (
    EvaluationConfig,
    HfModelConfig,
    StageConfig,
    TinyModelConfig,
    TrainingStage,
)
from trainers.models.sources import context_length, count_tokens

Mistake = tuple[DataPath, str]
Size = tuple[DataPath, str, SizeConfig]


@dataclass(frozen=True)
class Use:
    """A split whose prompts a model is to read, and the tokens that are left for one of them."""

    by: DataPath
    dataset: str
    split: str
    max_completion_length: int
    max_prompt_length: int | None = None
    long_prompts: str = "error"

    def room(self, context: int) -> int:
        """The most tokens that a prompt may have."""
        left = context - self.max_completion_length
        return left if self.max_prompt_length is None else min(left, self.max_prompt_length)


def tiny_mistakes(
    model: TinyModelConfig, datasets: Mapping[str, DatasetConfig], stages: Sequence[StageConfig],
    evaluation: EvaluationConfig,
) -> Iterator[Mistake]:  # fmt: skip
    """Yield what a tiny model has no words for, or what does not fit its context."""
    context = model.max_position_embeddings
    told: dict[DataPath, str] = {}
    for use in _uses(stages, evaluation):
        dataset = datasets.get(use.dataset)
        if dataset is None:
            continue
        told |= dict(_wording(model, use, dataset))
        sizes = []
        for path, _, size in _sizes(use, dataset):
            sizes.append((path, size, 1 + num_compact_words(size.num_clauses, size.k)))
            if size.n > model.max_variables:
                told[(*path, "n")] = (
                    f"n {size.n} needs words for {size.n} variables, model.max_variables is "
                    f"{model.max_variables}: raise it to {size.n}"
                )
        told |= _too_long(use, context, "model.max_position_embeddings", sizes)
    yield from told.items()


def model_mistakes(
    model: HfModelConfig, datasets: Mapping[str, DatasetConfig], stages: Sequence[StageConfig],
    evaluation: EvaluationConfig,
) -> Iterator[str]:  # fmt: skip
    """Yield what does not fit the context of a model in a local folder, one line each."""
    context = context_length(model.path)
    if context is None:
        return
    named = f"the context of model.path {model.path!r},"
    told: dict[DataPath, str] = {}
    for use in _uses(stages, evaluation):
        least = use.max_prompt_length or 1
        if use.max_completion_length + least > context:
            told[(*use.by, "max_completion_length")] = (
                f"max_completion_length {use.max_completion_length} and a prompt of {least} do not "
                f"fit {named} {context}: lower it"
            )
            continue
        sizes = []
        for path, style, size in _sizes(use, datasets[use.dataset]):
            # Each clause has a token at least: no more of them than these need be read.
            clauses = [list(range(1, size.k + 1))] * min(size.num_clauses, context)
            length = count_tokens(model.path, prompt_text(style, size.n, clauses))
            if length is None:
                return
            sizes.append((path, size, length))
        told |= _too_long(use, context, named, sizes, "at least ")
    for path, message in told.items():
        yield f"{'.'.join(map(str, path))}: {message}"


def _uses(stages: Sequence[StageConfig], evaluation: EvaluationConfig) -> Iterator[Use]:
    for index, stage in enumerate(stages):
        yield from _uses_of(("stages", index), stage, evaluation)
    for split in evaluation.splits:
        yield Use(("evaluation",), evaluation.dataset, split, evaluation.max_completion_length)


def _uses_of(by: DataPath, stage: StageConfig, evaluation: EvaluationConfig) -> Iterator[Use]:
    own = (stage.max_completion_length, stage.max_prompt_length, stage.long_prompts)
    yield Use(by, stage.dataset, stage.split, *own)
    if isinstance(stage, TrainingStage) and stage.eval_steps is not None:
        length = evaluation.max_completion_length
        yield Use(("evaluation",), stage.dataset, stage.eval_split, length)


def _sizes(use: Use, dataset: DatasetConfig) -> list[Size]:
    """The sizes of the SAT problems of a split: where they stand, and in which style."""
    where: DataPath = ("datasets", use.dataset)
    if isinstance(dataset, MixConfig):
        split = dataset.split_configs.get(use.split)
        if split is None or not dataset.num_sat(split):
            return []
        problems, share = dataset.sat, split.sat
        at_own, at_all = (*where, "splits", use.split, "sat"), (*where, "sat")
    elif isinstance(dataset, SatConfig):
        own = dataset.split_configs.get(use.split)
        if own is None:
            return []
        problems, share = dataset, own
        at_own, at_all = (*where, "splits", use.split), where
    else:
        return []
    sizes, at = (problems.sizes, at_all) if share.sizes is None else (share.sizes, at_own)
    return [((*at, "sizes", i), problems.style, size) for i, size in enumerate(sizes)]


def _wording(model: TinyModelConfig, use: Use, dataset: DatasetConfig) -> Iterator[Mistake]:
    """Problems that are not written in a tiny model's words."""
    where: DataPath = ("datasets", use.dataset)
    parts: list[tuple[DataPath, str, bool]] = []
    if isinstance(dataset, MixConfig):
        split = dataset.split_configs.get(use.split)
        num_sat = dataset.num_sat(split) if split else 0
        if split and num_sat:
            parts.append(((*where, "sat"), dataset.sat.style, False))
        if split and num_sat < split.num_problems:
            parts.append(((*where, "abd"), dataset.abd.style, True))
    elif isinstance(dataset, SatConfig | DimacsConfig | AbdConfig):
        parts.append((where, dataset.style, isinstance(dataset, AbdConfig)))
    for path, style, programs in parts:
        if style != "compact":
            yield (
                (*path, "style"),
                f"style {style} is not written in the words of a tiny model: set it to compact, or "
                "use a model of type hf",
            )
        elif programs and not model.programs:
            yield (
                ("model", "programs"),
                f"{'.'.join(map(str, path))} asks about programs, and model.programs is false: set "
                "it to true",
            )


def _too_long(
    use: Use, context: int, named: str, sizes: Sequence[tuple[DataPath, SizeConfig, int]],
    least: str = "",
) -> dict[DataPath, str]:  # fmt: skip
    """Sizes whose prompts are longer than what is left for them, where that is refused."""
    room = use.room(context)
    long = [one for one in sizes if one[2] > room > 0]
    if use.long_prompts == "truncate" or (use.long_prompts == "drop" and len(long) < len(sizes)):
        return {}
    by = ".".join(map(str, use.by))
    return {
        (*path, "m" if size.m is not None else "n"): (
            f"{size.num_clauses} clauses of {size.k} literals make a prompt of {least}{length} "
            f"tokens, and {by} leaves {room} of {named} {context}: lower m, or raise that"
        )
        for path, size, length in long
    }
