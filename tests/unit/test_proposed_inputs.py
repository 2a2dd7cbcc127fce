"""Proposed inputs meet the sandbox: what is kept, what is dropped and why, and hostile ones."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from datagen.proposal_config import ProposalsConfig
from datagen.proposed_inputs import InputFinder, Sample
from datagen.replies import Question, Reply
from reward_fns.sandbox import Limits

LIMITS = Limits(wall_s=2.0, cpu_s=1)
TRIPLE = Sample("n = int(input())\nprint(n * 3)\n", "5\n", "15\n")


class Scripted:
    """A responder with a list of replies for each attempt."""

    sha256 = ""
    num_replies = 0

    def __init__(self, *rounds: Sequence[str | Reply]) -> None:
        self.rounds = list(rounds)
        self.asked: list[list[Question]] = []

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        self.asked.append(list(questions))
        replies = self.rounds.pop(0)
        assert len(replies) == len(questions)
        return [one if isinstance(one, Reply) else Reply(one) for one in replies]


def tagged(stdin: str) -> str:
    return f"Here it is.\n<INPUT>\n{stdin}\n</INPUT>"


def finder(*rounds: Sequence[str | Reply], attempts: int = 1) -> InputFinder:
    config = ProposalsConfig(model="m", attempts=attempts, max_calls=7)
    return InputFinder(config, Scripted(*rounds), LIMITS)


def dropped_for(program: Sample, reply: str | Reply) -> str:
    """The reason for which one reply is dropped."""
    one = finder([reply])
    assert one.find([program]) == [None]
    reason, none_left = one.dropped.elements()
    assert none_left == "no_new_input"
    return reason.removeprefix("proposal_")


def test_a_good_input_is_kept_with_what_the_program_prints() -> None:
    one = finder([tagged("11")])
    assert one.find([TRIPLE]) == [Sample(TRIPLE.program, "11\n", "33\n")]
    assert one.num_found == 1 and one.dropped.total() == 0


@pytest.mark.parametrize(
    ("program", "reply", "reason"),
    [
        (TRIPLE.program, tagged("eleven"), "run_failed"),
        ("import sys\nprint(input())\nprint('!', file=sys.stderr)", tagged("7"), "run_failed"),
        ("input()\nwhile True: pass", tagged("7"), "run_failed"),
        ("input()\nwhile True: print('x' * 9999)", tagged("7"), "run_failed"),
        ("input()\nx = 'x' * 10**12", tagged("7"), "run_failed"),
        ("import sys\nprint(input())\nsys.exit(0)", tagged("7"), "run_failed"),
        ("import sys\nsys.stdout.buffer.write(b'\\xff')\ninput()", tagged("7"), "run_failed"),
        ("if input() == '5': print(15)", tagged("7"), "empty_output"),
        ("if input() == '5': print(15)\nelse: print(' ')", tagged("7"), "empty_output"),
        ("input()\nprint(15)", tagged("7"), "same_output"),
        (TRIPLE.program, tagged("5"), "same_input"),
        (TRIPLE.program, "11", "no_input"),
        (TRIPLE.program, tagged("1" * 5000), "too_long"),
        (TRIPLE.program, Reply(None, "timeout"), "timeout"),
    ],
)
def test_what_makes_no_new_problem_is_dropped(
    program: str, reply: str | Reply, reason: str
) -> None:
    assert dropped_for(Sample(program, "5\n", "15\n"), reply) == reason


def test_further_attempts_are_made_for_those_that_lack_an_input() -> None:
    one = finder(
        [tagged("1"), "no", tagged("5")],
        [tagged("x"), tagged("2")],
        [tagged("3")],
        attempts=3,
    )
    found = one.find([TRIPLE, TRIPLE, TRIPLE])
    assert [sample and sample.stdin for sample in found] == ["1\n", "3\n", "2\n"]
    reasons = ("no_input", "same_input", "run_failed")
    assert +one.dropped == {f"proposal_{reason}": 1 for reason in reasons}


def test_a_spent_budget_says_what_to_raise() -> None:
    spent = Reply(None, "budget_spent")
    with pytest.raises(ValueError, match=r"max_calls 7 .*1 new inputs found: raise it"):
        finder([tagged("1"), spent]).find([TRIPLE, TRIPLE])


def test_a_proposal_that_is_code_finds_nothing_to_steal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`eval(input())`: the input is a program of the model's, and runs behind the sandbox."""
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    monkeypatch.setenv("CLUTCH_SECRET", "the secret")
    evil = Sample("print(eval(input()))", "1 + 1\n", "2\n")
    attacks = [
        f"open({str(secret)!r}).read()",
        f"open({str(secret)!r}, 'w').write('gone')",
        "__import__('os').environ['CLUTCH_SECRET']",
        "__import__('os').system('touch /tmp/clutch-was-here')",
        "__import__('socket').create_connection(('127.0.0.1', 80))",
        f"__import__('os').kill({os.getpid()}, 9)",
    ]
    one = finder([tagged(attack) for attack in attacks])
    found = one.find([evil] * len(attacks))
    assert all("the secret" not in sample.output for sample in found if sample)
    assert secret.read_text() == "the secret"
    assert not Path("/tmp/clutch-was-here").exists()
