"""Problems for training: read and verified, put in order, turned into tokens.

The order is a pure function of (seed, stage, epoch), so that the whole state of the data loader
is one integer, the cursor.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from datagen.manifest import canonical_hash
from datagen.whole_file import DamageError
from reward_fns.answers import opened_thought
from reward_fns.records import Problem
from trainers.models.chat import TEMPLATE_ERRORS, render_chat
from trainers.models.load import Policy

COLUMNS = ("id", "task", "split", "index", "prompt", "answer", "env", "difficulty")
BATCH_SIZE = 1024


def load_split(folder: Path, split: str) -> list[Problem]:
    """Read all problems of a split, in the order of the dataset.

    Raises ValueError naming the file, where the dataset has no manifest, a shard is missing, or
    its bytes do not match the manifest.
    """
    manifest_path = folder / "manifest.json"
    try:
        manifest = json.loads(manifest_path.read_bytes())
        splits, claimed = manifest["splits"], manifest.pop("manifest_hash", None)
    except FileNotFoundError:
        raise ValueError(f"no dataset at {folder}: {manifest_path} does not exist") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{manifest_path} is not a dataset manifest: build it anew") from None
    if claimed is not None and claimed != canonical_hash(manifest):
        raise DamageError(f"{manifest_path} does not match its hash: build the data anew")
    if split not in splits:
        raise ValueError(f"split {split!r} is not in {folder}: choose from {sorted(splits)}")
    shards = splits[split]["shards"]
    problems = [problem for shard in shards for problem in _read_shard(folder, shard)]
    # Arrow keeps the freed tables' memory, which a worker has a better use for.
    pa.default_memory_pool().release_unused()
    return problems


def _read_shard(folder: Path, shard: dict[str, Any]) -> Iterator[Problem]:
    path = folder / Path(shard["file"]).name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read dataset file {path}: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != shard["sha256"]:
        raise ValueError(f"dataset file {path} does not match its manifest: build the data anew")
    table = pq.read_table(io.BytesIO(content), columns=list(COLUMNS))
    columns = [_pooled(table.column(name).to_pylist()) for name in COLUMNS]
    return (Problem(*row) for row in zip(*columns, strict=True))


def _pooled(values: list[Any]) -> list[Any]:
    """Let equal values be one object: demonstrations of a problem share its prompt and env."""
    pool: dict[Any, Any] = {}
    return [pool.setdefault(value, value) for value in values]


@dataclass
class KeyedOrder:
    """The order in which `num_problems` are visited: a new permutation in each epoch.

    Each epoch's permutation is keyed by sha256(seed, stage, epoch) and drawn from Philox's raw
    stream, which NumPy keeps the same over its versions.
    """

    num_problems: int
    seed: int
    stage: str
    _epochs: dict[int, np.ndarray] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.num_problems < 1:
            raise ValueError(
                f"stage {self.stage!r} has no problems to train on: its split is empty"
            )

    def take(self, cursor: int, count: int) -> tuple[list[int], int]:
        """Return the next `count` indices after `cursor` visits, and the cursor after them."""
        indices: list[int] = []
        end = cursor + count
        while cursor < end:
            epoch, start = divmod(cursor, self.num_problems)
            stop = min(start + end - cursor, self.num_problems)
            indices += self._permutation(epoch)[start:stop].tolist()
            cursor += stop - start
        return indices, cursor

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            key = hashlib.sha256(f"order\0{self.seed}\0{self.stage}\0{epoch}".encode()).digest()
            noise = np.random.Philox(key=int.from_bytes(key[:16], "big"))
            order = np.argsort(noise.random_raw(self.num_problems), kind="stable")
            # Two at most: a batch that spans the border of two epochs needs both.
            self._epochs = dict(list(self._epochs.items())[-1:])
            self._epochs[epoch] = order
        return self._epochs[epoch]


@dataclass(frozen=True, slots=True)
class EncodedPrompts:
    """Token ids of the prompts that were kept, and what became of the others.

    Equal prompts may share one list: do not change it in place.
    """

    prompt_ids: list[list[int]]
    indices: list[int]
    """For each prompt, the position of its problem in the list that was encoded."""
    num_dropped: int
    """Prompts left out because they were too long."""
    num_truncated: int
    """Prompts of which only the end was kept."""


@dataclass(frozen=True, slots=True)
class EncodedCompletions:
    """Token ids of completions, each with its eos token unless it was cut."""

    completion_ids: list[list[int]]
    num_truncated: int
    """Completions longer than the limit, of which only the beginning was kept."""


def prompts_for(
    policy: Policy, problems: Sequence[Problem], max_prompt_length: int,
    long_prompts: Literal["error", "drop", "truncate"] = "error",
) -> EncodedPrompts:  # fmt: skip
    """Encode prompts as `policy` is to read them; see `encode_prompts`."""
    return encode_prompts(
        policy.tokenizer, problems, max_prompt_length=max_prompt_length,
        long_prompts=long_prompts, chat_template=policy.chat_template, today=policy.today,
        num_embeddings=policy.num_embeddings,
    )  # fmt: skip


def answers_for(
    policy: Policy, problems: Sequence[Problem], max_completion_length: int
) -> EncodedCompletions:
    """Encode answers as `policy` is to give them; see `encode_completions`."""
    return encode_completions(
        policy.tokenizer, problems, eos_token_id=policy.eos_token_ids[0],
        max_completion_length=max_completion_length, num_embeddings=policy.num_embeddings,
    )  # fmt: skip


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    *,
    max_prompt_length: int,
    long_prompts: Literal["error", "drop", "truncate"] = "error",
    chat_template: bool = False,
    today: date | None = None,
    num_embeddings: int | None = None,
) -> EncodedPrompts:
    """Encode the problems' prompts, as one user message each where `chat_template` is set.

    What the tokenizer appends to a text, as an eos token, is left out: the answer goes on there.
    A template that writes today's date writes `today`. A prompt of more than `max_prompt_length`
    tokens is refused, dropped, or cut to its end.
    Raises ValueError naming the problem for such a prompt, for an empty one, for one that the
    template refuses, for a token that the vocabulary or the model lacks, and where nothing is left.
    """
    if max_prompt_length < 1:
        raise ValueError(
            f"max_prompt_length {max_prompt_length} leaves no room for a prompt: "
            "lower max_completion_length or use a model with a longer context"
        )
    kept, indices, num_truncated = [], [], 0
    texts = [problem.prompt for problem in problems]
    if chat_template:
        texts = [_as_chat(tokenizer, problem, today) for problem in problems]
    encoded = _encode(tokenizer, problems, texts, add_special_tokens=not chat_template)
    for index, ids in enumerate(encoded):
        _refuse_unembedded(tokenizer, problems[index], ids, num_embeddings)
        if len(ids) > max_prompt_length:
            if long_prompts == "error":
                raise ValueError(
                    f"problem {problems[index].id}: the prompt has {len(ids)} tokens, at most "
                    f"{max_prompt_length} fit: raise max_prompt_length or set long_prompts to "
                    "drop or truncate"
                )
            if long_prompts == "drop":
                continue
            num_truncated += 1
            ids = ids[-max_prompt_length:]
        kept.append(ids)
        indices.append(index)
    num_dropped = len(problems) - len(kept)
    if num_dropped and not kept:
        raise ValueError(
            f"all {num_dropped} prompts have more than {max_prompt_length} tokens and were "
            "dropped: raise max_prompt_length"
        )
    return EncodedPrompts(kept, indices, num_dropped, num_truncated)


def encode_completions(
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    *,
    eos_token_id: int,
    max_completion_length: int,
    num_embeddings: int | None = None,
) -> EncodedCompletions:
    """Encode the problems' answers as what the model is to say, and end each with the eos token.

    Raises ValueError naming the problem for a token that the vocabulary or the model lacks.
    """
    texts = [problem.answer for problem in problems]
    completion_ids, num_truncated = [], 0
    encoded = _encode(tokenizer, problems, texts, add_special_tokens=False)
    for problem, ids in zip(problems, encoded, strict=True):
        ended = [*ids, eos_token_id]
        _refuse_unembedded(tokenizer, problem, ended, num_embeddings)
        num_truncated += len(ended) > max_completion_length
        completion_ids.append(ended[:max_completion_length])
    return EncodedCompletions(completion_ids, num_truncated)


def decode_completions(policy: Policy, completions: Sequence[Sequence[int]]) -> list[str]:
    """Return sampled tokens as the text that rewards, logs and people read.

    Only tokens that end or pad a completion are dropped: the tags of thoughts and answers count
    whether or not the tokenizer calls them special. A thought that the chat template begins for
    the model is begun in the text, so that it ends where the model ends it.
    """
    dropped = {*policy.eos_token_ids, policy.pad_token_id}
    kept = [[token for token in ids if token not in dropped] for ids in completions]
    texts = policy.tokenizer.batch_decode(kept) if kept else []
    begun = (
        opened_thought(_asked(policy.tokenizer, "?", policy.today)) if policy.chat_template else ""
    )
    return [begun + text for text in texts] if begun else texts


def _asked(tokenizer: PreTrainedTokenizerBase, prompt: str, today: date | None) -> str:
    message = {"role": "user", "content": prompt}
    return render_chat(tokenizer, [message], today, add_generation_prompt=True)


def _as_chat(tokenizer: PreTrainedTokenizerBase, problem: Problem, today: date | None) -> str:
    try:
        return _asked(tokenizer, problem.prompt, today)
    except TEMPLATE_ERRORS as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ValueError(
            f"problem {problem.id}: the chat template of {tokenizer.name_or_path} refuses the "
            f"prompt as a user's message ({reason}): set model.chat_template to false "
            "(--no-chat-template), or mend the template"
        ) from error


def _refuse_unembedded(
    tokenizer: PreTrainedTokenizerBase, problem: Problem, ids: Sequence[int], limit: int | None
) -> None:
    """Refuse token ids that the model has no embedding for."""
    if limit is None or not ids or max(ids) < limit:
        return
    token = next(token for token in ids if token >= limit)
    word = tokenizer.convert_ids_to_tokens(token)
    raise ValueError(
        f"problem {problem.id}: its token {word!r} has the id {token}, the model has {limit} "
        f"embeddings: use the tokenizer that {tokenizer.name_or_path} was trained with"
    )


def _encode(
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    texts: Sequence[str],
    *,
    add_special_tokens: bool,
) -> Iterator[list[int]]:
    """Yield the token ids of each text, refusing unknown tokens by name and empty texts."""
    unknown = _unknown_token_id(tokenizer)
    appended = _appended(tokenizer) if add_special_tokens else []
    for start in range(0, len(texts), BATCH_SIZE):
        batch = list(texts[start : start + BATCH_SIZE])
        distinct = list(dict.fromkeys(batch))  # the demonstrations of a problem share its prompt
        encoded = tokenizer(distinct, add_special_tokens=add_special_tokens, verbose=False)
        all_ids = [_without(ids, appended) for ids in encoded["input_ids"]]
        ids_of = dict(zip(distinct, all_ids, strict=True))
        for offset, text in enumerate(batch):
            problem, ids = problems[start + offset], ids_of[text]
            # An unknown token is the model's blind spot: two different words would look the same.
            if unknown is not None and unknown in ids:
                word = _first_unknown(tokenizer, text, add_special_tokens)
                raise ValueError(
                    f"problem {problem.id}: the tokenizer has no token for {word!r}: use a model "
                    "whose vocabulary covers the dataset (tiny: raise max_variables)"
                )
            if not ids:
                raise ValueError(f"problem {problem.id}: its text has no tokens")
            yield ids


def _appended(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the special tokens that the tokenizer puts behind a text."""
    plain: list[int] = tokenizer("x", add_special_tokens=False)["input_ids"]
    whole: list[int] = tokenizer("x", add_special_tokens=True)["input_ids"]
    ends = range(len(whole), len(plain) - 1, -1)
    found = (whole[end:] for end in ends if plain == whole[end - len(plain) : end])
    return next(found, [])


def _without(ids: list[int], appended: Sequence[int]) -> list[int]:
    end = len(ids) - len(appended)
    return ids[:end] if appended and ids[end:] == appended else ids


def _unknown_token_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the id of unknown words; byte-level tokenizers lend that name to another token."""
    lent = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    return None if tokenizer.unk_token_id in lent else tokenizer.unk_token_id


def _first_unknown(tokenizer: PreTrainedTokenizerBase, text: str, add_special_tokens: bool) -> str:
    """Return the part of `text` that became the first unknown token."""
    if not tokenizer.is_fast:
        return text[:80]
    encoded = tokenizer(
        text, add_special_tokens=add_special_tokens, return_offsets_mapping=True, verbose=False
    )
    start, end = encoded["offset_mapping"][encoded["input_ids"].index(tokenizer.unk_token_id)]
    return text[start:end]
