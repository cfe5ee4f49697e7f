"""``instar backup`` and ``instar restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instar._cli_common import AsJson, Folder, emit, load

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="New file, such as night.tar.gz.")],
    as_json: AsJson = False,
    workspace: Folder = None,
) -> None:
    """Write the workspace into one file; whoever works in it may go on."""
    from instar._workspace_checks import damaged
    from instar.backups import backup as write

    folder = load(workspace, None, None).workspace
    found = write(folder, out)
    found["damaged"] = damaged(folder)
    for wrong in found["damaged"]:
        typer.echo(f"Damaged, and in the backup as it is: {wrong}. See: instar doctor", err=True)
    size = found["bytes"] / 2**20
    emit(as_json, found, f"{found['files']} files, {size:.1f} MiB: {found['path']}")


def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What instar backup wrote.")],
    as_json: AsJson = False,
    workspace: Folder = None,
) -> None:
    """Make a workspace of a backup, in a folder that is new or empty."""
    from instar.backups import restore as read

    found = read(archive, load(workspace, None, None).workspace)
    told = f"{found['files']} files in {found['workspace']}. To look at it: instar doctor --workspace {found['workspace']}"
    emit(as_json, found, told)
