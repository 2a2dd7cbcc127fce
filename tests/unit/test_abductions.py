"""Which input an ABD answer proposes, and when two outputs are the same."""

import time

import pytest

from reward_fns.abductions import extract_input, has_unclosed_input, input_text, same_output


@pytest.mark.parametrize(
    ("completion", "stdin"),
    [
        ("<INPUT>5</INPUT>", "5\n"),
        ("<INPUT> 5 7 </INPUT>", "5 7\n"),
        ("so: <input>\n5\n7\n</Input> done", "5\n7\n"),
        ("<INPUT>1</INPUT> or <INPUT>2</INPUT>", "2\n"),
        ("<INPUT>a<INPUT>b</INPUT>c</INPUT>", "b\n"),
        ("<INPUT>\n\n  indented \nlast\t\n\n\n</INPUT>", "\n  indented\nlast\n"),
        ("<INPUT>\r\na\r\nb\r\n</INPUT>", "a\nb\n"),
        ("<INPUT></INPUT>", ""),
        ("<INPUT>\n</INPUT>", ""),
        ("<think><INPUT>1</INPUT></think><INPUT>2</INPUT>", "2\n"),
        ("<INPUT>2</INPUT><thinking>no, <INPUT>1</INPUT></thinking>", "2\n"),
        ("<INPUT>1</INPUT></think><INPUT>2</INPUT>", "2\n"),
        ("<INPUT>a<think>b</think>c</INPUT>", "ac\n"),
        ("<think><INPUT>1</INPUT>", None),
        ("<INPUT>1</INPUT></think>", None),
        ("<INPUT>1", None),
        ("1</INPUT>", None),
        ("5", None),
        ("", None),
    ],
)
def test_the_input_is_the_last_tagged_part_outside_thoughts(completion, stdin):
    assert extract_input(completion) == stdin


@pytest.mark.parametrize("stdin", ["5\n", "5 7\n3\n", "\nsecond line\n", "  indented\n", ""])
def test_a_written_input_is_read_back(stdin):
    assert extract_input(input_text(stdin)) == stdin


def test_only_an_input_that_no_other_one_follows_is_unclosed():
    assert has_unclosed_input("so <INPUT>5")
    assert not has_unclosed_input("<INPUT>5</INPUT> <INPUT>6")
    assert not has_unclosed_input("<think><INPUT>5</think>")


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("19\n", "19\n", True),
        ("19\n", "19", True),
        ("a \r\nb\n", "a\nb\n\n", True),
        ("a\n\nb", "a\nb", False),
        (" a", "a", False),
        ("19", "19.0", False),
        ("a", "A", False),
    ],
)
def test_outputs_may_differ_in_blanks_at_line_ends_alone(expected, actual, same):
    assert same_output(expected, actual) is same


@pytest.mark.parametrize(
    "text", ["<INPUT>" * 400_000, "</think>" * 400_000, "<think>" * 400_000, "<" * 3_000_000]
)
def test_megabytes_of_tags_are_read_in_linear_time(text):
    started = time.process_time()
    extract_input(text)
    assert time.process_time() - started < 5
