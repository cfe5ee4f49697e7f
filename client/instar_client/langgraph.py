"""A store for LangGraph over the service; needs ``pip install 'instar-client[langgraph]'``.

    graph = builder.compile(store=InstarStore())

It behaves as LangGraph's `InMemoryStore`, and lasts. Unlike recall it is not open to failure unless it
is told to be: who believes that something was kept, or was never there, acts on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

import httpx
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)

from instar_client._client import Client, client

__all__ = ["InstarStore", "StoreUnavailable"]

_NOT_THE_ASKERS = (401, 403, 404, 408, 429)
_NO_SUCH_PATH = 404


class StoreUnavailable(RuntimeError):
    """The service is gone, slow or broken; for a write nobody knows whether it was kept."""


class InstarStore(BaseStore):
    """Values by namespace and key, in the workspace of an Instar service.

    Values are JSON. What is put over an item keeps when it was made. With a query the nearest items come
    first, by the embedder of the service.

    Args:
        fields: Paths of the texts that items are found by, unless a put names its own; ``$`` is all of a
            value. With none a query orders nothing.
        fail_open: Answer as if nothing were there, and lose what is written, instead of raising
            `StoreUnavailable`; ``via.counts`` says how often. Mistakes raise all the same.
        timeout: Seconds that a call may take.
        via: Where the service is, its token, and how texts are redacted; by default as the environment
            says. Its budget and shadow mode are about memories and do not count here.
    """

    def __init__(
        self,
        fields: Sequence[str] = ("$",),
        fail_open: bool = False,
        timeout: float = 10.0,
        via: Client | None = None,
    ) -> None:
        self._fields, self._fail_open, self._via = list(fields), fail_open, via or client()
        self._http = httpx.Client(
            base_url=self._via.url, headers=self._via.headers, timeout=timeout
        )

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Answer requests; all read what was there before, then all is written, or nothing.

        Raises:
            ValueError: A request is none, such as one with an empty label or a limit below 0.
            TypeError: A value is no JSON.
            StoreUnavailable: The service does not answer.
        """
        asked = list(ops)
        body = {"ops": [self._plain(op) for op in asked]}
        try:
            found = self._ask(self._via.clean(body))
        except StoreUnavailable as error:
            self._via.counts.failed += 1
            self._via.counts.last = str(error)
            if not self._fail_open:
                raise
            return [_nothing(op) for op in asked]
        self._via.counts.sent += 1
        return [_result(one) for one in found["results"]]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`, in a thread, so that one store serves any number of event loops."""
        return await asyncio.to_thread(self.batch, list(ops))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _plain(self, op: Op) -> dict[str, Any]:
        if isinstance(op, GetOp):
            return {"op": "get", "namespace": list(op.namespace), "key": op.key}
        if isinstance(op, PutOp):
            named = {"op": "put", "namespace": list(op.namespace), "key": op.key}
            paths = self._fields if op.index is None else op.index or []
            return {**named, "value": op.value, "index": list(paths)}
        if isinstance(op, SearchOp):
            page = {"limit": op.limit, "offset": op.offset}
            asked = {"prefix": list(op.namespace_prefix), "query": op.query, "filter": op.filter}
            return {"op": "search", **asked, **page}
        if isinstance(op, ListNamespacesOp):
            match = [
                {"type": m.match_type, "path": list(m.path)} for m in op.match_conditions or ()
            ]
            page = {"limit": op.limit, "offset": op.offset}
            return {"op": "namespaces", "match": match, "depth": op.max_depth, **page}
        raise ValueError(f"a store knows no {type(op).__name__}")

    def _ask(self, body: Any) -> dict[str, Any]:
        if not self._via.enabled:
            raise StoreUnavailable("nothing is sent: INSTAR_OFF is set, or enabled=False")
        request = self._http.build_request("POST", "/v1/store", json=body)
        try:
            answer = self._http.send(request)
            told = answer.json()
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise StoreUnavailable(f"{self._via.url}: {why}") from error
        except ValueError as error:
            raise StoreUnavailable(f"{self._via.url} answers no JSON; is it Instar?") from error
        if answer.status_code < 400:
            return dict(told)
        why = str(told.get("error", told)) if isinstance(told, dict) else str(told)
        if answer.status_code == _NO_SUCH_PATH:
            why = f"{self._via.url} has no store: update Instar"
        if answer.status_code in _NOT_THE_ASKERS or answer.status_code >= 500:
            raise StoreUnavailable(why)
        raise ValueError(why)


def _nothing(op: Op) -> Result:
    return [] if isinstance(op, (SearchOp, ListNamespacesOp)) else None


def _result(told: dict[str, Any] | None) -> Result:
    if told is None:
        return None
    if "namespaces" in told:
        return [tuple(name) for name in told["namespaces"]]
    if "items" in told:
        return [SearchItem(**_fields(one), score=one["score"]) for one in told["items"]]
    return Item(**_fields(told))


def _fields(told: dict[str, Any]) -> dict[str, Any]:
    utc = timezone.utc  # noqa: UP017 - Python 3.10 has no datetime.UTC
    return {
        "namespace": tuple(told["namespace"]),
        "key": told["key"],
        "value": told["value"],
        "created_at": datetime.fromtimestamp(told["created"], utc),
        "updated_at": datetime.fromtimestamp(told["updated"], utc),
    }
