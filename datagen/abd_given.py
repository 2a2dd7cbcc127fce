"""Certifies given programs by running each by itself, and takes those that make problems."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from datagen.abd import TASK, fingerprint, unfit
from datagen.abd_chance import AbdChance
from datagen.abd_config import AbdProblems
from datagen.abd_files import Case, GivenFile
from datagen.abd_runs import output_text, run_alone
from datagen.abd_styles import AFFINE_CALL, AFFINE_STDIN, Wording, affine_prompt
from datagen.cruxeval import EXPECTED_PROGRAM, cruxeval_program
from datagen.keys import item_key, item_keys
from datagen.proposed_inputs import InputFinder, Sample
from datagen.stream import Stream
from reward_fns.abductions import extract_input, input_text, same_output

CHUNK_CASES = 128
NUM_RANDOM, NUM_SCREENED = 2, 8
"""Inputs like the recorded one: those of the baseline, those that a problem is screened with."""
LEAST_SCREENED = 3
"""With fewer that run, nothing is known of how many inputs give an output."""
MAX_PROBLEMS = 512
"""Only the first so many problems of a split are measured, where none is screened."""
EXAMPLES = {AFFINE_STDIN: "first line\nsecond line", AFFINE_CALL: "'abc', 4"}
"""What the prompts show between the tags: nothing of the problem itself."""

_PIECE = re.compile(r"\d+|[a-z]+|[A-Z]+")


Tried = list[tuple[str, str | None]]
"""Inputs and what a program printed on each."""


@dataclass(frozen=True, slots=True)
class Certified:
    """A case whose program printed its recorded output, twice."""

    case: Case
    program: str
    """The text that runs: of a function, with what calls it."""
    stdin: str
    expected: str
    mark: int

    @property
    def wording(self) -> Wording:
        """The wording of its prompt."""
        return AFFINE_STDIN if self.program == self.case.program else AFFINE_CALL

    @property
    def prompt(self) -> str:
        """The prompt, which shows the recorded output as it was recorded."""
        shown = self.expected if self.wording == AFFINE_STDIN else self.case.output
        return affine_prompt(self.case.program, shown, EXAMPLES[self.wording], self.wording)


class GivenDraw:
    """Goes through a file's cases once; splits take problems from it one after another."""

    def __init__(
        self,
        problems: AbdProblems,
        given: GivenFile,
        seed: int,
        shuffled: bool,
        finder: InputFinder | None = None,
    ) -> None:
        self.problems = problems
        self.given = given
        self.seed = seed
        self.taken: dict[int, str] = {}
        self.dropped: Counter[str] = Counter(duplicates=0, leaks=0)
        self._limits = problems.limits.sandbox
        self._screened = getattr(problems.programs, "screened", False)
        self._finder = finder
        self._num_wanted = CHUNK_CASES
        self._rest = self._stream(self._order(shuffled))

    def problems_of(self, split: str, count: int | None, chance: AbdChance) -> Iterator[Certified]:
        """Yield the split's problems: `count` of them, or all that are left."""
        taken = 0
        while count is None or taken < count:
            self._num_wanted = CHUNK_CASES if count is None else count - taken
            found = next(self._rest, None)
            if found is None:
                if count is not None:
                    raise self._too_few(split, count, taken)
                return
            certified, tried = found
            owner = self.taken.get(certified.mark)
            if owner is not None:
                self.dropped["duplicates" if owner == split else "leaks"] += 1
                continue
            if tried is not None and chance.num_problems < MAX_PROBLEMS:
                empty, again, example, *others = [output for _, output in tried]
                random = others[:NUM_RANDOM]
                chance.add(certified.expected, empty, again, random, example, has_example=True)
            self.taken[certified.mark] = split
            taken += 1
            yield certified

    def _order(self, shuffled: bool) -> list[int]:
        """The cases in the order of the file, or each where its key puts it."""
        places = list(range(len(self.given)))
        if shuffled:
            keys = item_keys(TASK, "given", self.seed, places)
            places.sort(key=keys.__getitem__)
        return places

    def _stream(self, places: Sequence[int]) -> Iterator[tuple[Certified, Tried | None]]:
        """Yield the cases that make problems, with what was printed on the inputs of `_trials`."""
        num_measured = start = 0
        while start < len(places):
            chunk = list(places[start : start + self._chunk_size()])
            start += len(chunk)
            certified = self._certified(self.given.cases(chunk))
            if self._finder is not None:
                certified = self._certified(self._proposed(self._finder, certified))
            if not self._screened and num_measured >= 4 * MAX_PROBLEMS:
                yield from ((one, None) for one in certified)
                continue
            num_measured += len(certified)
            for one, tried in zip(certified, self._tried(certified), strict=True):
                reason = self._unfit(one, tried) if self._screened else None
                if reason is None:
                    yield one, tried
                else:
                    self.dropped[reason] += 1

    def _chunk_size(self) -> int:
        """No more cases than problems are wanted, where each costs a request."""
        return CHUNK_CASES if self._finder is None else min(CHUNK_CASES, self._num_wanted)

    def _proposed(self, finder: InputFinder, certified: Sequence[Certified]) -> list[Case]:
        """The cases with new inputs, as far as some were found."""
        samples = [Sample(one.program, one.stdin, one.expected) for one in certified]
        return [
            replace(
                one.case,
                name=f"{one.case.name}.proposed",
                stdin=sample.stdin,
                output=sample.output,
            )
            for one, sample in zip(certified, finder.find(samples), strict=True)
            if sample is not None
        ]

    def _certified(self, cases: Sequence[Case]) -> list[Certified]:
        """Run each case twice, the second time in another order; keep those that hold."""
        ready = self._expected([case for case in cases if self._fits(case)])
        first = self._outputs([(one.program, one.stdin) for one in ready])
        again = self._outputs([(one.program, one.stdin) for one in ready[::-1]])[::-1]
        kept = []
        for one, output, second in zip(ready, first, again, strict=True):
            reason = None
            if output is None:
                reason = "failed"
            elif output != second:
                reason = "unstable"
            elif not output.strip():
                reason = "empty_output"
            elif not same_output(one.expected, output):
                reason = "not_reproduced"
            elif len(output) > self.problems.max_io_chars:
                reason = "too_long"
            if reason is None and output is not None:
                kept.append(replace(one, expected=output, mark=fingerprint(one.program, output)))
            else:
                self.dropped[reason or "failed"] += 1
        return kept

    def _fits(self, case: Case) -> bool:
        """Whether a case is short enough, and text that a dataset can hold; counts those not."""
        texts = (case.program, case.stdin, case.output)
        try:
            for text in texts:
                text.encode()
        except UnicodeEncodeError:
            self.dropped["no_text"] += 1
            return False
        most = self.problems.max_io_chars
        short = len(case.program) <= self.problems.max_program_chars
        if short and len(case.stdin) <= most and len(case.output) <= most:
            return True
        self.dropped["too_long"] += 1
        return False

    def _expected(self, cases: Sequence[Case]) -> list[Certified]:
        """The programs to run, the input as it is read back from an answer, and what to expect."""
        stdins = [extract_input(input_text(case.stdin)) or "" for case in cases]
        pairs = list(zip(cases, stdins, strict=True))
        if self.problems.programs.type != "cruxeval":
            return [Certified(case, case.program, text, case.output, 0) for case, text in pairs]
        results = self._outputs([(EXPECTED_PROGRAM, case.output) for case in cases])
        ready = []
        for (case, text), expected in zip(pairs, results, strict=True):
            if expected is None:
                self.dropped["no_literal"] += 1
            else:
                ready.append(Certified(case, cruxeval_program(case.program), text, expected, 0))
        return ready

    def _tried(self, certified: Sequence[Certified]) -> list[Tried]:
        """What each program prints on the inputs of `_trials`, None where it fails."""
        trials = [self._trials(one) for one in certified]
        runs = [
            (one.program, text) for one, own in zip(certified, trials, strict=True) for text in own
        ]
        outputs = iter(self._outputs(runs))
        return [[(text, next(outputs)) for text in own] for own in trials]

    def _trials(self, one: Certified) -> list[str]:
        """The empty input, the output given back, the prompt's example, and inputs like the gold.

        The last are none where nothing of the gold input can be varied.
        """
        is_call = one.wording == AFFINE_CALL
        shown = one.case.output if is_call else one.expected
        stream = Stream(item_key(TASK, "given", self.seed, one.mark, "inputs"))
        vary = varied_arguments if is_call else varied_text
        count = NUM_RANDOM + (NUM_SCREENED if self._screened else 0)
        others = [vary(one.stdin, stream) for _ in range(count)]
        texts = [shown, EXAMPLES[one.wording], *(text for text in others if text is not None)]
        return ["", *(extract_input(input_text(text)) or "" for text in texts)]

    def _unfit(self, one: Certified, tried: Tried) -> str | None:
        """Why a certified case makes no problem, or None."""
        (_, empty), (_, again), _, *others = tried
        ran = [
            output
            for text, output in others[NUM_RANDOM:]
            if output is not None and text != one.stdin
        ]
        ran = ran if len(ran) >= LEAST_SCREENED else []
        return unfit(one.stdin, one.expected, empty, again, ran, self.problems.max_chance)

    def _outputs(self, runs: Sequence[tuple[str, str]]) -> list[str | None]:
        return [output_text(result) for result in run_alone(runs, self._limits)]

    def _too_few(self, split: str, count: int, taken: int) -> ValueError:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count)
        return ValueError(
            f"splits.{split}: asks for {count} problems and {self.given.path} has {taken} left "
            f"(of {len(self.given)}; left out: {reasons or 'none'}): ask for fewer, or for all"
        )


