"""Words of the back office, real and made up.

Rule constants and the values in tasks are both pseudo-words, drawn from disjoint halves of one
space, so that a value in an instruction can never give away a rule.
"""

from __future__ import annotations

import random
import zlib

__all__ = ["ITEMS", "content_word", "email", "record_ids", "rule_code", "rule_word"]

# fmt: off
ITEMS = (
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


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(2))


def _for_rules(word: str) -> bool:
    return zlib.crc32(word.encode()) % 2 == 0


def rule_word(rng: random.Random) -> str:
    """A pseudo-word of the half that rules use."""
    while not _for_rules(word := _word(rng)):
        pass
    return word


def content_word(rng: random.Random) -> str:
    """A pseudo-word of the half that tasks and records use."""
    while _for_rules(word := _word(rng)):
        pass
    return word


def rule_code(rng: random.Random) -> str:
    """A short code such as ``k7``."""
    return rng.choice("abcdfghjkmnpqrstuvwxyz") + rng.choice("23456789")


def email(rng: random.Random) -> str:
    """An address under a reserved domain."""
    return f"{content_word(rng)}.{content_word(rng)}@{content_word(rng)}.example"


def record_ids(rng: random.Random, n: int, taken: frozenset[str] = frozenset()) -> list[str]:
    """``n`` distinct ids of three digits that are not taken."""
    drawn = map(str, rng.sample(range(100, 1000), n + len(taken)))
    return [name for name in drawn if name not in taken][:n]
