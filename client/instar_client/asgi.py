"""For agents that are served by an ASGI framework such as FastAPI, to be measured as they are served.

app.add_middleware(PreparedSession)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from instar_client._client import use_session

__all__ = ["PreparedSession"]

_HEADER = b"instar-session"
_Scope = MutableMapping[str, Any]


class PreparedSession:
    """Takes the session that Instar has prepared for a request from its header ``Instar-Session``.

    Requests without it, which are all those of users, are left alone.
    """

    def __init__(self, app: Callable[[_Scope, Any, Any], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: _Scope, receive: Any, send: Any) -> None:
        """Serve a request."""
        headers = dict(scope.get("headers") or ())
        with use_session(headers.get(_HEADER, b"").decode("latin-1") or None):
            await self._app(scope, receive, send)
