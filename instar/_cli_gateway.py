"""``instar gateway``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from instar._cli_common import Folder, Options, load, wait_for
from instar._cli_serve import LOOPBACK, Address, Host, Port, listen, server_loop, token_for

if TYPE_CHECKING:
    from instar.config import Config
    from instar.gateway.upstream import Upstream

__all__ = ["register"]

_TURN = 0.0005
_OPENAI = "https://api.openai.com/v1"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("gateway")(gateway)


def gateway(
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where requests go on to: OPENAI_BASE_URL, or OpenAI itself."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model of litellm that answers instead, such as anthropic/NAME."),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Recall and record, and show nothing.")
    ] = False,
    budget: Annotated[
        int, typer.Option(min=0, help="Milliseconds that a session may wait for its memories.")
    ] = 150,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that the model may be silent.")
    ] = 600.0,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    workspace: Folder = None,
    option: Options = None,
) -> None:
    """Stand between an agent of yours and its model: record, and put memories in.

    The agent's OPENAI_BASE_URL becomes http://127.0.0.1:8765/v1. What instar serve answers is
    answered here, too. Requests bear the token in INSTAR_TOKEN as their API key, if it is set; then
    OPENAI_API_KEY goes upstream.
    """
    token = token_for(host, "gateway")
    onward = _upstream(upstream, model, timeout, (host, port))
    config, at = load(workspace, None, option), (host, port)
    # The thread that writes lets the one that passes on have its turn after half a millisecond, not five.
    sys.setswitchinterval(_TURN)
    wait_for(_serve(config, onward, token, budget / 1000, shadow, at), loop=server_loop)


def _upstream(url: str | None, model: str | None, timeout: float, own: tuple[str, int]) -> Upstream:
    from instar._urls import split
    from instar.errors import UserError
    from instar.gateway._litellm import LiteLLMUpstream
    from instar.gateway.upstream import HttpUpstream

    onward = url or ("" if model else os.environ.get("OPENAI_BASE_URL") or _OPENAI)
    try:
        parts = split(onward) if onward else None
    except ValueError as error:
        raise UserError(f"--upstream: {error}. Give a base URL such as {_OPENAI}") from error
    if parts is not None and (parts.hostname, parts.port) in ((own[0], own[1]), *_here(own)):
        raise UserError(
            f"{onward} is the gateway itself. Say where requests go on to: --upstream {_OPENAI}"
        )
    return LiteLLMUpstream(model, url, timeout) if model else HttpUpstream(onward, timeout)


def _here(own: tuple[str, int]) -> list[tuple[str, int]]:
    """Other names of an address of this machine."""
    return [(name, own[1]) for name in LOOPBACK] if own[0] in LOOPBACK else []


async def _serve(
    config: Config, upstream: Upstream, token: str | None, budget: float, shadow: bool, at: Address
) -> None:
    from instar.compose import Workspace
    from instar.gateway.app import Gateway

    key = os.environ.get("OPENAI_API_KEY") or None
    async with (
        Workspace.open(config) as workspace,
        Gateway(workspace, upstream, token, key, budget, shadow) as app,
    ):

        def say(url: str) -> str:
            with_token = " The API key is the token." if token else ""
            return (
                f"Instar stands before {upstream.name} at OPENAI_BASE_URL={url}/v1 and records in "
                f"{config.workspace}.{with_token} Ctrl-C ends it."
            )

        await listen(app, at, say)
