"""One item's draws in sequence: whole numbers, choices and coins from the stream of its key."""

from collections.abc import Sequence
from typing import TypeVar

from datagen.keys import key_words

Choice = TypeVar("Choice")
FIRST_WORDS = 96


class Stream:
    """Uniform draws of a key, each from the next 32-bit words of its stream.

    A bound of up to 2^16 takes one word and is off by a factor of at most 1 + 2^-16; larger ones
    take two words.
    """

    __slots__ = ("_key", "_next", "_words")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._words: list[int] = key_words([key], FIRST_WORDS)[0].tolist()
        self._next = 0

    def below(self, bound: int) -> int:
        """Return a number in 0..bound-1; bound in 1..2^32."""
        word = self._word()
        if bound > 1 << 16:
            return ((word << 32 | self._word()) * bound) >> 64
        return (word * bound) >> 32

    def between(self, low: int, high: int) -> int:
        """Return a number in low..high."""
        return low + self.below(high - low + 1)

    def choice(self, options: Sequence[Choice]) -> Choice:
        """Return one of the options."""
        return options[self.below(len(options))]

    def chance(self, probability: float) -> bool:
        """Return True with that probability."""
        return self._word() < probability * 2**32

    def shuffled(self, options: Sequence[Choice]) -> list[Choice]:
        """Return the options in random order."""
        mixed = list(options)
        for last in range(len(mixed) - 1, 0, -1):
            other = self.below(last + 1)
            mixed[last], mixed[other] = mixed[other], mixed[last]
        return mixed

    def weighted(self, weights: Sequence[float]) -> int:
        """Return a place, each as often as its weight says."""
        left = self._word() / 2**32 * sum(weights)
        for place, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return place
        return len(weights) - 1

    def _word(self) -> int:
        if self._next == len(self._words):
            self._words = key_words([self._key], 2 * self._next)[0].tolist()
        self._next += 1
        return self._words[self._next - 1]
