"""Whole commands for hints, as somebody would have to type them."""

from __future__ import annotations

import shlex
from pathlib import Path

from instar.config import Config

__all__ = ["again", "bench", "world_argument"]


def world_argument(config: Config) -> str:
    """What stands for the world on the command line: its name, or the file of one's own tasks."""
    file = config.methods.get("yours", {}).get("file") if config.world.name == "yours" else None
    return str(file or config.world.name)


def bench(command: str, *arguments: str, workspace: Path) -> str:
    """``instar bench COMMAND ...`` for a workspace."""
    where = [] if workspace == Config().workspace else ["--workspace", str(workspace)]
    return shlex.join(["instar", "bench", command, *arguments, *where])


def again(config: Config, run: str) -> str:
    """The command that goes on with a run."""
    return bench("run", world_argument(config), "--resume", run, workspace=config.workspace)
