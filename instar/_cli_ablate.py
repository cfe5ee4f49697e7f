"""``instar ablate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from instar._cli_common import AsJson, emit, progress, table, wait_for

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(ablate)


def ablate(
    grid: Annotated[
        Path | None, typer.Argument(help="A TOML file; without one an example is printed.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the runs; by default beside the grid.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare whole evolutions under several settings over the same seeds; resumes."""
    from instar.ablating import EXAMPLE, read_grid

    if grid is None:
        emit(as_json, {"example": EXAMPLE}, EXAMPLE)
        return
    wanted = read_grid(grid)
    folder = out or grid.with_suffix("")
    found = wait_for(_ablate(wanted, folder), f"instar ablate {grid}")
    emit(as_json, found | {"folder": str(folder)}, _told(found, folder))


async def _ablate(wanted: Any, folder: Path) -> dict[str, Any]:
    from instar.ablating import ablate as run

    return await run(wanted, folder, progress())


def _told(found: dict[str, Any], folder: Path) -> str:
    from instar._cli_figures import paired_table, share, span

    rows = [
        [name, share(f["success"]), span(f["interval"]), share(f["gain"], "+"), _runs(f)]
        for name, f in found["configs"].items()
    ]
    head = ["configuration", "clean", "95 % over runs", "over base", "each run"]
    blocks = [table(head, rows), paired_table(found["paired"])]
    return "\n\n".join([*blocks, f"Runs: {folder}"])


def _runs(figures: dict[str, Any]) -> str:
    return " ".join("?" if v is None else f"{100 * v:.0f}" for v in figures["runs"])
