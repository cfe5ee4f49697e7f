"""A server that takes adapters while it runs, by the interface of vLLM.

``/v1/load_lora_adapter`` and ``/v1/unload_lora_adapter`` exist only where the server was started with
``VLLM_ALLOW_RUNTIME_LORA_UPDATING``; the adapter is read by the server from a path, so both need to see
the same folder. Prompts are sent as token ids: what is compared then is the model, and neither the
server's chat template nor its parser of tool calls.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from instar._urls import EXAMPLE, place_of, split
from instar.errors import ModelFault, UserError

__all__ = ["LoraServer"]

_START = "vllm serve ... --enable-lora"
_DYNAMIC = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as ``--max-lora-rank``."""


class LoraServer:
    """A running server; use it as an asynchronous context manager.

    Args:
        url: Its address, with or without ``/v1``.
        timeout: Seconds for one request; loading an adapter is one.

    Raises:
        UserError: The address is none.
    """

    def __init__(self, url: str, timeout: float) -> None:
        try:
            split(url)
        except ValueError as error:
            raise UserError(f"{error}. Give one such as {EXAMPLE}") from error
        self.place = place_of(url)
        self._root = url.rstrip("/").removesuffix("/v1")
        self._timeout = timeout
        self._session: Any = None

    async def __aenter__(self) -> Self:
        from aiohttp import ClientSession, ClientTimeout

        key = os.environ.get("OPENAI_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limit = ClientTimeout(total=self._timeout)
        self._session = ClientSession(headers=headers, timeout=limit)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def models(self) -> tuple[str, list[str]]:
        """Name of the base, and the names of the adapters on it.

        Raises:
            ModelFault: It cannot be reached, or does not answer as a model server does.
        """
        status, body = await self._send("GET", "/v1/models")
        try:
            cards = {card["id"]: card.get("parent") for card in body["data"]}
            base = next(name for name, parent in cards.items() if not parent)
        except (TypeError, KeyError, AttributeError, StopIteration) as error:
            raise self._fault(status, body, "does not list its models") from error
        return str(base), [name for name, parent in cards.items() if parent]

    async def load(self, name: str, path: str, rank: int) -> bool:
        """Load an adapter under a name; False where it has one of that name already.

        Args:
            name: What requests call it.
            path: Where the server finds the PEFT folder.
            rank: The highest of its layers, for advice.

        Raises:
            UserError: The server takes no adapters, no such rank, or does not see the folder.
            ModelFault: It cannot be reached, or failed.
        """
        asked = {"lora_name": name, "lora_path": path}
        status, body = await self._send("POST", "/v1/load_lora_adapter", asked)
        if status < 300:
            return True
        said = _message(body)
        if "already been loaded" in said:
            return False
        advice = self._advice(status, said, path, rank)
        if advice:
            raise UserError(f"{self.place} {advice}")
        raise self._fault(status, body, f"did not load adapter {name}")

    def _advice(self, status: int, said: str, path: str, rank: int) -> str:
        if status in (404, 405) and said in ("", "Not Found", "Method Not Allowed"):
            return f"takes no adapters while it runs: start it as {_DYNAMIC} {_START}"
        if "LoRA is not enabled" in said or "enable_lora" in said:
            return f"was started without LoRA: start it as {_DYNAMIC} {_START}"
        if "max_lora_rank" in said:
            fitting = next((r for r in _RANKS if r >= rank), rank)
            return f"takes no adapter of rank {rank}: start it with --max-lora-rank {fitting}"
        if "No adapter found" in said or status == 404:
            return (
                f"finds no adapter at {path}. It reads the folder itself: if it sees the folder "
                "of adapters elsewhere, say where with --there DIR"
            )
        return ""

    async def unload(self, name: str) -> bool:
        """Take an adapter off the server; False where it has none of that name.

        Raises:
            ModelFault: It cannot be reached, or failed.
        """
        status, body = await self._send("POST", "/v1/unload_lora_adapter", {"lora_name": name})
        if status == 404:
            return False
        if status >= 300:
            raise self._fault(status, body, f"did not unload adapter {name}")
        return True

    async def complete(self, model: str, ids: Sequence[int], tokens: int) -> str:
        """What a model says greedily after a prompt, special tokens included.

        Raises:
            ModelFault: It cannot be reached, or failed.
        """
        asked = {
            "model": model,
            "prompt": list(ids),
            "max_tokens": tokens,
            "temperature": 0.0,
            "skip_special_tokens": False,
        }
        status, body = await self._send("POST", "/v1/completions", asked)
        try:
            return str(body["choices"][0]["text"])
        except (TypeError, KeyError, IndexError) as error:
            raise self._fault(status, body, f"did not answer as {model}") from error

    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, Any]:
        from aiohttp import ClientError

        try:
            async with self._session.request(method, self._root + path, json=body) as answer:
                text = await answer.text()
                status = int(answer.status)
        except TimeoutError as error:
            raise ModelFault(
                f"{self.place} did not answer within {self._timeout:g} s (model.timeout)."
            ) from error
        except ClientError as error:
            raise ModelFault(
                f"{self.place} cannot be reached: is the server running? ({type(error).__name__})"
            ) from error
        if status == 401:
            raise UserError(f"{self.place} refused the key: export OPENAI_API_KEY=...")
        return status, _read(text)

    def _fault(self, status: int, body: Any, what: str) -> ModelFault:
        said = _message(body)[:300]
        return ModelFault(f"{self.place} {what} (status {status}{': ' if said else ''}{said}).")


def _read(text: str) -> Any:
    """JSON where it is some; success of loading is plain text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _message(body: Any) -> str:
    """What an error says, in the form of today's vLLM, of an earlier one, or of its web framework."""
    if not isinstance(body, dict):
        return " ".join(str(body).split())
    inner = body.get("error")
    found = inner.get("message") if isinstance(inner, dict) else inner
    return " ".join(str(found or body.get("message") or body.get("detail") or "").split())
