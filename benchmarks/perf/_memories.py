"""Made-up memories of any number, with vectors and questions, the same for the same seed.

Words follow Zipf's law over a vocabulary of 20,000 (with Mandelbrot's shift), mixed with function
words, tool names, numbers and refusals: few words stand in many texts and most in few, which is what
an inverted index lives on. Vectors are random directions around cluster centres, since memories of
one kind of task lie close together; a question is another point near a centre.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind

__all__ = [
    "DIMENSION",
    "NAMESPACES",
    "TOOLS",
    "Given",
    "Made",
    "Prepared",
    "additions",
    "make",
    "prepared",
]

DIMENSION = 384
NAMESPACES = tuple(f"shop/{n}" for n in range(10))
_VOCABULARY, _SHIFT, _DRAWN = 20_000, 12.0, 500_000
_FUNCTION_SHARE = 0.4
_PER_CLUSTER, _SPREAD = 50, 0.6
_LISTS = """
the of to a in and is for on that with it as be by from this at or if then not
b br c ch d dr f g gl h j k l m n p pr qu r s sh st t tr v w
a e i o u ai ea ou
n r l s t m ck nd st rt ng
open close tag log move assign merge archive print check
order ticket invoice record label parcel drawer account report booking
"""
_FUNCTION, _ONSETS, _VOWELS, _CODAS, _VERBS, _NOUNS = map(str.split, _LISTS.strip().splitlines())
TOOLS = tuple(f"{verb}_{_NOUNS[n]}" for n, verb in enumerate(_VERBS))


class Made(NamedTuple):
    """A memory, and the vector of what it is for."""

    item: MemoryItem
    vector: NDArray[np.float32]


class Given(NamedTuple):
    """What is asked: the text of a task, and its vector."""

    text: str
    vector: NDArray[np.float32]


class Prepared:
    """An embedder that was told its answers, so that embedding takes no time."""

    floor = 0.3
    lexical = False
    name = "prepared"
    dimension = DIMENSION
    weights_hash = "prepared-1"

    def __init__(self, known: Mapping[str, NDArray[np.float32]]) -> None:
        self._known = known

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """The vector that belongs to each text; some other one for a text that is not known."""
        return [(self._known[t] if t in self._known else _any(t)).tolist() for t in texts]


def _any(text: str) -> NDArray[np.float32]:
    seed = int.from_bytes(sha256(text.encode()).digest()[:8], "little")
    drawn = np.random.default_rng(seed).standard_normal(DIMENSION)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def prepared(made: Sequence[Made], asked: Sequence[Given]) -> Prepared:
    """The embedder of these memories, under each text by which a bank may look, and questions."""
    known = {g.text: g.vector for g in asked}
    known |= {m.item.when: m.vector for m in made}
    known |= {f"{m.item.when} {m.item.title}": m.vector for m in made}
    return Prepared(known)


def additions(made: Sequence[Made]) -> list[MemoryOp]:
    """The changes that add these memories to a bank."""
    return [MemoryOp(kind=OpKind.ADD, item=m.item) for m in made]


class _Words:
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        made: dict[str, None] = {}
        while len(made) < _VOCABULARY:
            parts = int(rng.integers(1, 4))
            word = "".join(self.one(_ONSETS) + self.one(_VOWELS) for _ in range(parts))
            made[word + self.one(_CODAS)] = None
        zipf = 1.0 / (np.arange(_VOCABULARY) + _SHIFT)
        zipf *= (1 - _FUNCTION_SHARE) / zipf.sum()
        grammar = np.full(len(_FUNCTION), _FUNCTION_SHARE / len(_FUNCTION))
        self._upto = np.cumsum(np.concatenate([zipf, grammar]))
        self._all = np.asarray([*made, *_FUNCTION], dtype=object)
        self._stream = self._drawn()

    def _drawn(self) -> Iterator[str]:
        while True:
            places = np.searchsorted(self._upto, self._rng.random(_DRAWN))
            yield from self._all[np.minimum(places, len(self._all) - 1)].tolist()

    def one(self, of: Sequence[str]) -> str:
        return of[int(self._rng.integers(len(of)))]

    def some(self, n: int) -> str:
        return " ".join(itertools.islice(self._stream, n))

    def number(self) -> int:
        return int(self._rng.integers(100, 10_000))

    def task(self, more: int) -> str:
        return f"{self.one(_VERBS)} the {self.one(_NOUNS)} {self.some(more)}"


def _item(words: _Words, number: int) -> MemoryItem:
    tool, lesson = words.one(TOOLS), number % 3 == 0
    if lesson:
        content = f"{tool}(id={words.number()}) -> refused: {words.some(30)}"
    else:
        content = f"1. {tool}(id=$1) {words.some(16)}\n2. {words.one(TOOLS)} {words.some(20)}"
    return MemoryItem(
        id=f"item-{number:06d}",
        title=words.some(5),
        when=words.task(6),
        content=content,
        kind=MemoryKind.LESSON if lesson else MemoryKind.WORKFLOW,
        namespace=words.one(NAMESPACES),
        tools=(tool,),
        support=number % 4,
        sources=(f"t-{number % 997}",),
    )


def _near(rng: np.random.Generator, centres: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    moved = centres[rng.integers(len(centres), size=n)]
    moved += rng.standard_normal(moved.shape, dtype=np.float32) * (_SPREAD / DIMENSION**0.5)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return moved


def make(count: int, questions: int, seed: int = 0) -> tuple[list[Made], list[Given]]:
    """Memories, evenly over ten namespaces and ten tools, and questions of 30 words."""
    rng = np.random.default_rng(seed)
    words = _Words(rng)
    centres = rng.standard_normal((max(1, count // _PER_CLUSTER), DIMENSION), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = _near(rng, centres, count)
    made = [Made(_item(words, number), vectors[number]) for number in range(count)]
    asked = _near(rng, centres, questions)
    return made, [Given(f"{words.task(26)} {words.number()}", vector) for vector in asked]
