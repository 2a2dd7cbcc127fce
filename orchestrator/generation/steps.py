"""Shows the steps of a dataset that is made in blocks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from orchestrator.progress import Progress


@dataclass(frozen=True)
class ShownSteps:
    """Shows each step of the dataset `name` as a task, with its rate and the time left."""

    progress: Progress
    name: str

    @contextmanager
    def __call__(self, step: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
        """Show one step."""
        with self.progress.task(f"generate {self.name}/{step}", total, done=done) as task:
            yield task.update
