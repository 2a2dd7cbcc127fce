"""Traces of the high card duel: two players, one card each, and the higher rank wins.

A deck is 52 cards, by suit and then from two to ace, and is shuffled by a key of the seed and the
episode. The first card is mine, the second the opponent's. Ace is high, and suits tie. The only
move is to reveal: the game holds no decision, and the traces teach a form, not a skill.
"""

from collections.abc import Iterator

from datagen.keys import item_key
from datagen.stream import Stream
from datagen.traces import Step, Trace

GENERATOR, GENERATOR_VERSION = "datagen.ungar", "1"
GAME = "high_card_duel"
RANKS, SUITS = "23456789TJQKA", "SHDC"
DECK = tuple(f"{rank}{suit}" for suit in SUITS for rank in RANKS)
MOVE = "reveal"
PROMPT = (
    "High card duel: you and your opponent hold one hidden card each, and the higher rank wins. "
    "Your hand: {card}. Choose your move."
)


def make_traces(count: int, seed: int) -> Iterator[Trace]:
    """Return `count` episodes; each depends on the seed and its index alone."""
    if count < 1:
        raise ValueError(f"count is {count}: use at least 1")
    if seed < 0:
        raise ValueError(f"seed is {seed}: use at least 0")
    return (make_trace(seed, index) for index in range(count))


def make_trace(seed: int, index: int) -> Trace:
    """Return one episode."""
    deck = Stream(item_key("ungar", GAME, seed, index)).shuffled(DECK)
    mine, other = deck[:2]
    steps = (
        ("legal_moves", f"Legal moves: {MOVE}"),
        ("observation", f"My hand: {mine}"),
        ("unseen", f"Unseen cards: {len(DECK) - 1}"),
        ("decision", f"Decision: {MOVE}"),
    )
    return Trace(
        id=f"{GAME}:{seed}:{index}",
        trace_version="1.0",
        prompt=PROMPT.format(card=mine),
        steps=tuple(Step(i=i, type=kind, content=text) for i, (kind, text) in enumerate(steps)),
        final_answer=MOVE,
        meta={
            "source": "ungar",
            "game": GAME,
            "episode_index": index,
            "my_card": mine,
            "opponent_card": other,
            "result": duel(mine, other),
            "seed": seed,
        },
    )


def duel(mine: str, other: str) -> str:
    """Return `win`, `loss` or `tie` for my card."""
    difference = RANKS.index(mine[0]) - RANKS.index(other[0])
    return "tie" if not difference else "win" if difference > 0 else "loss"
