"""The web door's server: every episode's pages under a path of its own that nobody can guess.

One server on loopback serves all episodes of a world. There is no address that resets a case, tells
a rule or scores: pages and the forms on them are all there is.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

from benchmarks.houses.case import Case
from benchmarks.houses.pages import YES, Place, asks, call_of, list_page, record_page
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
        return secret, f"{self._address}/{secret}/{next(iter(case.house.office.kinds))}"

    def remove(self, secret: str) -> None:
        """Serve a case no longer."""
        self._sessions.pop(secret, None)

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _session(self, request: web.Request) -> tuple[_Session, Place]:
        """The case behind a request, and what its page has to say; refuses what is not there."""
        session = self._sessions.get(request.match_info["session"])
        kind = request.match_info["kind"]
        name = request.match_info.get("name")
        if session is None or kind not in session.case.house.office.kinds:
            raise web.HTTPNotFound
        entry = session.case.state.entries.get(name) if name else None
        if name and (entry is None or entry.kind != kind):
            raise web.HTTPNotFound
        root = f"/{request.match_info['session']}"
        return session, Place(root, session.take_said() if request.method == "GET" else None)

    async def _list(self, request: web.Request) -> web.Response:
        session, place = self._session(request)
        asked = request.query.get("page", "1")
        page = int(asked) if asked.isdecimal() and len(asked) < 6 else 1
        query = request.query.get("q", "").strip()
        return _html(list_page(session.case, place, request.match_info["kind"], query, page))

    async def _record(self, request: web.Request) -> web.Response:
        session, place = self._session(request)
        entry = session.case.state.entries[request.match_info["name"]]
        return _html(record_page(session.case, place, entry, request.query.get("ask", "")))

    async def _post(self, request: web.Request) -> web.Response:
        session, _ = self._session(request)
        office = session.case.house.office
        entry = session.case.state.entries[request.match_info["name"]]
        form = {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
        call = call_of(office, entry, form)
        if call is None:
            raise web.HTTPBadRequest
        sure = form.get("sure")
        if asks(office.tools[call.name]) and sure is None:
            raise web.HTTPSeeOther(f"{request.path}?ask={call.name}")
        if sure in (None, YES):
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
