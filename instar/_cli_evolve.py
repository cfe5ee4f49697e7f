"""``instar init``, ``evolve`` and ``generations``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import (
    AsJson,
    Folder,
    Options,
    Seed,
    emit,
    load,
    progress,
    table,
    wait_for,
)

if TYPE_CHECKING:
    from instar.config import Config
    from instar.types import Generation

__all__ = ["register"]

generations = typer.Typer(help="Generations: list, show, promote, roll back.", no_args_is_help=True)

_BESIDE = ("utility", "attack_success")
"""Results of which neither says anything alone: shown together where a world measures them."""

_TEMPLATE = """# Settings of this workspace; every key is optional. All keys: instar init --help
preset = "{preset}"
seed = {seed}
"""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(init)
    app.command()(evolve)
    app.add_typer(generations, name="generations")


def init(
    preset: Annotated[str, typer.Option(help="Settings to begin with.")] = "pocket",
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Make a workspace with an instar.toml to edit."""
    from instar.compose import Workspace

    config = load(workspace, seed, option, f"preset={preset}")
    file = config.workspace / "instar.toml"
    existed = file.exists()
    opened = Workspace.open(config)
    opened.store.close()
    if not existed:
        file.write_text(_TEMPLATE.format(preset=config.preset, seed=config.seed), encoding="utf-8")
    found = "It was there already" if existed else "Edit its settings"
    told = f"Workspace {config.workspace}. {found}: {file}. Next: instar evolve"
    emit(as_json, {"workspace": str(config.workspace), "made": not existed}, told)


def evolve(
    preset: Annotated[str | None, typer.Option(help="Settings to begin with.")] = None,
    generations: Annotated[
        int | None, typer.Option(min=1, help="How many generations to add.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model that acts.")] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Practise, remember, train, gate, promote; then report. Goes on where it was interrupted."""
    more = [f"preset={preset}"] if preset else []
    more += [f"model.name={model}"] if model else []
    config = load(workspace, seed, option, *more)
    number = generations or config.evolve.generations
    again = shlex.join(["instar", *sys.argv[1:]])
    found = wait_for(_evolve(config, number), again)
    emit(as_json, found, _summary(found))


async def _evolve(config: Config, number: int) -> dict[str, Any]:
    from instar.compose import Workspace
    from instar.evolve import evolve as turn

    async with Workspace.open(config) as workspace:
        return await turn(workspace, number, progress())


def _summary(found: dict[str, Any]) -> str:
    lines = [_generation_table(found["generations"]), ""]
    measured = found.get("summary") or {}
    if measured:
        lines += [arm_table(measured), ""]
    lines += [f"Active: {found['active']}", f"Report: {found['report']}"]
    return "\n".join(lines)


def _generation_table(found: list[dict[str, Any]]) -> str:
    rows = [
        [g["id"], g["parent"] or "", g["status"], (g["verdict"] or {}).get("sentence", "")]
        for g in found
    ]
    return table(["generation", "parent", "status", "verdict"], rows)


def arm_table(measured: dict[str, Any]) -> str:
    """The arms of a summary, and their paired differences."""
    figures = measured["arms"].values()
    beside = [m for m in _BESIDE if any(m in f.get("metrics", {}) for f in figures)]
    arms = [
        [
            name.replace("_", " "),
            _share(f["success"]),
            _span(f["interval"]),
            *(_share(f["metrics"].get(m)) for m in beside),
            _number(f["steps"]),
        ]
        for name, f in measured["arms"].items()
    ]
    shown = [m.replace("_", " ") for m in beside]
    head = f"{measured['benchmark']}, {measured['n']} tasks, generation {measured['generation']}"
    blocks = [head, table(["arm", "clean", "95 %", *shown, "steps"], arms)]
    if measured["paired"]:
        blocks.append(paired_table(measured["paired"]))
    if measured.get("levels"):
        rates = [f"{k.replace('_', ' ')} {_share(v)}" for k, v in measured["levels"].items()]
        blocks.append(f"Those who learn nothing: {', '.join(rates)}.")
    blocks += [f"Not measured: {a}, as {why}." for a, why in measured.get("left_out", {}).items()]
    leakage = measured.get("leakage") or {}
    blocks.append(f"Leakage: {'none found' if leakage.get('clean') else 'see the report'}")
    return "\n\n".join(blocks)


def paired_table(found: list[dict[str, Any]]) -> str:
    """Paired differences; p after Holm's correction for their number."""
    rows = [
        [
            f"{p['b']} - {p['a']}".replace("_", " "),
            f"{100 * p['difference']:+.1f}",
            _span(p["interval"], signed=True),
            f"{p['p']:.4f}",
            f"{p['p_holm']:.4f}" if "p_holm" in p else "",
        ]
        for p in found
    ]
    return table(["difference", "points", "95 %", "p", "Holm"], rows, "Nothing in common.")


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _span(interval: list[float] | None, signed: bool = False) -> str:
    if not interval:
        return ""
    low, high = (f"{100 * v:+.1f}" if signed else f"{100 * v:.0f}" for v in interval)
    return f"{low} to {high}"


@generations.command("list")
def list_generations(as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """All generations, oldest first."""
    with _store(load(workspace, seed, None)) as store:
        found = [g.model_dump(mode="json") for g in store.generations()]
    emit(as_json, {"generations": found}, _generation_table(found))


@generations.command("show")
def show_generation(
    id: str, as_json: AsJson = False, workspace: Folder = None, seed: Seed = None
) -> None:
    """One generation with its verdict and ancestors."""
    import json

    with _store(load(workspace, seed, None)) as store:
        generation = store.generation(id)
        memories = len(store.items(id)) if generation.memory else 0
        value = generation.model_dump(mode="json") | {
            "ancestry": store.ancestry(id),
            "memories": memories,
        }
    emit(as_json, value, json.dumps(value, indent=2, ensure_ascii=False))


@generations.command("promote")
def promote_generation(
    id: str, as_json: AsJson = False, workspace: Folder = None, seed: Seed = None
) -> None:
    """Make a generation the active one, whatever the gate said."""
    _activate(load(workspace, seed, None), id, as_json)


@generations.command("rollback")
def rollback(as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """Go back to the generation that was active before."""
    _activate(load(workspace, seed, None), None, as_json)


def _activate(config: Config, id: str | None, as_json: bool) -> None:
    from instar._lock import exclusive

    with exclusive(config.workspace), _store(config) as store:
        before = store.active()
        chosen = store.activate(id or _before(store, before))
    was = before.id if before else None
    emit(as_json, {"active": chosen.id, "before": was}, f"Active: {chosen.id} (before: {was})")


def _before(store: Any, active: Generation | None) -> str:
    """What served before: as the last promotion says, else the parent."""
    from instar.errors import UserError

    if active is None or active.parent is None:
        raise UserError("There is no generation to go back to. See: instar generations list")
    turns = store.stages("g").items()
    served = [v["before"] for k, v in turns if k.endswith("/promote") and v["active"] == active.id]
    return str(next((s for s in reversed(served) if s != active.id), active.parent))


def _store(config: Config) -> Any:
    from instar.store import Store

    return Store.open(_database(config.workspace), create=False)


def _database(workspace: Path) -> Path:
    return workspace / "instar.db"
