"""Every random draw is keyed: sha256 of (task, split, seed, index) and the stream that it opens.

An item's bytes depend on its key alone, so that items can be made in any order, in batches of any
size and on any number of workers.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 32


def item_key(task: str, split: str, seed: int, index: int, *purpose: int | str) -> bytes:
    """Return the 32-byte key of an item: sha256 of the compact JSON list of the arguments.

    `purpose` tells apart further draws for the same item: an attempt number, a word.
    """
    return next(iter(item_keys(task, split, seed, (index,), *purpose)))


def item_keys(
    task: str, split: str, seed: int, indices: Iterable[int], *purpose: int | str
) -> list[bytes]:
    """Return `item_key` of each index."""
    head = (json.dumps([task, split, seed], separators=(",", ":"))[:-1] + ",").encode()
    tail = (json.dumps([0, *purpose], separators=(",", ":"))[2:]).encode()
    sha256 = hashlib.sha256
    return [sha256(b"%b%d%b" % (head, index, tail)).digest() for index in indices]


def key_words(keys: Sequence[bytes], num_words: int) -> NDArray[np.uint32]:
    """Return `num_words` uniform 32-bit words of each key, [len(keys), num_words].

    The words are the first bytes of SHAKE128 of the key, little-endian: a longer stream of a key
    begins with the shorter one.
    """
    shake, num_bytes = hashlib.shake_128, 4 * num_words
    stream = b"".join([shake(key).digest(num_bytes) for key in keys])
    return np.frombuffer(stream, dtype="<u4").reshape(len(keys), num_words)


def key_fraction(keys: Sequence[bytes], word: int) -> NDArray[np.float64]:
    """Return a uniform number in [0, 1) of each key, from the key itself; `word` in 0..3."""
    words = np.frombuffer(b"".join(keys), dtype="<u8").reshape(len(keys), KEY_BYTES // 8)
    return (words[:, word] >> np.uint64(11)).astype(np.float64) * 2.0**-53


def key_digits(
    keys: Sequence[bytes], radices: Sequence[int], count: int
) -> list[NDArray[np.uint16]]:
    """Return uniform digits: for each radix (at most 2^16) an array [len(keys), count].

    Several digits share a 32-bit word, as long as the product of their radices is at most 2^16: a
    digit's probability is off by a factor of at most 1 + 2^-16.
    """
    groups = _packed(radices)
    words = key_words(keys, count * len(groups)).reshape(len(keys), len(groups), count)
    digits = []
    for number, group in enumerate(groups):
        fraction = words[:, number].astype(np.uint64)
        for radix in group:
            fraction *= np.uint64(radix)
            digits.append((fraction >> np.uint64(32)).astype(np.uint16))
            fraction &= np.uint64(0xFFFFFFFF)
    return digits


def _packed(radices: Sequence[int]) -> list[list[int]]:
    """Cut the radices into runs whose product is at most 2^16."""
    groups: list[list[int]] = []
    product = 1 << 17
    for radix in radices:
        if not 1 <= radix <= 1 << 16:
            raise ValueError(f"radix {radix} is not in 1..65536")
        product *= radix
        if product > 1 << 16:
            groups.append([])
            product = radix
        groups[-1].append(radix)
    return groups
