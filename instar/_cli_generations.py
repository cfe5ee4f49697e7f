"""``instar generations``: list, show, promote, roll back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from instar._cli_common import (
    AsJson,
    Folder,
    Seed,
    by_prefix,
    emit,
    facts,
    load,
    open_store,
    table,
)

if TYPE_CHECKING:
    from instar.config import Config
    from instar.store import Store
    from instar.types import Generation

__all__ = ["generation_table", "register"]

generations = typer.Typer(help="Generations: list, show, promote, roll back.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(generations, name="generations")


def generation_table(found: list[dict[str, Any]]) -> str:
    """Generations with their parents, what became of them and why."""
    rows = [
        [g["id"], g["parent"] or "", g["status"], (g["verdict"] or {}).get("sentence", "")]
        for g in found
    ]
    return table(["generation", "parent", "status", "verdict"], rows)


@generations.command("list")
def list_generations(as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """All generations, oldest first."""
    with open_store(load(workspace, seed, None)) as store:
        found = [g.model_dump(mode="json") for g in store.generations()]
    emit(as_json, {"generations": found}, generation_table(found))


@generations.command("show")
def show_generation(
    id: str, as_json: AsJson = False, workspace: Folder = None, seed: Seed = None
) -> None:
    """One generation with its verdict and ancestors; the beginning of an id is enough."""
    with open_store(load(workspace, seed, None)) as store:
        generation = store.generation(_id(store, id))
        value = generation.model_dump(mode="json") | {
            "ancestry": store.ancestry(generation.id),
            "memories": len(store.items(generation.id)) if generation.memory else 0,
        }
    emit(as_json, value, _generation_facts(value))


def _id(store: Any, text: str) -> str:
    return by_prefix(text, [g.id for g in store.generations()])


def _generation_facts(value: dict[str, Any]) -> str:
    from instar._gate_words import lines

    verdict = value["verdict"] or {}
    told = facts(
        {
            "generation": value["id"],
            "status": value["status"],
            "turn": value["seq"],
            "came after": ", ".join(value["ancestry"][1:]),
            "model": value["model"],
            "prompts": value["prompts"],
            "adapter": value["adapter"],
            "memories": value["memories"],
            "verdict": verdict.get("sentence"),
        }
    )
    return "\n".join([told, *(f"  {line}" for line in lines(verdict)), *_groups(verdict)])


def _groups(verdict: dict[str, Any]) -> list[str]:
    """Success by group at the gate, the one that looks worst first."""
    rows = [
        [g["name"], str(g["figure"]["n"]), _points(g["figure"]), "blocks" if g["blocks"] else ""]
        for g in verdict.get("groups", ())
    ]
    return [table(["group", "pairs", "candidate minus active", ""], rows)] if rows else []


def _points(figure: dict[str, Any]) -> str:
    interval = figure["interval"] or ()
    ends = f" [{', '.join(f'{100 * end:+.0f}' for end in interval)}]" if interval else ""
    return f"{100 * (figure['difference'] or 0):+.0f} points{ends}"


def _apart(store: Store, one: str, other: str) -> bool:
    """Whether neither of two generations was made over the other."""
    made_over = {g.id: g.parent for g in store.generations()}

    def path(id: str | None) -> set[str]:
        found: set[str] = set()
        while id is not None and id not in found:
            found.add(id)
            id = made_over.get(id)
        return found

    return one not in path(other) and other not in path(one)


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


def _cannot_serve(config: Config, store: Store, generation: Generation) -> str:
    """Why its adapter cannot be served, as where files of it are damaged; empty where it can."""
    from finetune.registry import Registry
    from instar.errors import InstarError

    if generation.adapter is None:
        return ""
    try:
        Registry(config.workspace / "adapters", store).get(generation.adapter)
    except InstarError as error:
        return str(error)
    return ""


def _promoted(config: Config, store: Store, id: str) -> Generation:
    """Make it the active one.

    Raises:
        UserError: Its adapter cannot be served.
    """
    from instar.errors import UserError

    cannot = _cannot_serve(config, store, store.generation(id))
    if cannot:
        raise UserError(f"{id} was not promoted. {cannot}")
    return store.activate(id)


def _activate(config: Config, id: str | None, as_json: bool) -> None:
    from instar._holding import sentence
    from instar._lock import exclusive
    from instar._runs import unfinished
    from instar.errors import UserError

    with open_store(config) as store, exclusive(config.workspace):
        before = store.active()
        chosen = _promoted(config, store, _id(store, id)) if id else store.go_back()
        beside = bool(id and before and chosen and _apart(store, before.id, chosen.id))
        cannot = _cannot_serve(config, store, chosen) if chosen else ""
        turns = unfinished(store) is not None
        over = store.came_over()
    if chosen is None:
        raise UserError("There is no generation to go back to. See: instar generations list")
    was = before.id if before else None
    if chosen.id == was:
        told = f"{was} is active already."
        emit(as_json, {"active": was, "before": was, "quarantined": []}, told)
        return
    if cannot:  # going back must always be possible
        typer.echo(cannot, err=True)
    if turns:
        typer.echo(
            f"A turn is open that compares with what served when it began: it promotes nothing over {chosen.id}.",
            err=True,
        )
    if id and chosen.parent and (chosen.verdict or {}).get("decision") != "promote":
        typer.echo(f"The gate did not promote {chosen.id}: it serves because you say so.", err=True)
    if beside:
        typer.echo(
            f"What {was} changed is not in {chosen.id}, which was not made over it. "
            f"See: instar memory diff {was} {chosen.id}",
            err=True,
        )
    told = f"Active: {chosen.id} (before: {was})"
    if over:
        told += f"\n{sentence(over)}"
    value = {"active": chosen.id, "before": was, "quarantined": [c.item for c in over]}
    emit(as_json, value, told)
