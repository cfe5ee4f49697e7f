"""The service over HTTP: FastAPI over `instar.service.sessions`.

Whatever is wrong with a request is answered by a status and one sentence. An error of our own is a 500
with its id in the log and no word of what is inside.
"""

from __future__ import annotations

import hmac
import logging
import uuid
from collections.abc import Awaitable, Callable
from importlib import metadata
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from instar.compose import Workspace
from instar.errors import UserError
from instar.service import shapes
from instar.service._messages import BadMessage
from instar.service.sessions import AlreadyScored, NoSession, Sessions

__all__ = ["API", "MOST_BYTES", "make_app"]

API = 1
"""Version of what is spoken; a client names its own in the header ``Instar-API``."""

MOST_BYTES = 2_000_000
_LOG = logging.getLogger(__name__)
_REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"model": shapes.Problem, "description": why}
    for status, why in {
        400: "No JSON, or a client that speaks a newer version",
        401: "No token, or a wrong one",
        404: "No such session",
        411: "A body of unknown length",
        409: "Another outcome is on record",
        413: "Too long",
        422: "Something in it does not fit",
    }.items()
}


def make_app(workspace: Workspace, token: str | None = None) -> FastAPI:
    """The service over an open workspace.

    Args:
        token: What requests have to bear; None asks for none.
    """
    app = FastAPI(
        title="Instar",
        version=metadata.version("instar"),
        description="Experience memory and evidence beside an agent in production.",
        responses=_REFUSED,
    )
    sessions = Sessions(workspace)
    _answer_errors(app)
    _limit(app)

    guarded = [Depends(_guard(token))]

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether the service answers."""
        return {"status": "ok"}

    @app.post("/v1/sessions", status_code=201, dependencies=guarded)
    def begin(asked: shapes.Begin) -> shapes.Begun:
        """Begin a session."""
        return sessions.begin(asked)

    @app.post("/v1/sessions/{session}/recall", dependencies=guarded)
    async def recall(session: str, asked: shapes.Asked) -> shapes.Recalled:
        """Memories for the session's task, or for what it is stuck at."""
        return await sessions.recall(session, asked)

    @app.post("/v1/sessions/{session}/steps", dependencies=guarded)
    def steps(session: str, asked: shapes.Steps) -> shapes.Recorded:
        """Report what happened."""
        return sessions.report(session, asked)

    @app.post("/v1/sessions/{session}/outcome", dependencies=guarded)
    def outcome(session: str, asked: shapes.Outcome) -> shapes.Recorded:
        """Report how it went, or correct what was reported."""
        return sessions.outcome(session, asked)

    @app.get("/v1/worth", dependencies=guarded)
    def worth(model: str | None = None) -> shapes.Worth:
        """Whether experience helps, by what practice shows."""
        return sessions.worth(model)

    return app


def _guard(token: str | None) -> Callable[..., None]:
    """What every request but those about the service itself has to pass."""

    def may(
        authorization: Annotated[str, Header(include_in_schema=False)] = "",
        instar_api: Annotated[int, Header(ge=1, include_in_schema=False)] = API,
    ) -> None:
        if token is not None and not hmac.compare_digest(
            authorization.encode(), f"Bearer {token}".encode()
        ):
            raise HTTPException(401, "Send the token of this service: Authorization: Bearer TOKEN")
        if instar_api > API:
            raise HTTPException(
                400, f"The client speaks version {instar_api}, the service {API}: update Instar."
            )

    return may


def _answer_errors(app: FastAPI) -> None:
    """One sentence for each way in which a request can be wrong."""

    def say(status: int, text: str) -> JSONResponse:
        return JSONResponse({"error": text}, status)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        return say(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    def unfit(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return say(400 if first["type"] == "json_invalid" else 422, f"{place}: {first['msg']}")

    @app.exception_handler(BadMessage)
    def odd(_: Request, error: BadMessage) -> Response:
        return say(422, f"{error}.")

    @app.exception_handler(NoSession)
    def unknown(_: Request, error: NoSession) -> Response:
        return say(404, str(error))

    @app.exception_handler(AlreadyScored)
    def twice(_: Request, error: AlreadyScored) -> Response:
        return say(409, str(error))

    @app.exception_handler(UserError)
    def mistaken(_: Request, error: UserError) -> Response:
        return say(422, str(error))

    @app.exception_handler(Exception)
    def broken(_: Request, error: Exception) -> Response:
        name = uuid.uuid4().hex[:8]
        _LOG.error("request failed, %s", name, exc_info=error)
        return say(500, f"Something is wrong with the service; its log says what under {name}.")


def _limit(app: FastAPI) -> None:
    """Refuse bodies that are too long, or do not say how long they are, before they are read."""

    @app.middleware("http")
    async def limited(
        request: Request, go_on: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        told = request.headers.get("content-length", "")
        if request.method == "POST" and not told.isdigit():
            return JSONResponse({"error": "Say how long the request is: Content-Length."}, 411)
        if told and int(told) > MOST_BYTES:
            return JSONResponse({"error": f"A request may have {MOST_BYTES:,} bytes."}, 413)
        return await go_on(request)
