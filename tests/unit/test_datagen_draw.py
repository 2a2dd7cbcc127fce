"""Drawing splits: no problem twice in a dataset, whatever the batches; misfits are redrawn."""

import json
from collections import Counter

import numpy as np
import pytest

from datagen import draw as drawing
from datagen.config import SatConfig, SizeConfig
from datagen.dataset import build_dataset, read_split
from datagen.draw import Draw, claim_order
from datagen.solver import solve


def config(**changes):
    fields = {
        "family": "planted",
        "style": "affine",
        "sizes": [SizeConfig(n=4, k=2, m=2)],
        "splits": {"train": 60, "test": 40, "validation": 30},
    }
    return SatConfig.model_validate({**fields, **changes})


def formulas(settings, seed=0):
    """Every problem of every split, as a hashable canonical form, with the row's id."""
    draw = Draw(settings, seed)
    found = {}
    for split in claim_order(settings):
        for chunk in draw.chunks(split):
            for group in chunk:
                for row, index in enumerate(group.indices.tolist()):
                    clauses = tuple(sorted(tuple(sorted(c)) for c in group.batch.clauses(row)))
                    found[split, index] = clauses
    return found, draw.dropped


def test_a_dataset_never_holds_a_problem_twice_even_in_a_tiny_space():
    found, dropped = formulas(config())
    assert len(found) == 130
    assert len(set(found.values())) == 130
    assert dropped["duplicates"] > 0
    assert dropped["leaks"] > 0


def test_the_cut_into_batches_changes_nothing(monkeypatch):
    whole, dropped = formulas(config(sizes=[SizeConfig(n=5, k=2, m=2), SizeConfig(n=4, k=2, m=2)]))
    monkeypatch.setattr(drawing, "CHUNK_ROWS", 7)
    parts, dropped_in_parts = formulas(
        config(sizes=[SizeConfig(n=5, k=2, m=2), SizeConfig(n=4, k=2, m=2)])
    )
    assert whole == parts
    assert dropped == dropped_in_parts


def test_a_larger_training_set_leaves_the_measured_splits_as_they_were():
    small, _ = formulas(config(splits={"train": 5, "test": 40, "validation": 30}))
    large, _ = formulas(config())
    for (split, index), clauses in small.items():
        if split != "train":
            assert large[split, index] == clauses


def test_splits_claim_in_a_fixed_order_training_last():
    settings = config(
        style="compact",
        splits={
            "warmup": {"num_problems": 1, "demonstrations": {}},
            "train": 1,
            "validation": 1,
            "test": 1,
        },
    )
    assert claim_order(settings) == ["test", "validation", "train", "warmup"]


def test_an_exhausted_space_is_an_error_that_names_split_and_size():
    settings = config(sizes=[SizeConfig(n=2, k=2, m=1)], splits={"test": 5})
    with pytest.raises(ValueError, match=r"splits\.test: no further problem of n=2 k=2 m=1"):
        formulas(settings)


def test_a_status_that_never_comes_is_an_error_too(monkeypatch):
    monkeypatch.setattr(drawing, "MAX_ATTEMPTS", 20)
    settings = config(family="uniform", unsat_fraction=1.0, sizes=[SizeConfig(n=5, m=1)])
    with pytest.raises(ValueError, match=r"n=5 k=3 m=1 in 20 draws \(unsat_fraction 1"):
        formulas(settings)


def test_uniform_problems_are_as_the_solver_says(tmp_path):
    settings = SatConfig(
        family="uniform",
        style="affine",
        sizes=[SizeConfig(n=6)],
        splits={"test": 300},
        unsat_fraction=0.3,
    )
    build_dataset(settings, tmp_path / "data", seed=0)
    statuses = Counter()
    for row in read_split(tmp_path / "data", "test"):
        env = json.loads(row.env)
        assert (solve(6, env["clauses"]) is not None) == env["satisfiable"]
        statuses[env["satisfiable"]] += 1
    assert 60 < statuses[False] < 120


def test_a_compact_prompt_tells_how_many_variables_there_are(tmp_path):
    settings = config(style="compact", sizes=[SizeConfig(n=6, m=3)], splits={"test": 200})
    manifest = build_dataset(settings, tmp_path / "data", seed=0)
    assert manifest.dropped["misfits"] > 0
    for row in read_split(tmp_path / "data", "test"):
        assert "6" in row.prompt


def test_sizes_are_drawn_by_weight():
    sizes = [SizeConfig(n=20, weight=1), SizeConfig(n=21, weight=3)]
    draw = Draw(config(sizes=sizes, splits={"test": 4000}), 0)
    counts = Counter()
    for chunk in draw.chunks("test"):
        for group in chunk:
            counts[group.batch.size.n] += len(group.batch)
            assert np.array_equal(group.indices, np.sort(group.indices))
    assert counts[21] / 4000 == pytest.approx(0.75, abs=0.03)
