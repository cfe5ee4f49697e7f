"""A transformers model in this process: adapters by name on one base, concurrent requests batched.

Requests wait in a queue; as soon as an answer has ended, whatever waits joins the rows that are
being answered, one batch an adapter (`instar._batching`). A request samples with noise of its own
seed, so its answer does not depend on what it was batched with, rounding of batched floating point
excepted. Left out on purpose: streaming, and penalties that a model's generation config may ask for.
"""

from __future__ import annotations

import asyncio
import copy
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from instar._batching import ROWS, Batch
from instar._decoding import Request, Row
from instar._grammar import Guides
from instar._prefixes import Prefixes
from instar._toolparse import parse_reply
from instar.errors import CannotLoad, MissingExtra, ModelFault, UserError
from instar.types import Message, Reply, Sampling, ToolSpec, Usage

__all__ = ["LocalEngine", "LocalModel"]

_STEPS = 8
"""Tokens that each row of a batch gets before newcomers may join and other adapters have their turn."""
_REMEMBERED = 4
"""Adapters whose beginnings of prompts are kept, those that answered last."""
_MERGE_BELOW = 50_000_000
"""Parameters of a base so small that each adapter gets a merged copy of it, which saves the adapter's products."""


class LocalEngine:
    """One base model with any number of LoRA adapters.

    Args:
        folder: A transformers model folder or hub id.
        device: ``cpu``, ``cuda``...; the default is CUDA where there is one.
        constrained: Whether an answer to a question with tools has to be a call of them.
    """

    def __init__(
        self, folder: Path | str, device: str | None = None, constrained: bool = False
    ) -> None:
        self.folder = folder
        self._device = device
        self._constrained = constrained
        self._guides: Guides | None = None
        self._pending: list[Request] = []
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-model")
        self._model: Any = None
        self._tokenizer: Any = None
        self._adapters: dict[Path, str] = {}
        self._merged: dict[Path, Any] = {}
        self._batches: dict[Path | None, Batch] = {}
        self._served: dict[Path | None, int] = {}
        self._prefixes: dict[Path | None, Prefixes] = {}

    def client(self, adapter: Path | None = None) -> LocalModel:
        """The base, or the base with an adapter folder, as a chat model."""
        return LocalModel(self, adapter)

    async def close(self) -> None:
        """Wait for the running batch and let go of the model."""
        if self._worker:
            await asyncio.gather(self._worker, return_exceptions=True)
        self._thread.shutdown(wait=True)
        self._model = self._tokenizer = self._guides = None
        self._merged.clear()
        self._batches.clear()
        self._prefixes.clear()

    async def ask(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        adapter: Path | None,
    ) -> Reply:
        """Queue one request and wait for its answer."""
        loop = asyncio.get_running_loop()
        if self._model is None:
            await loop.run_in_executor(self._thread, self._load)
        ids = self.encode(messages, tools)
        self._check_length(len(ids))
        guide = self._guides.start(tools) if self._guides and tools else None
        request = Request(ids, tuple(tools), sampling, adapter, loop.create_future(), guide)
        self._pending.append(request)
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._serve())
        return await request.answer

    def encode(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[int]:
        """A prompt as the model reads it, once something was asked."""
        text = self._render(messages, tools)
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    async def _serve(self) -> None:
        """Answer until nothing waits."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        while due := self._due():
            # By turns: whose batch has waited longest.
            adapter = min(due, key=lambda one: self._served.get(one, 0))
            self._served[adapter] = max(self._served.values(), default=0) + 1
            asked = self._joining(adapter)
            try:
                done = await loop.run_in_executor(self._thread, self._advance, adapter, asked)
            # The boundary between our queue and the model: whatever broke belongs to the callers.
            except Exception as error:  # noqa: BLE001
                self._give_up(adapter, asked, _fault(error))
                continue
            for request, reply in done:
                if not request.answer.done():
                    request.answer.set_result(reply)
            # Callers run now and queue their next request, so that batches stay full.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _due(self) -> list[Path | None]:
        """Adapters that have something to answer."""
        return list(dict.fromkeys([*self._batches, *(r.adapter for r in self._pending)]))

    def _joining(self, adapter: Path | None) -> list[Request]:
        """Take as many requests out of the queue as the adapter's batch has room for."""
        batch = self._batches.get(adapter)
        room = ROWS if batch is None else batch.room
        asked = [r for r in self._pending if r.adapter == adapter][:room]
        chosen = {id(r) for r in asked}
        self._pending = [r for r in self._pending if id(r) not in chosen]
        return asked

    def _give_up(self, adapter: Path | None, asked: list[Request], error: Exception) -> None:
        """Everyone in the batch, or about to join it, learns what broke."""
        batch = self._batches.pop(adapter, None)
        rows = batch.rows if batch else []
        for request in [*asked, *(row.request for row in rows)]:
            if not request.answer.done():
                request.answer.set_exception(error)

    def _load(self) -> None:
        if self._model is not None:
            return
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
            from transformers.utils import logging
        except ImportError as error:
            raise MissingExtra("torch or transformers", "pip install 'instar[local]'") from error
        logging.disable_progress_bar()
        logging.set_verbosity_error()
        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.folder)
            model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=dtype)
        except Exception as error:
            raise CannotLoad(self.folder, error) from error
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        if self._constrained:
            width = model.config.get_text_config(decoder=True).vocab_size
            self._guides = Guides(self._tokenizer, width, _stops(model))
        self._model = model.to(device).eval()

    def _render(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        """The chat template's text; special tokens inside contents are broken up, being data."""
        special = self._tokenizer.all_special_tokens
        clean = [{**m, "content": _defused(m.get("content") or "", special)} for m in messages]
        text: str = self._tokenizer.apply_chat_template(
            clean,
            tools=[t.schema_openai() for t in tools] or None,
            add_generation_prompt=True,
            tokenize=False,
        )
        return text

    def _serving(self, adapter: Path | None) -> tuple[Any, Any]:
        """The model with the asked adapter, and a context in which it is the one that answers."""
        if adapter is None:
            return self._model, self._model.disable_adapter() if self._adapters else nullcontext()
        if self._model.num_parameters() < _MERGE_BELOW:
            if adapter not in self._merged:
                copied = _with_adapter(copy.deepcopy(self._model), adapter, "merged")
                self._merged[adapter] = copied.merge_and_unload().eval()
            return self._merged[adapter], nullcontext()
        if adapter not in self._adapters:
            name = f"a{len(self._adapters)}"
            self._model = _with_adapter(self._model, adapter, name).eval()
            self._adapters[adapter] = name
        self._model.set_adapter(self._adapters[adapter])
        return self._model, nullcontext()

    def _advance(self, adapter: Path | None, asked: list[Request]) -> list[tuple[Request, Reply]]:
        """Let requests join a batch, and go on with it until an answer has ended, or a few steps."""
        model, context = self._serving(adapter)
        batch = self._batches.get(adapter)
        if batch is None:
            known = self._prefixes.pop(adapter, None) or Prefixes()
            self._prefixes[adapter] = known
            if len(self._prefixes) > _REMEMBERED:
                del self._prefixes[next(iter(self._prefixes))]
            pad = self._tokenizer.pad_token_id
            batch = Batch(model, _stops(self._model), pad, self._limit(), known)
            self._batches[adapter] = batch
        with context:
            batch.admit(asked)
            for _ in range(_STEPS):
                if ended := batch.sweep():
                    break
                batch.step()
        if not batch.rows:
            del self._batches[adapter]
        return [(row.request, self._reply(row)) for row in ended]

    def _limit(self) -> int | None:
        return getattr(self._model.config, "max_position_embeddings", None)

    def _check_length(self, tokens: int) -> None:
        limit = self._limit()
        if limit and tokens >= limit:
            raise ModelFault(f"The prompt has {tokens} tokens; the model takes fewer than {limit}.")

    def _reply(self, row: Row) -> Reply:
        stopped = row.new[-1] in _stops(self._model)
        text = self._tokenizer.decode(row.new[: -1 if stopped else None], skip_special_tokens=False)
        content, calls = parse_reply(text, row.request.tools)
        prompt, completion = len(row.request.ids), len(row.new)
        return Reply(
            content=content,
            calls=calls,
            usage=Usage(calls=1, prompt_tokens=prompt, completion_tokens=completion, cost=0.0),
            model=str(self.folder),
            provider="local",
            finish="stop" if stopped else "length",
            seconds=time.monotonic() - row.begun,
        )


def _stops(model: Any) -> list[int]:
    ends = model.generation_config.eos_token_id
    return list(ends) if isinstance(ends, list) else [ends]


def _with_adapter(model: Any, adapter: Path, name: str) -> Any:
    """A model with one more adapter, as PEFT has it."""
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            # PEFT asks transformers for a name that the latter has deprecated.
            warnings.simplefilter("ignore", FutureWarning)
            if isinstance(model, PeftModel):
                model.load_adapter(str(adapter), adapter_name=name)
                return model
            return PeftModel.from_pretrained(model, str(adapter), adapter_name=name)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise UserError(f"Cannot load the adapter {adapter.name!r}: {reason}") from error


class LocalModel:
    """A `ChatModel` over an engine."""

    provider = "local"

    def __init__(self, engine: LocalEngine, adapter: Path | None) -> None:
        self.engine = engine
        self.adapter = adapter
        tail = f"@{adapter.name}" if adapter else ""
        self.name = f"local/{Path(str(engine.folder)).name}{tail}"

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> Reply:
        """Answer once; see `ChatModel`."""
        reply = await self.engine.ask(messages, tools, sampling, self.adapter)
        return reply.model_copy(update={"model": self.name})


def _defused(text: str, special: Sequence[str]) -> str:
    for token in special:
        text = text.replace(token, token[:1] + " " + token[1:])
    return text


def _fault(error: Exception) -> Exception:
    if isinstance(error, UserError | ModelFault):
        return error
    return ModelFault(f"The local model failed: {type(error).__name__}: {error}")
