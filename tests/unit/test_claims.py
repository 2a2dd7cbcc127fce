"""Claims: what eight bytes an item tell is what one process with sets would have found."""

from collections import Counter
from itertools import count

import numpy as np
import pytest

from datagen.blocks import claims as claiming
from datagen.blocks.claims import Claims, Draw, Marks


def draw(item: int, attempt: int, space: int) -> int:
    """The mark of an item's draw, out of a small space."""
    return int(np.random.default_rng([item, attempt]).integers(space))


def one_by_one(
    num_items: int, space: int, earlier: list[set[int]]
) -> tuple[dict[int, tuple[int, int]], Counter[str]]:
    """Attempt and mark of each item, and the counts, as one process finds them."""
    own: set[int] = set()
    found, dropped = {}, Counter[str]()
    for item in range(num_items):
        for attempt in count():
            mark = draw(item, attempt, space)
            if any(mark in marks for marks in earlier):
                dropped["leaks"] += 1
            elif mark in own:
                dropped["duplicates"] += 1
            else:
                break
        own.add(mark)
        found[item] = attempt, mark
    return found, dropped


def by_claims(
    num_items: int, space: int, earlier: list[set[int]]
) -> tuple[dict[int, tuple[int, int]], Counter[str]]:
    marks = np.array([draw(item, 0, space) for item in range(num_items)], np.uint64)
    sets = [Marks(np.array(sorted(own), np.uint64)) for own in earlier]
    claims = Claims(marks, sets)
    further: dict[int, list[Draw]] = {}
    rounds = 0
    while missing := (found := claims.resolve(further)).missing:
        assert missing == sorted(missing)
        rounds += 1
        for item in missing:
            drawn = further.setdefault(item, [])
            mark = draw(item, len(drawn) + 1, space)
            drawn += claims.look_up(np.array([mark], np.uint64))
    assert rounds < 40
    final = {item: (0, int(mark)) for item, mark in enumerate(marks)}
    final |= {item: (len(drawn), drawn[-1].mark) for item, drawn in further.items()}
    return final, found.dropped


@pytest.mark.parametrize("step", [7, 1 << 20])
@pytest.mark.parametrize("space", [90, 200, 100_000])
def test_losers_and_cascades_are_those_of_one_process(space, step, monkeypatch):
    monkeypatch.setattr(claiming, "STEP", step)
    earlier = [{3, 14, 15}, set(range(40, 52))]
    wanted, dropped = one_by_one(70, space, earlier)
    found, counted = by_claims(70, space, earlier)
    assert found == wanted
    assert counted == dropped
    if space < 1000:
        assert dropped["leaks"] > 0 and dropped["duplicates"] > 0


def test_marks_are_64_bits():
    marks = Marks(np.array([0, 2**63 + 1, 2**64 - 1], np.uint64))
    assert all(mark in marks for mark in (0, 2**63 + 1, 2**64 - 1))
    assert 2**63 not in marks and 1 not in Marks(np.empty(0, np.uint64))
