"""Datasets for training: verified bytes, keyed order, counted and refused prompts."""

import hashlib
import itertools
import json
from collections import Counter
from datetime import date, datetime, time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.config import DemonstrationConfig, SatConfig, SizeConfig, SplitConfig
from datagen.dataset import build_dataset, read_split
from datagen.styles import num_compact_words
from reward_fns.records import Problem
from tests.small_models import byte_tokenizer
from trainers.config import TinyModelConfig
from trainers.data import (
    KeyedOrder,
    encode_completions,
    encode_prompts,
    load_split,
)
from trainers.models.chat import render_chat
from trainers.models.tiny import build_tiny_tokenizer

# The order of 8 problems over two epochs for seed 0 and stage grpo.
FROZEN_ORDER = [5, 6, 3, 1, 2, 0, 7, 4, 7, 5, 0, 1, 6, 3, 4, 2]


def problem(index: int, prompt: str = "+1 -2 =", answer: str = "+1 -2") -> Problem:
    return Problem(f"sat-{index}", "sat", "train", index, prompt, answer, '{"k":2}', "{}")


def write_dataset(folder: Path, shards: list[list[Problem]]) -> None:
    entries = []
    for number, rows in enumerate(shards):
        path = folder / f"train-{number:05d}.parquet"
        names = Problem.__slots__
        columns = {name: [getattr(row, name) for row in rows] for name in names}
        pq.write_table(pa.table(columns), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries.append({"file": path.name, "num_rows": len(rows), "sha256": digest})
    manifest = {"format": "clutch-dataset-v1", "splits": {"train": {"shards": entries}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_split_is_read_in_order(tmp_path: Path) -> None:
    rows = [problem(index, prompt=f"+{index + 1} =") for index in range(5)]
    write_dataset(tmp_path, [rows[:3], rows[3:]])
    assert load_split(tmp_path, "train") == rows


def test_changed_shard_is_refused_by_name(tmp_path: Path) -> None:
    write_dataset(tmp_path, [[problem(0)], [problem(1)]])
    path = tmp_path / "train-00001.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"train-00001\.parquet does not match its manifest"):
        load_split(tmp_path, "train")


def test_missing_pieces_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"manifest\.json does not exist"):
        load_split(tmp_path, "train")
    write_dataset(tmp_path, [[problem(0)]])
    with pytest.raises(ValueError, match=r"split 'test' .* choose from \['train'\]"):
        load_split(tmp_path, "test")
    (tmp_path / "train-00000.parquet").unlink()
    with pytest.raises(ValueError, match=r"train-00000\.parquet: No such file"):
        load_split(tmp_path, "train")
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(ValueError, match="is not a dataset manifest"):
        load_split(tmp_path, "train")


@given(
    num_problems=st.integers(1, 40),
    counts=st.lists(st.integers(0, 100), min_size=1, max_size=8),
    seed=st.integers(0, 3),
)
def test_order_does_not_depend_on_how_it_is_taken(
    num_problems: int, counts: list[int], seed: int
) -> None:
    whole, end = KeyedOrder(num_problems, seed, "grpo").take(0, sum(counts))
    order, cursor, pieces = KeyedOrder(num_problems, seed, "grpo"), 0, []
    for count in counts:
        indices, cursor = order.take(cursor, count)
        pieces += indices
        resumed = KeyedOrder(num_problems, seed, "grpo").take(cursor - count, count)
        assert resumed == (indices, cursor)
    assert (pieces, cursor) == (whole, end)
    for start in range(0, len(whole) - num_problems + 1, num_problems):
        assert sorted(whole[start : start + num_problems]) == list(range(num_problems))


def test_order_differs_by_seed_stage_and_epoch() -> None:
    taken = [
        KeyedOrder(50, 0, "grpo").take(0, 50)[0],
        KeyedOrder(50, 0, "grpo").take(50, 50)[0],
        KeyedOrder(50, 1, "grpo").take(0, 50)[0],
        KeyedOrder(50, 0, "sft").take(0, 50)[0],
    ]
    assert len({tuple(order) for order in taken}) == 4


def test_order_is_the_same_everywhere() -> None:
    # Frozen values: a new library version that changes them would break resumed runs.
    assert KeyedOrder(8, 0, "grpo").take(0, 16)[0] == FROZEN_ORDER


def test_first_places_are_uniform() -> None:
    firsts = Counter(KeyedOrder(4, seed, "s").take(0, 1)[0][0] for seed in range(2000))
    chi_square = sum((firsts[index] - 500) ** 2 / 500 for index in range(4))
    assert chi_square < 16.3  # 0.999 quantile at 3 degrees of freedom


def test_empty_split_is_refused() -> None:
    with pytest.raises(ValueError, match="stage 'sft' has no problems"):
        KeyedOrder(0, 0, "sft")


def test_prompts_begin_with_bos() -> None:
    encoded = encode_prompts(
        build_tiny_tokenizer(TinyModelConfig()), [problem(0)], max_prompt_length=8
    )
    assert encoded.prompt_ids == [[1, 8, 17, 4]]
    assert (encoded.indices, encoded.num_dropped, encoded.num_truncated) == ([0], 0, 0)


def test_long_prompts_are_refused_dropped_or_cut() -> None:
    tokenizer = build_tiny_tokenizer(TinyModelConfig())
    problems = [problem(0), problem(1, "+1 ; +2 ; +3 ="), problem(2)]
    with pytest.raises(ValueError, match=r"problem sat-1: the prompt has 7 tokens, at most 4 fit"):
        encode_prompts(tokenizer, problems, max_prompt_length=4)
    dropped = encode_prompts(tokenizer, problems, max_prompt_length=4, long_prompts="drop")
    assert (dropped.indices, dropped.num_dropped, dropped.num_truncated) == ([0, 2], 1, 0)
    cut = encode_prompts(tokenizer, problems, max_prompt_length=4, long_prompts="truncate")
    assert (cut.indices, cut.num_dropped, cut.num_truncated) == ([0, 1, 2], 0, 1)
    assert tokenizer.decode(cut.prompt_ids[1]) == "+2 ; +3 ="
    with pytest.raises(ValueError, match="all 3 prompts"):
        encode_prompts(tokenizer, problems, max_prompt_length=2, long_prompts="drop")
    with pytest.raises(ValueError, match="max_prompt_length 0 leaves no room"):
        encode_prompts(tokenizer, problems, max_prompt_length=0)


def test_unknown_token_is_refused_with_problem_and_remedy() -> None:
    tokenizer = build_tiny_tokenizer(TinyModelConfig(max_variables=4))
    with pytest.raises(ValueError, match=r"problem sat-7: .* no token for '\+5': .*max_variables"):
        encode_prompts(tokenizer, [problem(0), problem(7, "+1 +5 -9 =")], max_prompt_length=9)
    with pytest.raises(ValueError, match=r"problem sat-3: .* no token for '-6'"):
        encode_completions(
            tokenizer, [problem(3, answer="+1 -6")], eos_token_id=2, max_completion_length=9
        )


def test_chat_template_wraps_the_prompt() -> None:
    tokenizer = byte_tokenizer()
    encoded = encode_prompts(
        tokenizer, [problem(0, "x1 or x2?")], max_prompt_length=99, chat_template=True
    )
    text = tokenizer.decode(encoded.prompt_ids[0])
    assert text == "<|im_start|>user\nx1 or x2?<|im_end|>\n<|im_start|>assistant\n"
    plain = encode_prompts(tokenizer, [problem(0, "x1 or x2?")], max_prompt_length=99)
    assert tokenizer.decode(plain.prompt_ids[0]) == "x1 or x2?"


def test_a_prompt_does_not_end_with_what_the_tokenizer_appends() -> None:
    rows = [problem(0, "x1 or x2?")]
    for tokenizer in (byte_tokenizer(None, adds_eos=True), byte_tokenizer(None)):
        ids = encode_prompts(tokenizer, rows, max_prompt_length=9).prompt_ids
        assert ids == tokenizer(["x1 or x2?"], add_special_tokens=False)["input_ids"]
        with pytest.raises(ValueError, match="problem sat-0: its text has no tokens"):
            encode_prompts(tokenizer, [problem(0, "")], max_prompt_length=9)


def test_a_template_that_refuses_is_told_with_its_message_and_the_problem() -> None:
    for template, said in (
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0]['content'][0]['type']['x'] }}", "has no attribute 'type'"),
        ("{% if %}", "Expected an expression"),
    ):
        with pytest.raises(ValueError, match=r"^problem sat-0: the chat template of ") as told:
            encode_prompts(
                byte_tokenizer(template), [problem(0)], max_prompt_length=9, chat_template=True
            )
        assert said in str(told.value) and "model.chat_template" in str(told.value)
        assert "\n" not in str(told.value)


