"""``instar serve``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from instar._cli_common import Folder, Options, load, wait_for

if TYPE_CHECKING:
    from instar.config import Config

__all__ = ["register"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TOKEN = "INSTAR_TOKEN"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8765,
    workspace: Folder = None,
    option: Options = None,
) -> None:
    """Serve the workspace's memory to an agent of yours, and take down what it reports.

    Requests bear the token in the environment variable INSTAR_TOKEN, if it is set.
    """
    from instar.errors import MissingExtra, UserError

    token = os.environ.get(_TOKEN) or None
    if host not in _LOOPBACK and token is None:
        raise UserError(
            f"Listening on {host} others can reach this service: set a token first, as in "
            f"{_TOKEN}=$(openssl rand -hex 16) instar serve --host {host}"
        )
    try:
        import uvicorn  # noqa: F401

        import instar.service.app  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            f"{error.name}, which the service needs,", "pip install 'instar[serve]'"
        ) from error
    wait_for(_serve(load(workspace, None, option), host, port, token))


async def _serve(config: Config, host: str, port: int, token: str | None) -> None:
    import uvicorn

    from instar.compose import Workspace
    from instar.errors import UserError
    from instar.service.app import make_app

    async with Workspace.open(config) as workspace:
        settings = uvicorn.Config(make_app(workspace, token), host, port, log_level="warning")
        server = uvicorn.Server(settings)
        try:
            sockets = [settings.bind_socket()]
        except SystemExit as error:
            raise UserError(
                f"Port {port} of {host} cannot be used. Choose another: --port 0 takes a free one."
            ) from error
        address = sockets[0].getsockname()
        typer.echo(
            f"Instar serves {config.workspace} on http://{host}:{address[1]} "
            f"(OpenAPI: /docs{', with a token' if token else ''}). Ctrl-C ends it.",
            err=True,
        )
        await server.serve(sockets)
