"""``instar serve``."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from instar._cli_common import Folder, Options, load, wait_for

if TYPE_CHECKING:
    from instar.config import Config

__all__ = ["LOOPBACK", "Address", "Host", "Port", "listen", "register", "server_loop", "token_for"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TOKEN = "INSTAR_TOKEN"
_LEAVING = 10

Address: TypeAlias = tuple[str, int]
Host: TypeAlias = Annotated[str, typer.Option(help="Address to listen on.")]
Port: TypeAlias = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("serve")(serve)


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8765,
    workspace: Folder = None,
    option: Options = None,
) -> None:
    """Serve the workspace's memory to an agent of yours, and take down what it reports.

    Requests bear the token in the environment variable INSTAR_TOKEN, if it is set.
    """
    token = token_for(host, "serve")
    wait_for(_serve(load(workspace, None, option), (host, port), token), loop=server_loop)


def token_for(host: str, command: str) -> str | None:
    """The token of the environment, where there is one.

    Args:
        host: Where the command listens.

    Raises:
        UserError: Others can reach it, and there is none.
        MissingExtra: What serves over HTTP is not installed.
    """
    from instar.errors import MissingExtra, UserError

    token = os.environ.get(_TOKEN) or None
    if host not in LOOPBACK and token is None:
        raise UserError(
            f"Listening on {host} others can reach this service: set a token first, as in "
            f"{_TOKEN}=$(openssl rand -hex 16) instar {command} --host {host}"
        )
    try:
        import uvicorn  # noqa: F401

        import instar.service.app  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            f"{error.name}, which the service needs,", "pip install 'instar[serve]'"
        ) from error
    return token


def server_loop() -> asyncio.AbstractEventLoop:
    """The faster event loop where it is installed; on Windows it is not."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def listen(app: Any, at: Address, say: Callable[[str], str]) -> None:
    """Serve an application until somebody asks to leave.

    Args:
        say: What is told once it listens, given its address.

    Raises:
        UserError: The port cannot be used.
    """
    import uvicorn

    from instar.errors import UserError

    host, port = at
    settings = uvicorn.Config(
        app,
        host,
        port,
        log_level="warning",
        timeout_graceful_shutdown=_LEAVING,
        date_header=False,
        server_header=False,
    )
    logging.getLogger("uvicorn.error").disabled = True  # what it says of the port we say
    try:
        sockets = [settings.bind_socket()]
    except SystemExit as error:
        raise UserError(
            f"Port {port} of {host} cannot be used. Choose another: --port 0 takes a free one."
        ) from error
    finally:
        logging.getLogger("uvicorn.error").disabled = False
    sockets[0].listen(settings.backlog)  # from here on nobody is refused who has read the line
    address = sockets[0].getsockname()
    typer.echo(say(f"http://{host}:{address[1]}"), err=True)
    await uvicorn.Server(settings).serve(sockets)


async def _serve(config: Config, at: Address, token: str | None) -> None:
    from instar.compose import Workspace
    from instar.service.app import make_app
    from instar.service.warm import warm

    new = not (config.workspace / "instar.db").exists()
    async with Workspace.open(config) as workspace:
        warm(workspace)

        def say(url: str) -> str:
            made = f"{config.workspace} is new and remembers nothing yet. " if new else ""
            return (
                f"{made}Instar serves {config.workspace} on {url} "
                f"(OpenAPI: /docs{', with a token' if token else ''}). Ctrl-C ends it."
            )

        await listen(make_app(workspace, token), at, say)
