"""Public benchmark files: the full set where it is stored beside the checkout, else an excerpt.

With `CLUTCH_TEST_EXCERPTS=1`, as in CI, the excerpts are used wherever the full sets are stored.
"""

import os
import tarfile
from pathlib import Path

from tests.command import ROOT

EXCERPTS = ROOT / "tests" / "data"
FULL_SETS = ROOT.parent / "shared" / "data"


def benchmark(name: str) -> Path:
    """Return a file of a set, such as `satlib/uf20-91.tar.gz` or `cruxeval/cruxeval.jsonl`."""
    full = FULL_SETS / name
    use_excerpt = os.environ.get("CLUTCH_TEST_EXCERPTS") == "1" or not full.is_file()
    return EXCERPTS / Path(name).name if use_excerpt else full


def num_formulas(archive: Path) -> int:
    """Return how many files an archive of formulas holds."""
    with tarfile.open(archive) as members:
        return sum(member.isfile() for member in members)


def described() -> str:
    """Return where each set comes from, for the head of a test report."""
    names = ("satlib/uf20-91.tar.gz", "cruxeval/cruxeval.jsonl")
    sources = ("an excerpt" if benchmark(n).parent == EXCERPTS else "in full" for n in names)
    return ", ".join(f"{n.split('/')[0]} {how}" for n, how in zip(names, sources, strict=True))
