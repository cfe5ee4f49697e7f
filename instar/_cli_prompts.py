"""``instar prompts``: the standing instructions of a generation, and how they came to differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from instar._cli_common import AsJson, Folder, Options, Seed, by_prefix, emit, load, open_store

if TYPE_CHECKING:
    from instar.store import Store
    from instar.types import Prompts

__all__ = ["register"]

prompts = typer.Typer(help="Prompts of generations.", no_args_is_help=True)

_Which = Annotated[str | None, typer.Argument(help="A generation; default: the active one.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(prompts, name="prompts")


@prompts.command("show")
def show(
    generation: _Which = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """The prompts as a generation serves them."""
    config = load(workspace, seed, option)
    with open_store(config) as store:
        id, found = _of(store, generation, config.agent.prompts)
    fields = {k: v for k, v in found.model_dump().items() if k not in ("name", "system") and v}
    rest = "\n".join(f"{name}: {text}" for name, text in fields.items())
    text = f"{id}: {found.name}\n\n{found.system}\n\n{rest}"
    emit(as_json, {"generation": id, **found.model_dump()}, text)


@prompts.command("diff")
def diff(
    before: Annotated[
        str | None, typer.Argument(help="A generation; default: the one without experience.")
    ] = None,
    after: _Which = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """What a generation is told otherwise than another."""
    import difflib

    config = load(workspace, seed, option)
    with open_store(config) as store:
        b = _of(store, after, config.agent.prompts)
        a = _of(store, before or store.generations()[0].id, config.agent.prompts)
    lines = list(
        difflib.unified_diff(_lines(a[1]), _lines(b[1]), _title(*a), _title(*b), lineterm="", n=2)
    )
    value = {"before": a[0], "after": b[0], "diff": lines}
    emit(as_json, value, "\n".join(lines) or f"{a[0]} and {b[0]} have the same prompts.")


def _title(id: str, prompts: Prompts) -> str:
    return f"{id} ({prompts.name})"


def _lines(prompts: Prompts) -> list[str]:
    return [*prompts.system.split("\n"), *prompts.after_memory.split("\n")]


def _of(store: Store, text: str | None, name: str) -> tuple[str, Prompts]:
    """Id of a generation, and its prompts: evolved, or the set of the settings.

    Raises:
        UserError: Nothing has evolved yet.
    """
    from agent.prompts import load_prompts
    from instar.errors import UserError

    if text is None:
        chosen = store.active()
        if chosen is None:
            raise UserError("There is no generation yet. Make one: instar evolve")
    else:
        chosen = store.generation(by_prefix(text, [g.id for g in store.generations()]))
    return chosen.id, chosen.texts or load_prompts(name)
