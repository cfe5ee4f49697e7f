"""Made-up words, and real names of things.

Rule constants and the values in tasks are both pseudo-words, drawn from disjoint halves of one
space, so that a value in an instruction can never give away a rule. The half of the rules is parted
once more: houses whose numbers lie 100 000 apart are on opposite *sides* and share no word, so that
one of them can stand in as a placebo for the other.
"""

from __future__ import annotations

import random
import zlib

__all__ = [
    "THINGS",
    "content_word",
    "email",
    "record_ids",
    "rule_code",
    "rule_letters",
    "rule_word",
]

# fmt: off
THINGS = (
    "apple", "arrow", "bacon", "badge", "basket", "bench", "blanket", "boot",
    "bottle", "bowl", "brush", "bucket", "button", "candle", "carpet", "chair",
    "clock", "coat", "cork", "cotton", "crayon", "cup", "drum", "fan",
    "flute", "fork", "funnel", "glove", "glue", "hammer", "helmet", "honey",
    "jacket", "kettle", "kite", "ladder", "lamp", "lemon", "marble", "mirror",
    "nail", "needle", "olive", "onion", "paint", "peach", "pear", "pencil",
    "pillow", "plum", "ribbon", "ring", "rope", "ruler", "saddle", "scarf",
    "soap", "sock", "spoon", "statue", "sugar", "tape", "teapot", "towel",
    "tunnel", "vase", "violin", "walnut", "whistle", "yarn",
)
# fmt: on

_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"
_LETTERS = "abcdfghjkmnpqrstuvwxyz"


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(2))


def _quarter(word: str) -> int:
    return zlib.crc32(word.encode()) % 4


def rule_word(rng: random.Random, side: int) -> str:
    """A pseudo-word of those that rules on a side (0 or 1) use."""
    while _quarter(word := _word(rng)) != 2 * side:
        pass
    return word


def content_word(rng: random.Random) -> str:
    """A pseudo-word of the half that tasks and records use."""
    while _quarter(word := _word(rng)) % 2 == 0:
        pass
    return word


def rule_code(rng: random.Random, side: int) -> str:
    """A short code such as ``k7``."""
    return rng.choice(_LETTERS[side::2]) + rng.choice("23456789")


def rule_letters(rng: random.Random, side: int) -> str:
    """What a code begins with, two letters such as ``kx``."""
    return rng.choice(_LETTERS[side::2]) + rng.choice("kqvwxz")


def email(rng: random.Random) -> str:
    """An address under a reserved domain."""
    return f"{content_word(rng)}.{content_word(rng)}@{content_word(rng)}.example"


def record_ids(
    rng: random.Random, n: int, taken: frozenset[str] = frozenset(), digits: int = 3
) -> list[str]:
    """``n`` distinct names of that many digits that are not taken."""
    drawn = map(str, rng.sample(range(10 ** (digits - 1), 10**digits), n + len(taken)))
    return [name for name in drawn if name not in taken][:n]
