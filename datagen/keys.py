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


def below(words: NDArray[np.uint32], bound: int) -> NDArray[np.uint64]:
    """Map 32-bit words to integers 0..bound-1; a value's probability is off by at most 2^-32."""
    return (words.astype(np.uint64) * np.uint64(bound)) >> np.uint64(32)
