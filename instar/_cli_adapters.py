"""``instar adapters``: what was trained, listed, shown, exported and kept."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar import _cli_prune, _cli_push
from instar._cli_common import (
    AsJson,
    Folder,
    Options,
    Seed,
    by_prefix,
    emit,
    facts,
    in_bytes,
    load,
    open_store,
    table,
)

if TYPE_CHECKING:
    from finetune.registry import Registry
    from instar.config import Config
    from instar.store import Store
    from instar.types import Adapter, Generation

__all__ = ["register"]

Name = Annotated[str, typer.Argument(metavar="ADAPTER", help="The beginning of it is enough.")]
_CURVES = ("losses",)
"""Metrics that are too long for a screen."""

adapters = typer.Typer(
    help="Adapters: list, show, export, pin, combine, push, prune.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    adapters.command("list")(list_adapters)
    adapters.command("show")(show_adapter)
    adapters.command("export")(export_adapter)
    adapters.command("pin")(pin_adapter)
    _cli_push.register(adapters)
    _cli_prune.register(adapters)
    app.add_typer(adapters, name="adapters")


def _registry(config: Config, store: Store) -> Registry:
    from finetune.registry import Registry

    return Registry(config.workspace / "adapters", store)


def _name(store: Store, text: str) -> str:
    return by_prefix(text, [a.name for a in store.adapters()])


# List and show


def list_adapters(as_json: AsJson = False, workspace: Folder = None, seed: Seed = None) -> None:
    """All adapters, oldest first: who serves them, what they came from, what they weigh."""
    config = load(workspace, seed, None)
    with open_store(config) as store:
        found = _described(config, store)
    rows = [
        [a["name"], a["state"], a["parent"] or "", a["trainer"], in_bytes(a["bytes"]), _users(a)]
        for a in found
    ]
    head = ["adapter", "state", "parent", "trainer", "size", "generations"]
    told = table(head, rows, "No adapter was trained yet.")
    whole = sum(a["bytes"] for a in found)
    some = "1 adapter" if len(found) == 1 else f"{len(found)} adapters"
    told += f"\n{some}, {in_bytes(whole)}" if found else ""
    emit(as_json, {"adapters": found, "bytes": whole}, told)


def _described(config: Config, store: Store) -> list[dict[str, Any]]:
    from instar.pruning import folder_bytes

    generations = store.generations()
    return [
        {
            **adapter.model_dump(mode="json", exclude={"path"}),
            "state": _state(adapter, config.workspace / "adapters" / adapter.name),
            "trainer": adapter.recipe.get("trainer", ""),
            "bytes": folder_bytes(config.workspace / "adapters" / adapter.name),
            "generations": {g.id: g.status.value for g in generations if g.adapter == adapter.name},
        }
        for adapter in store.adapters()
    ]


def _state(adapter: Adapter, folder: Path) -> str:
    """What a look at the folder says."""
    from finetune.registry import broken

    if adapter.pruned is not None:
        return "pruned"
    why = broken(folder) if folder.exists() else "gone"
    return why or ("pinned" if adapter.pinned else "there")


def _users(adapter: dict[str, Any]) -> str:
    return ", ".join(f"{id} ({status})" for id, status in adapter["generations"].items())


def show_adapter(
    name: Name, as_json: AsJson = False, workspace: Folder = None, seed: Seed = None
) -> None:
    """One adapter: base, lineage, recipe, rows, what was measured, and who serves it."""
    from finetune.registry import broken

    config = load(workspace, seed, None)
    with open_store(config) as store:
        chosen = store.adapter(_name(store, name)).name
        [found] = [a for a in _described(config, store) if a["name"] == chosen]
        if found["pruned"] is None:
            found["state"] = broken(config.workspace / "adapters" / chosen) or found["state"]
        lineage = _lineage(store, chosen)
        verdicts = {g.id: g.verdict for g in store.generations() if g.adapter == chosen}
    found |= {"lineage": lineage, "verdicts": verdicts}
    emit(as_json, found, _facts(found))


def _lineage(store: Store, name: str) -> list[str]:
    """The adapter and those that it came after, itself first."""
    parents = {a.name: a.parent for a in store.adapters()}
    path: list[str] = []
    at: str | None = name
    while at is not None and at not in path:
        path.append(at)
        at = parents.get(at)
    return path


def _facts(found: dict[str, Any]) -> str:
    metrics = {k: v for k, v in found["metrics"].items() if k not in _CURVES}
    pruned = found["pruned"]
    lines = [
        facts(
            {
                "adapter": found["name"],
                "state": found["state"],
                "pruned": _day(pruned) if pruned else None,
                "made": _day(found["created"]),
                "size": in_bytes(found["bytes"]),
                "base": found["base"],
                "came after": ", ".join(found["lineage"][1:]),
                "dataset": found["dataset"],
                "generations": _users(found),
            }
        )
    ]
    for title, values in (("recipe", found["recipe"]), ("measured", metrics)):
        rows = [f"  {name} = {value}" for name, value in values.items()]
        lines += [f"{title}:", *rows] if rows else []
    for id, verdict in found["verdicts"].items():
        lines.append(f"{id}: {(verdict or {}).get('sentence', 'not measured at a gate')}")
    return "\n".join(lines)


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


# Export and pin


def export_adapter(
    name: Name,
    out: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Write an adapter as a PEFT folder with a model card, for use elsewhere."""
    from finetune.export import export

    config = load(workspace, seed, option)
    with open_store(config) as store:
        adapter = _registry(config, store).get(_name(store, name))
        serving = [g for g in store.generations() if g.adapter == adapter.name]
        files = export(adapter, out, _base(config, serving), serving)
    told = f"Adapter {adapter.name} lies in {out}: {', '.join(files)}"
    emit(as_json, {"adapter": adapter.name, "path": str(out), "files": files}, told)


def _base(config: Config, serving: list[Generation]) -> str:
    """Name of the base without a path of this machine."""
    named = serving[0].model if serving else config.model.name
    local = named.removeprefix("local/").partition("@")[0]
    return Path(local).name if local.startswith(("/", ".", "~")) else local


def pin_adapter(
    name: Name,
    off: Annotated[bool, typer.Option("--off", help="Let the policy decide again.")] = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Keep an adapter, whatever the policy of pruning says."""
    config = load(workspace, seed, None)
    with open_store(config) as store:
        adapter = _registry(config, store).get(_name(store, name))
        store.change_adapter(store.adapter(adapter.name).model_copy(update={"pinned": not off}))
    said = "no longer pinned" if off else "pinned: no pruning takes it"
    emit(as_json, {"adapter": adapter.name, "pinned": not off}, f"{adapter.name} is {said}.")
