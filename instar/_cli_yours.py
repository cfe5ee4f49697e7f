"""Your own tasks on the command line: a file of them in place of a world's name, and an example."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from instar._cli_common import AsJson, Folder, Seed, emit

__all__ = ["begin_file", "world_settings"]

_SUFFIX = ".jsonl"


def world_settings(world: str) -> list[str]:
    """The settings that choose a world: by id, by dotted path, or as a file of tasks."""
    if not world.endswith(_SUFFIX):
        return [f"world.name={world}"]
    return ["world.name=yours", f"methods.yours.file={json.dumps(world)}"]


def begin_file(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("tasks.jsonl"),
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Write an example of a file of tasks of your own, to be run as it is and then edited."""
    from benchmarks.worlds._yours_example import EXAMPLE
    from instar.errors import UserError

    if file.suffix != _SUFFIX:
        raise UserError(
            f"A file of tasks ends in {_SUFFIX}: instar bench init {file.stem}{_SUFFIX}"
        )
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(EXAMPLE)
    except FileExistsError as error:
        raise UserError(
            f"{file} is there already and stays as it is; choose another name: "
            f"instar bench init {shlex.quote(file.stem)}-2{_SUFFIX}"
        ) from error
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from error
    name = shlex.quote(str(file))
    there = f" --workspace {shlex.quote(str(workspace))}" if workspace else ""
    steps = [f"instar bench health {name}{there}", f"instar bench run {name} --arms base{there}"]
    told = (
        f"Wrote {file}. See that its checks work: {steps[0]}\n"
        f"Then measure on it: {steps[1]}\n"
        "The model pocket was not made for such tasks: choose another with --model."
    )
    emit(as_json, {"file": str(file), "next": steps}, told)
