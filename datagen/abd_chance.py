"""What a split's ABD problems are worth without reading the program, measured by running.

The empty input, the expected output given back, a random input of the right shape, and the example
that the prompt shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from datagen.abd import solves

MAX_PROBLEMS = 4096
"""Only the first so many problems of a split are measured."""
NUM_RANDOM = 8
"""Random inputs tried on each; none of those that a problem was screened with."""


@dataclass(slots=True)
class AbdChance:
    """Sums over the problems of a split."""

    num_problems: int = 0
    method: str = "sampled"
    sums: dict[str, float] = field(
        default_factory=lambda: {"empty_input": 0.0, "echo_output": 0.0, "random_input": 0.0}
    )

    def add(
        self,
        expected: str,
        empty: str | None,
        again: str | None,
        others: Sequence[str | None],
        example: str | None = None,
        *,
        has_example: bool = False,
    ) -> None:
        """Add a problem by what its program printed on each of the inputs, None where it failed."""
        self.num_problems += 1
        self.sums["empty_input"] += solves(expected, empty)
        self.sums["echo_output"] += solves(expected, again)
        if others:
            self.sums["random_input"] += sum(solves(expected, x) for x in others) / len(others)
        if has_example:
            solved = self.sums.get("example_input", 0.0) + solves(expected, example)
            self.sums["example_input"] = solved

    def rates(self) -> dict[str, float]:
        """The mean of each baseline."""
        return {name: round(total / self.num_problems, 6) for name, total in self.sums.items()}
