"""Metrics that merge: each is a sum and a count, over steps and over workers."""

from collections.abc import Iterable, Mapping, Sequence

from trainers.parallel import Workers


class Means:
    """Running sums and counts by name (`area/name`)."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, name: str, total: float, count: float = 1.0) -> None:
        """Add `total` over `count` observations."""
        old_total, old_count = self._sums.get(name, (0.0, 0.0))
        self._sums[name] = (old_total + total, old_count + count)

    def add_values(self, name: str, values: Iterable[float]) -> None:
        """Add single observations."""
        items = list(values)
        self.add(name, float(sum(items)), len(items))

    @property
    def sums(self) -> dict[str, tuple[float, float]]:
        """What was added since the last row: a part of the state that a stage resumes from."""
        return dict(self._sums)

    def restore(self, sums: Mapping[str, Sequence[float]]) -> None:
        """Go on from `sums` as another process left them."""
        self._sums = {name: (total, count) for name, (total, count) in sums.items()}

    def take(self, workers: Workers) -> dict[str, float]:
        """Return the means over all workers, in order of name, and start anew."""
        merged = Means()
        for sums in workers.gather(self._sums):
            for name, (total, count) in sums.items():
                merged.add(name, total, count)
        self._sums = {}
        return {
            name: total / count for name, (total, count) in sorted(merged._sums.items()) if count
        }
