"""How two versions differ: rows by id and content, and what they were built of."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from datagen.registry.build import TOLD
from datagen.registry.row_ids import RowIds, content_digest
from datagen.registry.rows import row_line
from datagen.registry.versions import Registry

MAX_EXAMPLES = 10
SAME, CHANGED, ONLY_FIRST, ONLY_SECOND = "same", "changed", "only_first", "only_second"


@dataclass(frozen=True, slots=True)
class Difference:
    """Numbers of rows by sort, a few ids of each, and the fields that say other things."""

    is_same_content: bool
    """Whether the rows are the same, in the same splits and order."""
    num_rows: dict[str, int]
    examples: dict[str, list[str]]
    fields: dict[str, tuple[object, object]]


def diff_versions(registry: Registry, first: str, second: str) -> Difference:
    """Compare two versions row by row, in memory that does not grow with them."""
    one, two = (registry.load(key).model_dump(mode="json") for key in (first, second))
    num_rows: Counter[str] = Counter({SAME: 0, CHANGED: 0, ONLY_FIRST: 0, ONLY_SECOND: 0})
    examples: dict[str, list[str]] = {CHANGED: [], ONLY_FIRST: [], ONLY_SECOND: []}
    with RowIds() as before, RowIds() as after:
        _read(registry, first, before)
        _read(registry, second, after)
        for row_id, sort in _merged(iter(before), iter(after)):
            num_rows[sort] += 1
            if sort != SAME and len(examples[sort]) < MAX_EXAMPLES:
                examples[sort].append(row_id)
    fields = {name: (one[name], two[name]) for name in TOLD if one[name] != two[name]}
    same = one["content_hash"] == two["content_hash"]
    return Difference(same, dict(num_rows), examples, fields)


def _read(registry: Registry, key: str, ids: RowIds) -> None:
    for split in registry.load(key).rows:
        for row in registry.rows(key, split):
            ids.add(row.id, content_digest(row_line(row)), 0)


def _merged(
    before: Iterator[tuple[str, bytes]], after: Iterator[tuple[str, bytes]]
) -> Iterator[tuple[str, str]]:
    """Yield each id with its sort, out of two streams that are sorted by id."""
    one, two = next(before, None), next(after, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one[0] < two[0]):
            assert one is not None
            yield one[0], ONLY_FIRST
            one = next(before, None)
        elif one is None or two[0] < one[0]:
            yield two[0], ONLY_SECOND
            two = next(after, None)
        else:
            yield one[0], SAME if one[1] == two[1] else CHANGED
            one, two = next(before, None), next(after, None)
