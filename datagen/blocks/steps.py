"""How the parts of a dataset get made and shown: by this process, or by whatever is handed in."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from datagen.blocks.parts import Outcome, make_part
from datagen.blocks.plan import BlockPlan, Part

Done = Callable[[Part, Outcome], None]
"""Called with each part that is made, in any order."""
Run = Callable[[BlockPlan, Sequence[Part], Done], None]
"""Makes parts, all of them or it raises."""
Steps = Callable[[str, int | None, int], AbstractContextManager[Callable[[int], None]]]
"""Opens the display of a step by its name, how much it is, if that is known, and how much is done;
what it yields is called with how much is done by then."""


def run_here(plan: BlockPlan, parts: Sequence[Part], done: Done) -> None:
    """Make parts in this process, one after another."""
    for part in parts:
        done(part, make_part(plan, part))


@contextmanager
def no_steps(name: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield lambda done: None
