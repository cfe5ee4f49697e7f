"""The command line. It parses and prints; the work is done below, and imported when it is needed.

Exit codes: 0 done, or nothing to do; 1 the infrastructure failed; 2 a mistake of the user; 3 a limit
was reached, and the same command goes on; 4 another process is at work; 5 `instar status` finds what
it was asked to warn of; 130 Ctrl-C. All but 0 and 130 say why in one line on stderr. A traceback means
a bug in Instar.
"""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer
from typer.exceptions import TyperException

from instar import (
    _cli_ablate,
    _cli_adapters,
    _cli_backup,
    _cli_bench,
    _cli_clock,
    _cli_data,
    _cli_evolve,
    _cli_gateway,
    _cli_generations,
    _cli_mcp,
    _cli_memory,
    _cli_other,
    _cli_pocket,
    _cli_prompts,
    _cli_purge,
    _cli_serve,
    _cli_sessions,
    _cli_stages,
    _cli_tasks,
)
from instar._cli_common import readable
from instar.errors import Busy, InstarError, Stopped, UserError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Agents that evolve from their own experience, with every gain measured.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)
_cli_evolve.register(app)
_cli_generations.register(app)
_cli_bench.register(app)
_cli_ablate.register(app)
_cli_memory.register(app)
_cli_adapters.register(app)
_cli_other.register(app)
_cli_pocket.register(app)
_cli_prompts.register(app)
_cli_purge.register(app)
_cli_backup.register(app)
_cli_clock.register(app)
_cli_stages.register(app)
_cli_serve.register(app)
_cli_sessions.register(app)
_cli_mcp.register(app)
_cli_gateway.register(app)
_cli_data.register(app)
_cli_tasks.register(app)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
) -> None:
    if version:
        typer.echo(metadata.version("instar"))
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="instar", standalone_mode=False)
    except TyperException as error:
        return _fail(_where_help_is(error), error.exit_code)
    except Busy as error:
        return _fail(str(error), 4)
    except UserError as error:
        return _fail(str(error), 2)
    except Stopped as error:
        return _fail(str(error), 3)
    except InstarError as error:
        return _fail(str(error), 1)
    except typer.Abort:
        return 130
    return code if isinstance(code, int) else 0


def _where_help_is(error: TyperException) -> str:
    """What typer says of a mistake, and which command says what is right."""
    said, context = error.format_message(), getattr(error, "ctx", None)
    if context is None or said.startswith("Usage:"):
        return said
    said = said.rstrip(".")
    return f"{said}{'' if said.endswith('?') else '.'} See: {context.command_path} --help"


def _fail(message: str, code: int) -> int:
    # Help for a command without arguments comes this way too, over several lines.
    text = message if message.startswith("Usage:") else " ".join(readable(message).split())
    typer.echo(text, err=True)
    return code


if __name__ == "__main__":
    main()
