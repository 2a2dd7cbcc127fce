"""Keys: what they are made of, and that the streams they open are uniform and independent."""

import hashlib

import numpy as np
import pytest
from scipy import stats

from datagen.keys import item_key, item_keys, key_digits, key_fraction, key_words


def test_a_key_is_the_sha256_of_its_parts():
    assert item_key("sat", "train", 3, 17) == hashlib.sha256(b'["sat","train",3,17]').digest()
    assert (
        item_key("sat", "tra\u00efn", 0, 1, 5)
        == hashlib.sha256(b'["sat","tra\\u00efn",0,1,5]').digest()
    )
    assert item_keys("sat", "t", 0, [4, 2]) == [
        item_key("sat", "t", 0, 4),
        item_key("sat", "t", 0, 2),
    ]


def test_every_part_changes_the_key():
    keys = {
        item_key(*parts)
        for parts in (
            ("sat", "train", 1, 23),
            ("abd", "train", 1, 23),
            ("sat", "test", 1, 23),
            ("sat", "train", 12, 3),
            ("sat", "train", 1, 2),
            ("sat", "train", 1, 23, 0),
            ("sat", "train", 1, 23, "0"),
        )
    }
    assert len(keys) == 7


def test_a_longer_stream_begins_with_the_shorter_one():
    keys = item_keys("sat", "t", 0, range(5))
    assert (key_words(keys, 100)[:, :7] == key_words(keys, 7)).all()
    assert (key_words(keys, 7)[2] == key_words(keys[2:3], 7)[0]).all()


def test_digits_are_uniform_and_independent():
    radices = [14, 12, 10, 8, 6, 5, 65536, 1, 3]
    digits = key_digits(item_keys("sat", "t", 0, range(200)), radices, 500)
    assert [d.shape for d in digits] == [(200, 500)] * len(radices)
    for digit, radix in zip(digits, radices, strict=True):
        assert digit.max() < radix
        if 1 < radix < 100:
            counts = np.bincount(digit.ravel(), minlength=radix)
            assert stats.chisquare(counts).pvalue > 1e-4
    for first in range(4):
        joint = digits[first].astype(int) * radices[first + 1] + digits[first + 1]
        counts = np.bincount(joint.ravel(), minlength=radices[first] * radices[first + 1])
        assert stats.chisquare(counts).pvalue > 1e-4


def test_a_radix_beyond_a_word_is_refused():
    with pytest.raises(ValueError, match="radix 65537"):
        key_digits([b"k" * 32], [65537], 1)


def test_fractions_are_uniform():
    keys = item_keys("sat", "t", 0, range(4000))
    for word in range(4):
        fractions = key_fraction(keys, word)
        assert fractions.min() >= 0 and fractions.max() < 1
        assert stats.kstest(fractions, "uniform").pvalue > 1e-4
