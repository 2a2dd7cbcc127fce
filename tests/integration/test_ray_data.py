"""Datasets made by Ray Data: the bytes of one process, and what becomes of items that kill."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from datagen.blocks.build import build_in_blocks
from datagen.blocks.plan import BlockPlan
from datagen.blocks.sat_maker import SatMaker
from datagen.config import MixConfig, SatConfig
from datagen.dataset import build_dataset
from datagen.manifest import Manifest
from orchestrator.config import ResourcesConfig
from orchestrator.failures import GenerationFailed
from orchestrator.generation.crashes import find_deadly, kills_worker
from orchestrator.generation.large import certify_dataset, generate_dataset
from orchestrator.generation.ray_data import FEW, map_numbers
from orchestrator.generation.ray_run import RayRun
from orchestrator.generation.worker import TRIES, starts_again
from orchestrator.progress import Progress

pytestmark = [
    pytest.mark.integration,
    pytest.mark.usefixtures("local_ray"),
    # What Ray Data warns of are its own settings.
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning"),
]
OF_ITS_TIME = {"created_at", "manifest_hash"}
"""Fields of a manifest that another time of making changes."""
CONFIG = MixConfig(
    type="mix",
    sat={"sizes": [{"n": 20}]},
    abd={"programs": {"type": "procedural", "levels": [{"level": "easy"}]}},
    splits={"train": {"num_problems": 3500, "sat_ratio": 0.8}, "test": 300},
    shard_rows=1300,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build_dataset(CONFIG, tmp_path_factory.mktemp("whole") / "data", seed=5)


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_makes_the_bytes_of_one_process(
    workers: int, whole: Manifest, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    with Progress() as progress:
        resources = ResourcesConfig(num_workers=workers)
        made = generate_dataset(CONFIG, folder, 5, resources=resources, progress=progress)
        found = certify_dataset(folder, ["trl"], 3800, workers=workers, progress=progress)
    assert made.model_dump(exclude=OF_ITS_TIME) == whole.model_dump(exclude=OF_ITS_TIME)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert found["gold"] == found["problems"] == 3800


def test_a_users_mistake_in_a_worker_is_told_as_such(tmp_path: Path) -> None:
    sat = {"family": "planted", "sizes": [{"n": 2, "k": 2, "m": 1}]}
    config = MixConfig.model_validate(
        {**CONFIG.model_dump(), "sat": sat, "sat_ratio": 1.0, "splits": {"test": 9}}
    )
    with (
        Progress() as progress,
        pytest.raises(ValueError, match=r"splits\.test: no further problem of n=2 k=2 m=1"),
    ):
        resources = ResourcesConfig(num_workers=2)
        generate_dataset(config, tmp_path / "data", 5, resources=resources, progress=progress)
    assert not (tmp_path / "data").exists()


def test_halving_finds_the_item_that_kills_its_worker() -> None:
    asked: list[tuple[int, int]] = []

    def dies_at_5(start: int, stop: int) -> None:
        if start <= 5 < stop:
            os.kill(os.getpid(), signal.SIGKILL)

    def kills(start: int, stop: int) -> bool:
        asked.append((start, stop))
        return kills_worker(dies_at_5, start, stop, tries=1)

    assert find_deadly(kills, 0, 8) == 5
    assert len(asked) <= 7


def test_many_blocks_make_the_bytes_of_one_process(whole: Manifest, tmp_path: Path) -> None:
    """More than are tasks of Ray's own."""
    made = build_in_blocks(
        CONFIG, tmp_path / "data", 5, RayRun(2), block_problems={"sat": 90, "abd": 90}
    )
    assert made.model_dump(exclude=OF_ITS_TIME) == whole.model_dump(exclude=OF_ITS_TIME)


@pytest.mark.parametrize("num_blocks", [3, FEW + 1], ids=["tasks", "Ray Data"])
def test_a_job_names_the_item_that_no_worker_survives(num_blocks: int, tmp_path: Path) -> None:
    class DeadlyMaker(SatMaker):
        def draw(self, split: str, indices: Any, *more: Any) -> Any:
            if 5 in indices:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().draw(split, indices, *more)

    class DeadlyPlan(BlockPlan):
        @property
        def makers(self) -> dict[str, Any]:
            return {"sat": DeadlyMaker(self.config, self.seed)}

    config = SatConfig(sizes=[{"n": 6}], splits={"train": 4 * num_blocks})
    plan = DeadlyPlan(config, 3, tmp_path / "work", {"sat": 4})
    (plan.work / "parts").mkdir(parents=True)
    made: list[str] = []
    with pytest.raises(GenerationFailed, match=r"item 5 of split train \(sat, seed 3\) alone"):
        RayRun(2)(plan, list(plan.blocks("sat", "train")), lambda part, _: made.append(part.name))
    numbers = (number for number in range(num_blocks) if number != 1)
    assert sorted(made) == [f"sat.train.{4 * number:012d}" for number in numbers]


def test_a_range_that_dies_as_a_whole_only_has_no_deadly_item() -> None:
    assert find_deadly(lambda start, stop: stop - start > 3, 0, 100) is None
    assert find_deadly(lambda start, stop: start <= 99 < stop, 0, 100) == 99


def test_an_exception_is_no_death() -> None:
    def fails(start: int, stop: int) -> None:
        raise OSError("disk")

    assert not kills_worker(fails, 0, 1, tries=1)


@pytest.mark.parametrize("count", [5, FEW + 3], ids=["tasks", "Ray Data"])
def test_a_task_that_kills_its_worker_is_tried_so_often_and_the_others_are_done(
    count: int, tmp_path: Path
) -> None:
    def look(number: int) -> dict[str, Any]:
        starts = tmp_path / f"{number}.starts"
        if not starts_again(starts):
            return {"deadly": True}
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"deadly": False}

    rows = dict(map_numbers(look, count, workers=2))
    assert {number: row["deadly"] for number, row in rows.items()} == {
        number: number == 2 for number in range(count)
    }
    assert (tmp_path / "2.starts").stat().st_size == TRIES + 1
