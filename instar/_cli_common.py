"""What the commands share: the options that every one has, one result on stdout, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

if TYPE_CHECKING:
    from instar.config import Config
    from instar.progress import Progress
    from instar.store import Store

__all__ = [
    "AsJson",
    "Folder",
    "Options",
    "Seed",
    "by_prefix",
    "emit",
    "facts",
    "in_bytes",
    "load",
    "open_store",
    "progress",
    "readable",
    "table",
    "wait_for",
]

AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="End stdout with one JSON object; all else goes to stderr.")
]


def _folder(text: str) -> Path:
    # Empty is a variable of a script that is not set; it would mean the folder one stands in.
    if not text:
        raise typer.BadParameter("it is empty. Name a folder: --workspace DIR")
    return Path(text)


Folder: TypeAlias = Annotated[
    Path | None,
    typer.Option("--workspace", metavar="DIR", parser=_folder, help="Folder of all that lasts."),
]
Seed: TypeAlias = Annotated[
    int | None, typer.Option("--seed", help="Fixes the house and every draw.")
]
Options: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("-o", "--option", metavar="KEY=VALUE", help="A setting, such as gate.tasks=100."),
]

Value = TypeVar("Value")
_WORKSPACE = "INSTAR_WORKSPACE"
_BREAKS = re.compile(r"\s*[\r\n\v\f\x85\u2028\u2029]\s*")
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_OURS = re.compile(r"\binstar [a-z]")
_chosen: ContextVar[Path | None] = ContextVar("workspace", default=None)
"""The workspace that was named for the command, which those that it advises need, too."""


def load(workspace: Path | None, seed: int | None, options: list[str] | None, *more: str) -> Config:
    """Settings for a command; ``more`` are overrides of its own options.

    Raises:
        ConfigError: A setting that does not exist or does not fit.
        UserError: The workspace is a file.
    """
    from instar.config import Config, load_config
    from instar.errors import UserError

    _chosen.set(workspace)
    folder = workspace or Path(os.environ.get(_WORKSPACE) or Config().workspace)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, not a folder. Choose another: --workspace DIR")
    fixed = [f"workspace={json.dumps(str(folder))}"]
    fixed += [f"seed={seed}"] if seed is not None else []
    path = folder if folder.is_dir() else None
    return load_config(path, [*(options or []), *more, *fixed], dict(os.environ))


def open_store(config: Config) -> Store:
    """The store of a workspace that there is.

    Raises:
        WorkspaceError: There is none.
    """
    from instar.store import Store

    return Store.open(config.workspace / "instar.db", create=False)


def progress(as_json: bool = False) -> Progress:
    """Where a command says what happens: stderr, in every form of output."""
    from instar.progress import Progress

    return Progress()


def emit(as_json: bool, value: Any, text: str) -> None:
    """The result: one JSON object, or text for people."""
    shown = json.dumps(value, ensure_ascii=False, default=str) if as_json else readable(text)
    if shown:
        typer.echo(shown)


def readable(text: str) -> str:
    """A text without what steers a terminal, and with the workspace that its commands are for."""
    shown = _STEERING.sub("\N{REPLACEMENT CHARACTER}", text)
    folder = _chosen.get()
    if folder is None or "--workspace" in shown or not _OURS.search(shown):
        return shown
    return f"{shown}\n(with: --workspace {shlex.quote(str(folder))})"


def table(head: list[str], rows: list[list[str]], empty: str = "Nothing yet.") -> str:
    """Rows in columns, the last column as long as it is; line breaks in cells become blanks."""
    if not rows:
        return empty
    rows = [[_BREAKS.sub(" ", cell) for cell in row] for row in rows]
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head) - 1)]
    lines = [
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in [head, *rows]
    ]
    return "\n".join(lines)


def facts(found: Mapping[str, object]) -> str:
    """Names and values, one a line; what is empty is left out."""
    kept = {name: str(value) for name, value in found.items() if value not in (None, "", ())}
    width = max(map(len, kept))
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in kept.items())


def in_bytes(size: int) -> str:
    """A number of bytes for people."""
    if size < 1_000_000:
        return f"{size / 1e3:.0f} KB"
    return f"{size / 1e6:.1f} MB" if size < 1_000_000_000 else f"{size / 1e9:.1f} GB"


def by_prefix(text: str, known: Iterable[str]) -> str:
    """The one id that begins like this; the text itself where it is an id, or none does.

    Raises:
        UserError: Several do.
    """
    from instar.errors import UserError

    found = [id for id in known if id.startswith(text)]
    if len(found) > 1 and text not in found:
        raise UserError(f"{text!r} could be {', '.join(found[:8])}: type more of it.")
    return text if text in found or not found else found[0]


def wait_for(
    work: Coroutine[Any, Any, Value],
    again: str = "",
    loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Value:
    """Run a command's coroutine; Ctrl-C ends it with one line and exit code 130.

    Args:
        work: The command.
        again: The command that goes on where this one was interrupted.
        loop: Makes the event loop; None makes asyncio's own.
    """
    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(work)
    except KeyboardInterrupt:
        hint = f" To go on, type: {again}" if again else ""
        typer.echo(f"Interrupted; what was finished is saved.{hint}", err=True)
        sys.stdout.flush()
        sys.stderr.flush()
        # A training thread may still be inside the library; everything is safe against this exit.
        os._exit(130)