def varied_text(text: str, stream: Stream) -> str | None:
    """Return a text of the same shape, with other digits and letters; None if it has none."""
    if not _PIECE.search(text):
        return None
    return _PIECE.sub(lambda match: _varied_piece(match.group(), stream), text)


def varied_arguments(text: str, stream: Stream) -> str | None:
    """Return arguments of the same types and sizes; None if they are not all literals."""
    try:
        call = ast.parse(f"f({text}\n)", mode="eval").body
        if not isinstance(call, ast.Call) or not (call.args or call.keywords):
            return None
        parts = [repr(_varied(ast.literal_eval(node), stream)) for node in call.args]
        for option in call.keywords:
            parts.append(f"{option.arg}={_varied(ast.literal_eval(option.value), stream)!r}")
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return ", ".join(parts)


def _varied(value: Any, stream: Stream) -> Any:
    """A value of the same type and size."""
    if isinstance(value, bool):
        return stream.chance(0.5)
    if isinstance(value, int | float):
        return type(value)(_varied_piece(str(abs(int(value))), stream)) * (-1 if value < 0 else 1)
    if isinstance(value, str):
        return _PIECE.sub(lambda match: _varied_piece(match.group(), stream), value)
    if isinstance(value, list | tuple | set):
        return type(value)([_varied(item, stream) for item in value])
    if isinstance(value, dict):
        return {_varied(key, stream): _varied(item, stream) for key, item in value.items()}
    return value


def _varied_piece(piece: str, stream: Stream) -> str:
    """As many digits, or letters of the same case."""
    if piece.isdigit():
        first = stream.between(1, 9) if len(piece) > 1 else stream.below(10)
        return str(first) + "".join(str(stream.below(10)) for _ in piece[1:])
    base = ord("a") if piece.islower() else ord("A")
    return "".join(chr(base + stream.below(26)) for _ in piece)
