"""``instar mcp``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from instar._cli_common import Folder, Options, load, wait_for
from instar._cli_serve import Host, Port, listen, token_for

if TYPE_CHECKING:
    from instar.config import Config

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("mcp")(mcp)


def mcp(
    agent: Annotated[str, typer.Option(help="Whose experience it is.")],
    subject: Annotated[
        str | None, typer.Option(help="Whom all its sessions are about, such as a customer.")
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="Over HTTP instead of stdio.")] = False,
    host: Host = "127.0.0.1",
    port: Port = 8766,
    workspace: Folder = None,
    option: Options = None,
) -> None:
    """Give a client of MCP the tools search_memory, save_memory and report_outcome.

    Over HTTP requests bear the token in the environment variable INSTAR_TOKEN, if it is set.
    """
    from instar.errors import MissingExtra

    token = token_for(host, f"mcp --agent {agent} --http") if http else None
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise MissingExtra("The package mcp", "pip install 'instar[mcp]'") from error
    at = (host, port) if http else None
    wait_for(_serve(load(workspace, None, option), agent, subject, at, token))


async def _serve(
    config: Config, agent: str, subject: str | None, at: tuple[str, int] | None, token: str | None
) -> None:
    from instar.compose import Workspace
    from instar.mcp.desk import Desk
    from instar.mcp.server import make_http_app, make_server

    async with Workspace.open(config) as workspace:
        server = make_server(Desk(workspace, agent, subject, shared=at is not None))
        if at is None:
            await server.run_stdio_async()
            return

        def say(url: str) -> str:
            secret = ", with a token" if token else ""
            return f"Instar serves {config.workspace} by MCP on {url}/mcp{secret}. Ctrl-C ends it."

        await listen(make_http_app(server, at[0], token), at, say)
