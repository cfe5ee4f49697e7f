"""Embedding by an API: any model that litellm reaches, or a server of one's own in OpenAI's format.

No model is loaded and torch is not needed. As with models that act, a server of one's own is asked
directly, by `openai`'s client, and there is one retry policy with an injected sleep. An API shows
nothing of its weights: what goes on record is the model's name, the host and the dimension, so a
model that is exchanged behind its name goes unnoticed while the dimension stays.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instar._providers import explain, litellm, mendable, own_server_key, seconds_before
from instar._urls import EXAMPLE, split
from instar.errors import ConfigError, UserError
from memory.embed import API, NORMALISATION, normalise

__all__ = ["ApiEmbedder"]

_BATCH = 256
_OPENAI = "openai/"
_PROBE = "probe"


class _Unusable(Exception):
    """What came back is no list of vectors."""


class ApiEmbedder:
    """Vectors from a model behind a wire; nothing is asked of it before something is embedded.

    The floor is a careful one, since models spread their cosines differently: with one of your own
    look at ``instar memory search`` and set ``memory.floor``.

    Args:
        name: ``litellm/`` and litellm's name of the model; with a URL a bare name means a server in
            OpenAI's format.
        url: Base URL to ask instead of the provider's own, such as ``http://127.0.0.1:8000/v1``.
        dimension: As it is on record; None: it is asked for.
        timeout: Seconds for one request.
        retries: How often to ask again after an answer that may pass (429, 5xx, no connection).
        sleep: How to wait between two requests.

    Raises:
        ConfigError: The URL is none.
    """

    floor = 0.7
    lexical = False

    def __init__(
        self,
        name: str,
        url: str | None = None,
        *,
        dimension: int | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._url = url
        self._host = _host(url) if url else "default"
        model = name.removeprefix(API)
        self._model = f"{_OPENAI}{model}" if url and "/" not in model else model
        self._dimension = dimension
        self._timeout, self._retries, self._sleep = timeout, retries, sleep
        self._jitter = random.Random(0)
        self._client: Any = None

    @property
    def dimension(self) -> int:
        """Numbers in a vector; the first time the API is asked, if nothing is on record.

        Raises:
            UserError: It does not answer as it should.
        """
        if self._dimension is None:
            self.embed([_PROBE])
        assert self._dimension is not None
        return self._dimension

    @property
    def weights_hash(self) -> str:
        """Stands for the weights: version of the text that is sent, host and dimension.

        Raises:
            UserError: The dimension was not known, and the API does not answer as it should.
        """
        return f"api-v{NORMALISATION}-{self._host}-{self.dimension}"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text; texts that differ in values only are sent once.

        Raises:
            UserError: The API cannot be reached, refuses, or answers something else.
        """
        plain = [normalise(t) for t in texts]
        asked = list(dict.fromkeys(plain))
        found: dict[str, list[float]] = {}
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            found |= zip(batch, self._vectors(batch), strict=True)
        return [found[t] for t in plain]

    def _vectors(self, texts: list[str]) -> list[list[float]]:
        answer = self._patiently(texts)
        try:
            matrix = _matrix(answer, len(texts))
        except _Unusable as error:
            raise UserError(
                f"{self._where} does not answer with embeddings in OpenAI's format ({error}): see"
                f" that {self._model!r} is an embedding model, and that memory.embedder_url is right"
                " (mostly it ends in /v1)"
            ) from error
        if self._dimension is None:
            self._dimension = matrix.shape[1]
        elif self._dimension != matrix.shape[1]:
            raise UserError(
                f"{self._model!r} at {self._where} gives vectors of dimension {matrix.shape[1]},"
                f" and the memories have {self._dimension}: it is another model by now. Embed them"
                " anew: instar memory reembed"
            )
        vectors: list[list[float]] = matrix.tolist()
        return vectors

    @property
    def _where(self) -> str:
        return self._url or self._provider()

    def _provider(self) -> str:
        """Who is asked; only for a bare name litellm has to be consulted.

        Raises:
            UserError: It does not know the name.
        """
        if "/" in self._model:
            return self._model.partition("/")[0]
        try:
            return str(litellm().get_llm_provider(self._model)[1])
        except litellm().exceptions.BadRequestError as error:
            raise self._unknown() from error

    def _unknown(self) -> UserError:
        return UserError(
            f"Unknown embedding model {self._model!r}: write memory.embedder as"
            f" {API}provider/model, or give memory.embedder_url"
        )

    def _patiently(self, texts: list[str]) -> Any:
        """The answer, asked for again while that may help."""
        for attempt in range(self._retries + 1):
            # litellm raises a family of classes without a common base below Exception.
            try:
                return self._ask(texts)
            except Exception as error:
                if not mendable(error) or attempt == self._retries:
                    raise self._refused(error) from error
                self._sleep(seconds_before(attempt, error, self._jitter))
        raise AssertionError("unreachable")

    def _ask(self, texts: list[str]) -> Any:
        """One request; the body as JSON has it."""
        key = own_server_key(self._model.partition("/")[0], self._url)
        if self._url and self._model.startswith(_OPENAI):
            body = {"model": self._model.removeprefix(_OPENAI), "input": texts}
            return self._server(key).post("/embeddings", cast_to=object, body=body)
        answer = litellm().embedding(
            model=self._model,
            input=texts,
            timeout=self._timeout,
            api_base=self._url,
            api_key=key,
            num_retries=0,
            max_retries=0,
        )
        return {"data": answer.data}

    def _server(self, key: str | None) -> Any:
        """`openai`'s client, asked by its plain ``post``: ``create`` would ask for base64."""
        if self._client is None:
            from openai import OpenAI

            self._client = OpenAI(
                base_url=self._url, api_key=key, timeout=self._timeout, max_retries=0
            )
        return self._client

    def _refused(self, error: Exception) -> UserError:
        if "LLM Provider NOT provided" in str(error):
            return self._unknown()
        typed = self.name.removeprefix(API)
        said = explain(error, typed, self._provider(), self._where, self._timeout)
        return UserError(
            f"{said} Nothing was written: mend that, or memory.embedder and memory.embedder_url, and"
            " type the same command again"
        )


def _host(url: str) -> str:
    try:
        return str(split(url).hostname)
    except ValueError as error:
        raise ConfigError(
            f"memory.embedder_url {url!r} is no address of a server: write it as {EXAMPLE}/v1"
        ) from error


def _matrix(answer: Any, n: int) -> NDArray[np.float32]:
    """The vectors in an answer, in the order of the texts and of length one.

    Raises:
        _Unusable: It does not hold one vector a text, all of one dimension.
    """
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or len(rows) != n:
        raise _Unusable(f"no list of {n} vectors")
    try:
        placed = {row.get("index", place): row["embedding"] for place, row in enumerate(rows)}
        matrix = np.asarray([placed[place] for place in range(n)], dtype=np.float64)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _Unusable("its vectors cannot be read") from error
    lengths = np.linalg.norm(matrix, axis=-1, keepdims=True)
    if matrix.ndim != 2 or not matrix.size or not (np.isfinite(lengths) & (lengths > 0)).all():
        raise _Unusable("its vectors are empty or no numbers")
    return np.asarray(matrix / lengths, dtype=np.float32)
