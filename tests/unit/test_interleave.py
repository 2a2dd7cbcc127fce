"""The order of tasks in a split: that of a stable sort of keyed words."""

import numpy as np
import pytest

from datagen import interleave
from datagen.interleave import task_order
from datagen.keys import item_keys, key_words


def sorted_order(split, seed, counts):
    total = sum(counts)
    words = key_words(item_keys("mix", split, seed, [0]), 2 * total).view("<u8")[0]
    order = np.empty(total, np.int64)
    order[np.argsort(words, kind="stable")] = np.repeat(np.arange(len(counts)), counts)
    return order


@pytest.mark.parametrize(
    "counts", [[5, 5], [0, 7], [7, 0], [1, 1], [300, 1], [2000, 900], [3, 4, 5]]
)
def test_it_is_the_order_of_a_stable_sort(counts, monkeypatch):
    monkeypatch.setattr(interleave, "STEP", 64)
    order = task_order("train", 3, counts)
    assert order.dtype == np.int8
    assert np.array_equal(order, sorted_order("train", 3, counts))


def test_equal_words_are_ranked_by_their_places(monkeypatch):
    words = np.array([7, 3, 7, 7, 1, 7], "<u8")
    monkeypatch.setattr(interleave, "key_words", lambda keys, count: words.view("<u4")[None])
    assert task_order("train", 0, [4, 2]).tolist() == [0, 0, 0, 1, 0, 1]
