"""The flags of commands that may ask a language model for new inputs of programs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter


@Parameter(name="*")  # --propose, not --proposals.propose
@dataclass(frozen=True)
class ProposalFlags:
    """New inputs for given programs.

    Parameters
    ----------
    propose
        A language model that proposes new inputs for the programs of --from-programs; its key comes
        from CHUTES_API_KEY or OPENAI_API_KEY.
    base_url
        Where its OpenAI-compatible API lies (https://llm.chutes.ai/v1 by default).
    temperature
        Its sampling temperature (0.8 by default).
    attempts
        Replies that are asked for in search of one good input (3 by default).
    max_calls
        Most requests that are sent, repetitions included (1000 by default).
    concurrency
        Most requests at a time (8 by default).
    """

    propose: str | None = None
    base_url: str | None = None
    temperature: float | None = None
    attempts: int | None = None
    max_calls: int | None = None
    concurrency: int | None = None

    def settings(self, from_programs: Path | None) -> dict[str, Any] | None:
        """The config's `proposals`, None if no model is asked; mistakes named by flag."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if not given:
            return None
        flags = ", ".join("--" + name.replace("_", "-") for name in given)
        if self.propose is None:
            raise ValueError(f"{flags} needs --propose MODEL: which model to ask")
        if from_programs is None:
            raise ValueError(f"{flags} needs --from-programs: inputs are proposed for its programs")
        return {"model": given.pop("propose"), **given}
