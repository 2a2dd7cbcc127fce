"""Which recorded evaluations become SFT data."""

from pydantic import Field

from datagen.config import Strict


class EvaluationsConfig(Strict):
    """What to keep of the results that an index names."""

    min_score: float = 0.5
    """Least recorded score of a row that is kept."""
    tail: int = Field(100, ge=1)
    """Blocks back from the newest window of the index."""
    max_results: int | None = Field(None, ge=1)
    """Most rows to keep, of the newest windows first; all by default."""
    env: tuple[str, ...] = ()
    """Environments to keep, as `sat` and `abd`; all by default."""
    verify: bool = False
    """Score SAT and ABD rows again with our own rewards, and count where the record differs."""
