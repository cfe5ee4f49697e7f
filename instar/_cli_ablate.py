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
    from instar._grids import EXAMPLE, read_grid

    if grid is None:
        emit(as_json, {"example": EXAMPLE}, EXAMPLE)
        return
    wanted = read_grid(grid)
    folder = out or grid.with_suffix("")
    found = wait_for(_ablate(wanted, folder), f"instar ablate {grid}")
    emit(as_json, found | {"folder": str(folder)}, _told(found, folder))
    if any(f["problems"] for _, _, f in _each(found)):
        raise typer.Exit(1)


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
    blocks = [table(head, rows)]
    if len(rows) > 1:
        blocks.append(paired_table(found["paired"]))
    for measure, name, figures in _each(found):
        blocks += _measured(f"{measure}, {name}", figures)
    return "\n\n".join([*blocks, f"Runs: {folder}"])


def _each(found: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Every measurement of every configuration."""
    measures = found.get("measures", {})
    return [(what, name, f) for what, configs in measures.items() for name, f in configs.items()]


def _measured(title: str, figures: dict[str, Any]) -> list[str]:
    """The arms of a measurement, their differences, and what one has to know of them."""
    from instar._cli_figures import share, span

    arms = [
        [name.replace("_", " "), share(f["success"]), span(f["interval"]), _spent(f), _runs(f)]
        for name, f in figures["arms"].items()
    ]
    seeds = len(figures["runs"])
    blocks = [
        f"{title}: {figures['world']}, {figures['n']} tasks in each of {seeds} runs",
        table(["arm", "clean", "95 % over runs", "tokens", "each run"], arms),
    ]
    if len(arms) > 1:
        blocks.append(_differences(figures["paired"]))
    notes = [
        *_by_seed(figures["instead"], "{} learnt nothing and counts as {}"),
        *_by_seed(figures["left_out"], "{} was not measured, as {}"),
        *(f"Seed {s}: {why}." for s, problems in figures["problems"].items() for why in problems),
    ]
    return [*blocks, "\n".join(notes)] if notes else blocks


def _spent(figures: dict[str, Any]) -> str:
    """Tokens of an attempt; nothing where they were not kept."""
    return f"{figures['tokens']:,.0f}" if "tokens" in figures else ""


def _by_seed(found: dict[str, dict[str, str]], sentence: str) -> list[str]:
    return [
        f"Seed {seed}: {sentence.format(label, why)}."
        for seed, labels in found.items()
        for label, why in labels.items()
    ]


def _differences(found: list[dict[str, Any]]) -> str:
    """Paired differences over runs, and the interval over their tasks beside them."""
    from instar._cli_figures import span

    rows = [
        [
            f"{p['b']} - {p['a']}".replace("_", " "),
            f"{100 * p['difference']:+.1f}",
            span(p["interval"], signed=True),
            f"{p['p']:.4f}",
            f"{p['p_holm']:.4f}",
            str(p["n"]),
            span(p["pooled"]["interval"], signed=True) if p["pooled"] else "",
        ]
        for p in found
    ]
    head = ["difference", "points", "95 % over runs", "p", "Holm", "runs", "95 % over tasks"]
    return table(head, rows, "Nothing in common.")


def _runs(figures: dict[str, Any]) -> str:
    return " ".join("?" if v is None else f"{100 * v:.0f}" for v in figures["runs"])