def test_templates_write_the_given_day_as_strftime_does() -> None:
    forms = ("%d %b %Y", '"%-d. %B" %H:%M %%d', "é %A %j", "%x %X %p", "no directive", "%")
    for day, form in itertools.product((date(2024, 2, 9), date(1999, 12, 31)), forms):
        tokenizer = byte_tokenizer("  {{ strftime_now(" + repr(form) + ") }}")
        text = render_chat(tokenizer, [{"role": "user", "content": ""}], day)
        assert text == f"  {datetime.combine(day, time()).strftime(form)}"


def test_completions_end_with_eos_unless_cut() -> None:
    tokenizer = build_tiny_tokenizer(TinyModelConfig())
    problems = [problem(0, answer="+1 -2"), problem(1, answer="+1 -2 +3")]
    encoded = encode_completions(tokenizer, problems, eos_token_id=2, max_completion_length=3)
    assert encoded.completion_ids == [[8, 17, 2], [8, 17, 10]]
    assert encoded.num_truncated == 1


def test_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="problem sat-0: its text has no tokens"):
        encode_prompts(byte_tokenizer(), [problem(0, "")], max_prompt_length=9)


def test_generated_dataset_is_read_and_encoded(tmp_path: Path) -> None:
    config = SatConfig(
        style="compact",
        sizes=(SizeConfig(n=4, m=9), SizeConfig(n=6, m=14)),
        splits={
            "train": 40,
            "sft": SplitConfig(num_problems=10, demonstrations=DemonstrationConfig()),
        },
        shard_rows=16,
    )
    folder = tmp_path / "sat"
    build_dataset(config, folder, seed=0)
    tokenizer = build_tiny_tokenizer(TinyModelConfig())
    for split, num_rows in (("train", 40), ("sft", 40)):
        problems = load_split(folder, split)
        assert problems == list(read_split(folder, split))
        assert len(problems) == num_rows
        prompts = encode_prompts(tokenizer, problems, max_prompt_length=64).prompt_ids
        assert [tokenizer.decode(ids) for ids in prompts] == [
            f"<bos> {problem.prompt}" for problem in problems
        ]
        sizes = [json.loads(problem.difficulty) for problem in problems]
        words = [num_compact_words(size["m"], size["k"]) for size in sizes]
        assert [len(ids) - 1 for ids in prompts] == words
        completions = encode_completions(
            tokenizer, problems, eos_token_id=2, max_completion_length=32
        ).completion_ids
        texts = tokenizer.batch_decode(completions, skip_special_tokens=True)
        assert texts == [problem.answer for problem in problems]
