"""Rows of one model that are answered together and come and go by themselves.

A request is read alone, then takes part in every step until its answer ends, whoever else is there
(iteration-level scheduling: Orca, Yu et al. 2022). A model whose cache has no slots, one with a
sliding window say, takes new requests only when all before are answered, padded to one length.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from instar._decoding import Request, Row, choose
from instar._prefixes import Prefixes
from instar._slots import Slots

__all__ = ["ROWS", "Batch"]

ROWS = 32
"""Requests of one model that are answered together at most."""


class Batch:
    """The requests that one model is answering.

    Args:
        model: A causal language model in evaluation mode.
        stops: Tokens that end an answer.
        pad: Token that padding is made of.
        limit: Longest row in tokens, prompt and answer together; None is none.
        prefixes: What this model has read before.
    """

    def __init__(
        self,
        model: Any,
        stops: Sequence[int],
        pad: int,
        limit: int | None,
        prefixes: Prefixes,
    ) -> None:
        self.rows: list[Row] = []
        self._prefixes = prefixes
        self._model, self._stops, self._pad, self._limit = model, stops, pad, limit
        config = model.config.get_text_config(decoder=True)
        self._slots = Slots(config) if Slots.fit(config) else None
        self._cache: Any = None
        self._mask: Any = None
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._takes = set(inspect.signature(type(inner).forward).parameters)

    @property
    def room(self) -> int:
        """How many requests can join now."""
        if self._slots is None and self.rows:
            return 0
        return ROWS - len(self.rows)

    def admit(self, requests: Sequence[Request]) -> None:
        """Read the prompts of new requests and choose their first tokens."""
        import torch

        with torch.inference_mode():
            if self._slots is not None:
                for request in requests:
                    self._read_alone(request)
            elif requests:
                self._read_padded(requests)

    def step(self) -> None:
        """One more token for every row."""
        import torch

        with torch.inference_mode():
            last = torch.tensor([[row.new[-1]] for row in self.rows], device=self._model.device)
            logits = self._next(last)
            for row, token in zip(self.rows, choose(self.rows, logits), strict=True):
                if self._slots is not None or not row.ended(self._stops):
                    row.new.append(token)

    def _next(self, last: Any) -> Any:
        import torch

        if self._slots is not None:
            positions, mask = self._slots.begin_step(last.device)
            return self._forward(last, self._slots.cache, mask, positions)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(last), 1)], dim=1)
        positions = self._mask.sum(1, keepdim=True) - 1
        return self._forward(last, self._cache, self._mask, positions)

    def sweep(self) -> list[Row]:
        """Take out the rows whose answers have ended."""
        ended = [i for i, row in enumerate(self.rows) if row.ended(self._stops)]
        if self._slots is None:
            done, self.rows = (self.rows, []) if len(ended) == len(self.rows) else ([], self.rows)
            return done
        return [self._removed(i) for i in reversed(ended)]

    def _removed(self, i: int) -> Row:
        import torch

        assert self._slots is not None
        with torch.inference_mode():
            self._slots.remove(i)
        row, self.rows[i] = self.rows[i], self.rows[-1]
        self.rows.pop()
        return row

    def _row(self, request: Request) -> Row:
        most = request.sampling.max_tokens
        if self._limit:
            most = max(1, min(most, self._limit - len(request.ids)))
        return Row(request, most)

    def _read_alone(self, request: Request) -> None:
        assert self._slots is not None
        ids = request.ids
        cache, known, keep = self._prefixes.best(ids)
        if cache is None:
            cache = self._new_cache()
        if keep > known:
            self._read(ids[known:keep], cache)
            self._prefixes.keep(ids[:keep], cache)
        logits = self._read(ids[keep:], cache)
        row = self._row(request)
        row.new = choose([row], logits)
        self._slots.add(cache, len(ids))
        self.rows.append(row)

    def _read(self, ids: Sequence[int], cache: Any) -> Any:
        import torch

        return self._forward(torch.tensor([ids], device=self._model.device), cache)

    def _new_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self._model.config.get_text_config(decoder=True))

    def _read_padded(self, requests: Sequence[Request]) -> None:
        import torch

        width = max(len(r.ids) for r in requests)
        ids = [[self._pad] * (width - len(r.ids)) + r.ids for r in requests]
        seen = [[0] * (width - len(r.ids)) + [1] * len(r.ids) for r in requests]
        device = self._model.device
        self._mask = torch.tensor(seen, device=device)
        self._cache = self._new_cache()
        positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        logits = self._forward(torch.tensor(ids, device=device), self._cache, self._mask, positions)
        self.rows = [self._row(request) for request in requests]
        for row, token in zip(self.rows, choose(self.rows, logits), strict=True):
            row.new.append(token)

    def _forward(self, ids: Any, cache: Any, mask: Any = None, positions: Any = None) -> Any:
        """Logits after the last token of each row."""
        asked = {"attention_mask": mask, "position_ids": positions, "logits_to_keep": 1}
        given = {k: v for k, v in asked.items() if v is not None and k in self._takes}
        out = self._model(input_ids=ids, past_key_values=cache, use_cache=True, **given)
        return out.logits[:, -1]
