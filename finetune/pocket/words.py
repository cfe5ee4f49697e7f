"""Words for generated data: common English ones, and pseudo-words that no one has seen.

Pseudo-words are split by hash into those of training and those held out, so that a skill measured
on held-out words cannot rest on having met the word.
"""

# ruff: noqa: SIM905 (lists of words read better as text)

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

__all__ = ["COMMON", "ROLES", "digits", "is_held_out", "pseudo_word"]

_ONSETS = [
    *"b c d f g h j k l m n p r s t v w z ch sh st tr pl br cl fr gr sp th qu dr".split(),
    "",
    "",
]
_VOWELS = "a e i o u ai ea oo ou ee".split()
_CODAS = (
    *("", "", "", "", "", "", "n", "r", "l", "s", "t", "d", "m", "ck", "nd", "st", "g", "p", "x"),
    *("y", "er", "nt", "ct", "ve", "se", "gn", "ty", "ll", "ss", "mp", "rk", "ing"),
)
_INNER = ("", "n", "r", "l", "s", "l", "m", "p", "c", "t", "d", "ss", "n", "st", "r", "b", "g")

_CONSONANTS = "bcdfghjklmnpqrstvwxyz"
_VOWEL_FIRST = 0.2

COMMON = """
ok cancel submit yes no next back close save delete search login sign out in name user password
email phone address city country date time buy add remove edit view open help about home menu
settings profile account message send forward file folder print copy paste select all none first
last new old agree accept decline terms continue finish start stop play pause like dislike red
blue green yellow small medium long short high low big tall number text title note page list item
table row form field button link box tab option value amount price total count size color type
kind group team user staff person people friend family house room door window street road town
place area world day week month year hour today tomorrow now later soon early late before after
make take give get put set find keep hold turn move show hide read write call ask tell check
change build break fix clean wash cook eat drink sleep walk run jump sit stand wait work rest
water fire air earth stone wood metal glass paper cloth food bread milk fruit apple lemon grape
dog cat bird fish horse cow tree flower grass leaf river lake sea hill field star sun moon light
dark hot cold warm cool wet dry hard soft fast slow good bad best well sick free full empty left
right up down over under near far inside outside north south east west one two three four five
six seven eight nine ten book pen desk chair bed lamp clock phone car bus train plane boat road
school office shop bank park hotel music song film game sport ball team win lose draw point rule
plan map key lock bag coin card gift box letter stamp paper report test result answer question
reason cause idea word line story news fact data code sign mark label view public private local
common simple clear sure real true false same other every some many more most less least much
""".split()

ROLES = ("button", "link", "textbox", "checkbox", "radio", "tab", "combobox", "heading", "text")


def is_held_out(word: str) -> bool:
    """Whether a pseudo-word belongs to the fifth that training never shows."""
    return zlib.crc32(word.encode()) % 5 == 0


def pseudo_word(rng: random.Random, held_out: bool) -> str:
    """A pronounceable word of one to three syllables from the asked side of the split.

    Half are open syllables with an end, half are of closed ones, as English words mostly are.
    """
    while True:
        count = rng.choice((1, 1, 2, 2, 2, 3))
        inner = _INNER if rng.random() < 0.5 else ("",)
        word = "".join(_syllable(rng, inner) for _ in range(count - 1)) + _syllable(rng, _CODAS)
        if rng.random() < _VOWEL_FIRST:
            word = word.lstrip(_CONSONANTS)
        if len(word) > 2 and is_held_out(word) == held_out:
            return word


def _syllable(rng: random.Random, codas: Sequence[str]) -> str:
    return rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(codas)


def digits(rng: random.Random, length: int = 3) -> str:
    """A number of ``length`` digits that does not begin with zero."""
    return str(rng.randrange(10 ** (length - 1), 10**length))
