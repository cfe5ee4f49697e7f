"""The web door's server: every episode's pages under a path of its own that nobody can guess.

One server on loopback serves all episodes of a world. There is no address that resets a case, tells
a rule or scores: pages and the forms on them are all there is.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

from benchmarks.houses.case import Case
from benchmarks.houses.pages import call_of, list_page, record_page
from benchmarks.houses.records import KINDS
from instar.types import Result

__all__ = ["Server"]

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


class _Session:
    """A case behind pages, with the answer that the next page shows."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._said: Result | None = None

    def say(self, result: Result) -> None:
        self._said = result

    def take_said(self) -> Result | None:
        said, self._said = self._said, None
        return said


class Server:
    """Serves the pages of open episodes."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._runner: web.AppRunner | None = None
        self._address = ""

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        app = web.Application(middlewares=[_guard])
        app.router.add_get("/{session}/{kind}", self._list)
        app.router.add_get("/{session}/{kind}/{name}", self._record)
        app.router.add_post("/{session}/{kind}/{name}", self._post)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self._address = f"http://{host}:{port}"

    def add(self, case: Case) -> tuple[str, str]:
        """Serve a case; returns its secret and the address of its first page."""
        secret = secrets.token_urlsafe(16)
        self._sessions[secret] = _Session(case)
        return secret, f"{self._address}/{secret}/{KINDS[0]}"

    def remove(self, secret: str) -> None:
        """Serve a case no longer."""
        self._sessions.pop(secret, None)

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _session(self, request: web.Request) -> tuple[_Session, str]:
        session = self._sessions.get(request.match_info["session"])
        kind = request.match_info["kind"]
        name = request.match_info.get("name")
        if session is None or kind not in KINDS:
            raise web.HTTPNotFound
        entry = session.case.state.entries.get(name) if name else None
        if name and (entry is None or entry.kind != kind):
            raise web.HTTPNotFound
        return session, f"/{request.match_info['session']}"

    async def _list(self, request: web.Request) -> web.Response:
        session, root = self._session(request)
        kind = request.match_info["kind"]
        return _html(
            list_page(
                root, session.case.house.number, session.case.state, kind, session.take_said()
            )
        )

    async def _record(self, request: web.Request) -> web.Response:
        session, root = self._session(request)
        entry = session.case.state.entries[request.match_info["name"]]
        return _html(record_page(root, session.case.house.number, entry, session.take_said()))

    async def _post(self, request: web.Request) -> web.Response:
        session, _ = self._session(request)
        entry = session.case.state.entries[request.match_info["name"]]
        form = {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
        call = call_of(entry, form)
        if call is None:
            raise web.HTTPBadRequest
        session.say(session.case.act(call.name, call.arguments))
        raise web.HTTPSeeOther(request.path)


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Set the headers of every answer, refusals included."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(_HEADERS)
        raise
    response.headers.update(_HEADERS)
    return response
