"""The service over HTTP: FastAPI over `instar.service.sessions`.

Whatever is wrong with a request is answered by a status and one sentence. An error of our own is a 500
with its id in the log and no word of what is inside.
"""

from __future__ import annotations

import hmac
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from instar import __version__
from instar.compose import Workspace
from instar.errors import UserError
from instar.service import item_shapes, shapes
from instar.service._messages import BadMessage
from instar.service.around import MOST_BYTES, Limited, Watched
from instar.service.items import Items
from instar.service.metrics import Metrics
from instar.service.sessions import AlreadyScored, NoSession, Sessions

__all__ = ["API", "MOST_BYTES", "guard", "make_app"]

API = 1
"""Version of what is spoken; a client names its own in the header ``Instar-API``."""

_NOTHING = "There is nothing here; /docs says what there is."
_LOG = logging.getLogger(__name__)
_REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"model": shapes.Problem, "description": why}
    for status, why in {
        400: "No JSON, or a client that speaks a newer version",
        401: "No token, or a wrong one",
        404: "No such session",
        408: "The body did not arrive",
        409: "Another outcome is on record",
        411: "A body of unknown length",
        413: "Too long",
        422: "Something in it does not fit",
    }.items()
}


def make_app(
    workspace: Workspace, token: str | None = None, sessions: Sessions | None = None
) -> FastAPI:
    """The service over an open workspace.

    Args:
        token: What requests have to bear; None asks for none.
        sessions: Those of the workspace, where somebody else uses them too.
    """
    # Its page of documentation asks no other host for anything.
    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        title="Instar",
        version=__version__,
        description="Experience memory and evidence beside an agent in production.",
        responses=_REFUSED,
        # Spans are ours (`instar.tracing`); newer versions of FastAPI would add theirs.
        telemetry=dict.fromkeys(("auto_configure", "tracing", "metrics", "logs"), False),
    )
    app.state.metrics = metrics = Metrics()
    _answer_errors(app)
    app.add_middleware(Limited)
    app.add_middleware(Watched, metrics=metrics)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether the service answers."""
        return {"status": "ok"}

    @app.get("/", include_in_schema=False)
    def root() -> RedirectResponse:
        """Somebody looks in with a browser."""
        return RedirectResponse("/docs")

    guarded = [Depends(guard(token))]
    if token is not None:
        # So that the page of documentation can be told the token; `guard` is what looks at it.
        guarded.append(Depends(HTTPBearer(auto_error=False, description="The service's token.")))
    app.include_router(_sessions(sessions or Sessions(workspace), metrics), dependencies=guarded)
    app.include_router(_store(Items(workspace)), dependencies=guarded)
    return app


def _sessions(sessions: Sessions, metrics: Metrics) -> APIRouter:
    """What needs the token."""
    router = APIRouter()

    @router.post("/v1/sessions", status_code=201)
    def begin(asked: shapes.Begin) -> shapes.Begun:
        """Begin a session."""
        begun = sessions.begin(asked)
        metrics.began(asked.shadow)
        return begun

    @router.post("/v1/sessions/{session}/recall")
    async def recall(session: str, asked: shapes.Asked) -> shapes.Recalled:
        """Memories for the session's task, or for what it is stuck at."""
        with metrics.recalling():
            found = await sessions.recall(session, asked)
        metrics.recalled(len(found.memories), found.shadow)
        return found

    @router.post("/v1/sessions/{session}/steps")
    def steps(session: str, asked: shapes.Steps) -> shapes.Recorded:
        """Report what happened."""
        recorded = sessions.report(session, asked)
        metrics.reported(asked.prompt_tokens, asked.completion_tokens)
        return recorded

    @router.post("/v1/sessions/{session}/outcome")
    def outcome(session: str, asked: shapes.Outcome) -> shapes.Recorded:
        """Report how it went, or correct what was reported."""
        recorded = sessions.outcome(session, asked)
        metrics.outcome(asked.status, asked.source)
        return recorded

    @router.get("/v1/worth")
    def worth(model: str | None = None) -> shapes.Worth:
        """Whether experience helps, by what practice shows."""
        return sessions.worth(model)

    @router.get("/metrics", response_class=PlainTextResponse)
    def counted() -> str:
        """What the service counts, for Prometheus."""
        return metrics.text()

    return router


def _store(items: Items) -> APIRouter:
    """What an agent keeps of its own; it needs the token."""
    router = APIRouter()

    @router.post("/v1/store")
    async def store(asked: item_shapes.Batch) -> item_shapes.Done:
        """Read and write what an agent keeps of its own."""
        return await items.run(asked)

    return router


def guard(token: str | None) -> Callable[..., None]:
    """What every request but those about the service itself has to pass."""

    def may(
        authorization: Annotated[str, Header(include_in_schema=False)] = "",
        instar_api: Annotated[int, Header(ge=1, include_in_schema=False)] = API,
    ) -> None:
        if token is not None and not hmac.compare_digest(
            authorization.encode(), f"Bearer {token}".encode()
        ):
            raise HTTPException(
                401,
                "Send the token of this service: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )
        if instar_api > API:
            raise HTTPException(
                400, f"The client speaks version {instar_api}, the service {API}: update Instar."
            )

    return may


def _answer_errors(app: FastAPI) -> None:
    """One sentence for each way in which a request can be wrong."""

    def say(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": text}, status, headers)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        text = _NOTHING if error.detail == "Not Found" else str(error.detail)
        return say(error.status_code, text, error.headers)

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
