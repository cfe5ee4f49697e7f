"""``instar memory``: list, search, show; export, import and reembed stand in files of their own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar import _cli_exchange, _cli_history, _cli_reembed, _cli_status, _cli_worth
from instar._cli_common import AsJson, Folder, Seed, by_prefix, emit, facts, load, open_store, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from instar.config import Config
    from instar.store import Store
    from instar.types import MemoryItem

__all__ = ["register"]

memory = typer.Typer(help="What is remembered.", no_args_is_help=True)


class _Order(StrEnum):
    WRITTEN = "written"
    UPLIFT = "uplift"


_Generation = Annotated[
    str | None,
    typer.Option("--generation", help="As this generation sees it; default: the active."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    _cli_exchange.register(memory)
    _cli_reembed.register(memory)
    _cli_history.register(memory)
    _cli_worth.register(memory)
    _cli_status.register(memory)
    app.add_typer(memory, name="memory")


def _as_of(store: Store, generation: str | None) -> str | None:
    if generation is not None:
        return store.generation(by_prefix(generation, [g.id for g in store.generations()])).id
    active = store.active()
    return active.id if active else None


def _lines(items: Sequence[MemoryItem]) -> str:
    rows = [[i.id, i.kind.value, _state(i), i.namespace, f"{i.when} -> {i.content}"] for i in items]
    return table(["item", "kind", "state", "namespace", "memory"], rows)


def _state(item: MemoryItem) -> str:
    return f"{item.status.value}{', pinned' * item.pinned}"


@memory.command("list")
def list_items(
    generation: _Generation = None,
    by: Annotated[
        _Order, typer.Option(help="Order of writing, or of what practice shows them to be worth.")
    ] = _Order.WRITTEN,
    plot: Annotated[
        Path | None, typer.Option(help="With --by uplift: draw it into this file.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="With --by uplift: to which model; default: as set.")
    ] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """All memories that a generation sees."""
    from instar._seen import nothing
    from instar.errors import UserError

    if by is _Order.WRITTEN and (plot or model):
        raise UserError("--plot and --model go with --by uplift.")
    config = load(workspace, seed, None)
    with open_store(config) as store:
        as_of = _as_of(store, generation)
        items = store.items(as_of)
        value: dict[str, Any] = {"items": [i.model_dump(mode="json") for i in items]}
        none = "" if items else nothing(store, as_of)
        text = none or _lines(items)
        if by is _Order.UPLIFT:
            name = model or config.model.name
            value, text = _cli_worth.by_uplift(store, items, name, plot, none)
    emit(as_json, value, text)


@memory.command("show")
def show(item: str, as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """One memory in all its versions; the beginning of an id is enough."""
    from instar.errors import UnknownName, UserError

    if not item:
        raise UserError("Say which memory. See: instar memory list")
    with open_store(load(workspace, seed, None)) as store:
        ids = list(dict.fromkeys(i.id for i in store.items(None)))
        versions = store.item_versions(by_prefix(item, ids))
        active = store.active()
        now = {(i.id, i.version) for i in store.items(active.id)} if active else set()
    if not versions:
        raise UnknownName("memory", item, ids[:20], "See: instar memory list")
    value = {"versions": [i.model_dump(mode="json") for i in versions]}
    emit(as_json, value, "\n\n".join(_version(i, (i.id, i.version) in now) for i in versions))


def _version(item: MemoryItem, serves: bool) -> str:
    return facts(
        {
            "item": f"{item.id}, version {item.version}{', which serves now' * serves}",
            "title": item.title,
            "when": item.when,
            "content": item.content,
            "kind": f"{item.kind.value}, {'what worked' if item.polarity > 0 else 'what went wrong'}",
            "status": _state(item),
            "namespace": item.namespace,
            "made by": item.generation,
            "learnt from": f"{len(item.sources)} episodes: {', '.join(item.sources)}",
            "successes behind it": item.support,
        }
    )


@memory.command("search")
def search(
    text: str,
    k: Annotated[int, typer.Option("-k", min=1, help="How many at most.")] = 10,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only of this kind, such as workflow; may be said again."),
    ] = None,
    generation: _Generation = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """The memories whose occasion, title and all, is nearest to a text."""
    from instar._cli_common import wait_for
    from instar.errors import UserError

    if not text.strip():
        raise UserError('Say what to look for: instar memory search "refund order"')

    found, none = wait_for(_search(load(workspace, seed, None), text, k, kind or [], generation))
    rows = [
        [f"{f['cosine']:.2f}", f["id"], f["namespace"], f"{f['when']} -> {f['content']}"]
        for f in found
        if f["cosine"] > 0
    ]
    told = table(["cosine", "item", "namespace", "memory"], rows, none)
    emit(as_json, {"items": found}, told)


async def _search(
    config: Config, text: str, k: int, kinds: Sequence[str], generation: str | None
) -> tuple[list[dict[str, Any]], str]:
    """What is near, and what is said where nothing is."""
    from instar._seen import nothing
    from instar.compose import Workspace
    from instar.errors import UnknownName
    from instar.types import MemoryKind

    for kind in kinds:
        if kind not in list(MemoryKind):
            raise UnknownName("kind of memory", kind, [k.value for k in MemoryKind])
    wanted = [MemoryKind(kind) for kind in kinds]
    async with Workspace.open(config, create=False) as workspace:
        as_of = _as_of(workspace.store, generation)
        hits = workspace.bank.search(text, k, as_of, wanted)
        found = [item.model_dump(mode="json") | {"cosine": round(c, 4)} for item, c in hits]
        return found, "Nothing is near." if found else nothing(workspace.store, as_of)
