"""The compact style of ABD: few words, and an answer that a tokenizer's decoding leaves whole."""

import json
import re

import pytest

from datagen.abd_config import AbdConfig
from datagen.abd_styles import (
    COMPACT_WORDS,
    answer_text,
    compact_output,
    compact_prompt,
    compact_run_prompt,
    compact_words,
)
from datagen.dataset import build_dataset, read_split
from reward_fns.abd import score_abd
from reward_fns.abductions import extract_input
from trainers.config import TinyModelConfig
from trainers.models.tiny import build_tiny_tokenizer, tiny_vocabulary

EITHER = """\
a, b = map(int, input().split())
if a % 2 != 1:
    a = a - 10
print(max(a, b) // 3, -b)"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    config = AbdConfig.model_validate(
        {
            "style": "compact",
            "programs": {
                "type": "procedural",
                "levels": [
                    {"level": "micro"},
                    {"level": "micro", "inputs": 3, "depth": 3, "max_value": 99},
                ],
            },
            "splits": {"test": 300, "warmup": {"num_problems": 150, "demonstrations": {}}},
        }
    )
    folder = tmp_path_factory.mktemp("compact") / "data"
    build_dataset(config, folder, seed=2)
    return [row for split in ("test", "warmup") for row in read_split(folder, split)]


def test_a_program_is_written_word_by_word():
    assert compact_words(EITHER) == (
        "a , b = map(int,input().split()) ; if a % 2 != 1 : { a = a - 10 } "
        "print ( max ( a , b ) // 3 , - b )"
    )
    assert compact_words("n = int(input())\nprint(n * 3)") == "n = int(input()) ; print ( n * 3 )"


@pytest.mark.parametrize(
    "text", ["s = input().strip()", "n = int(input())\nprint(n + 100)", "print('a')"]
)
def test_programs_of_other_words_are_refused(text):
    assert compact_words(text) is None


@pytest.mark.parametrize(
    ("output", "words"),
    [("7\n", "7"), ("-7 12\n", "- 7 12"), ("1\n-2\n", "1 ; - 2"), ("100\n", None), ("a\n", None)],
)
def test_outputs_are_numbers_with_the_sign_as_a_word(output, words):
    assert compact_output(output) == words


def test_all_texts_are_of_the_words_that_are_exported(rows):
    assert len(set(COMPACT_WORDS)) == len(COMPACT_WORDS) <= 150
    used = {word for row in rows for word in f"{row.prompt} {row.answer}".split(" ")}
    assert used <= set(COMPACT_WORDS)
    assert {"->", "<-", "input", "run", "if", "{", "}", "abs", "//", "%"} <= used


def test_the_tiny_tokenizer_has_all_words(rows):
    config = TinyModelConfig(programs=True)
    assert set(COMPACT_WORDS) <= set(tiny_vocabulary(config))
    tokenizer = build_tiny_tokenizer(config)
    unknown = tokenizer.unk_token_id
    for row in rows:
        assert unknown not in tokenizer(f"{row.prompt} {row.answer}")["input_ids"]


def test_a_decoded_answer_is_still_an_input_that_solves_its_problem(rows):
    tokenizer = build_tiny_tokenizer(TinyModelConfig(programs=True))
    gold = [row for row in rows if row.split == "test"]
    for row in gold[:100]:
        ids = tokenizer(row.answer, add_special_tokens=False)["input_ids"]
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        assert decoded == row.answer
        assert score_abd(decoded, row.env).value == 1.0


def test_the_answer_is_read_back_as_it_was_given():
    assert answer_text("compact", "5 7\n") == "<INPUT> 5 7 </INPUT>"
    assert extract_input("<INPUT> 5 7 </INPUT>") == "5 7\n"


def test_prompts_end_in_what_they_ask_for():
    assert compact_prompt("print ( n )", "7") == "print ( n ) -> 7 input"
    assert compact_run_prompt("print ( n )", "7\n") == "print ( n ) <- 7 run"


def test_prompts_tell_the_program_and_the_output_of_their_env(rows):
    for row in rows:
        if not row.prompt.endswith(" input"):
            continue
        env = json.loads(row.env)
        program, output = row.prompt.removesuffix(" input").split(" -> ")
        assert re.sub(r"[;{}\s]", "", program) == re.sub(r"\s", "", env["program"])
        assert output.replace("- ", "-") == env["expected_output"].strip().replace("\n", " ; ")
