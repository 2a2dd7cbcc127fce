"""Finds new inputs for given programs: a language model proposes them, the sandbox decides.

As upstream does, a proposal is dropped if the program fails on it, writes to stderr or prints
nothing; so is one that gives the example's output, which is no new problem.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from datagen.abd_runs import output_text, run_alone
from datagen.proposal_config import ProposalsConfig
from datagen.proposals import Proposal, Wish, propose
from datagen.replies import BUDGET_SPENT, Responder
from reward_fns.abductions import same_output
from reward_fns.sandbox import Limits, Result


@dataclass(frozen=True, slots=True)
class Sample:
    """A program, an input, and what it prints on it."""

    program: str
    stdin: str
    output: str


class InputFinder:
    """Asks for inputs and tries them; counts what was dropped by reason."""

    def __init__(self, config: ProposalsConfig, responder: Responder, limits: Limits) -> None:
        self.config = config
        self.dropped: Counter[str] = Counter()
        self.num_found = 0
        self._responder = responder
        self._limits = limits

    def find(self, samples: Sequence[Sample]) -> list[Sample | None]:
        """Return each program with a new input and its output; None where all attempts failed.

        Raises ValueError when no further request may be sent.
        """
        found: list[Sample | None] = [None] * len(samples)
        for attempt in range(self.config.attempts):
            places = [place for place, one in enumerate(found) if one is None]
            if not places:
                break
            tried = self._try([samples[place] for place in places], attempt)
            for place, one in zip(places, tried, strict=True):
                found[place] = one
        self.dropped["no_new_input"] += found.count(None)
        return found

    def _try(self, samples: Sequence[Sample], attempt: int) -> list[Sample | None]:
        """Ask once for each program, and run what is proposed."""
        wishes = [Wish(one.program, one.stdin, one.output, attempt) for one in samples]
        proposals = propose(self._responder, wishes, max_input_bytes=self.config.max_input_bytes)
        runs = [
            (sample.program, proposal.stdin)
            for sample, proposal in zip(samples, proposals, strict=True)
            if proposal.stdin is not None
        ]
        results = iter(run_alone(runs, self._limits))
        return [
            self._judged(sample, proposal, None if proposal.stdin is None else next(results))
            for sample, proposal in zip(samples, proposals, strict=True)
        ]

    def _judged(self, sample: Sample, proposal: Proposal, result: Result | None) -> Sample | None:
        if proposal.reason == BUDGET_SPENT:
            raise self._budget_spent()
        reason, output = proposal.reason, None
        if result is not None:
            output = None if result.stderr else output_text(result)
            reason = _misfit(sample, output)
        if reason is not None or proposal.stdin is None or output is None:
            self.dropped[f"proposal_{reason or 'run_failed'}"] += 1
            return None
        self.num_found += 1
        return replace(sample, stdin=proposal.stdin, output=output)

    def _budget_spent(self) -> ValueError:
        return ValueError(
            f"max_calls {self.config.max_calls} of programs.proposals is spent, with "
            f"{self.num_found} new inputs found: raise it, or ask for fewer problems (what was "
            f"answered is kept, and is not asked again)"
        )


def _misfit(sample: Sample, output: str | None) -> str | None:
    """Why a proposed input makes no problem, judged by what the program prints on it."""
    if output is None:
        return "run_failed"
    if not output.strip():
        return "empty_output"
    return "same_output" if same_output(sample.output, output) else None
