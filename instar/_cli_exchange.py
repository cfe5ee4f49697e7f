"""``instar memory export`` and ``import``: memories to files of several formats, and back.

An import first shows how the file differs from what the active generation remembers, and changes
nothing until that is agreed to.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from instar._cli_common import AsJson, Folder, Seed, by_prefix, emit, load, open_store, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from instar._memory_log import Change
    from instar.config import Config
    from instar.types import Generation, MemoryItem
    from memory.exchange.base import Difference, Format, Loaded

__all__ = ["register"]

_SHOWN_CHARACTERS = 100
_SHOWN_LINES = 20


def register(memory: typer.Typer) -> None:
    """Add the commands to ``instar memory``."""
    memory.command("export")(export_memories)
    memory.command("import")(import_memories)


def export_memories(
    out: Annotated[Path, typer.Option("--out", help="File or folder to write; must not exist.")],
    form: Annotated[str, typer.Option("--format", help="See: instar list")] = "jsonl",
    generation: Annotated[
        str | None,
        typer.Option("--generation", help="As this generation sees it; default: the active."),
    ] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Write all memories that a generation sees to a file or folder."""
    from instar._exchange import KIND, write_files
    from instar._methods import build
    from instar.errors import UserError

    config = load(workspace, seed, None)
    if out.exists():
        raise UserError(f"{out} is there already. Remove it, or choose another: --out PATH")
    chosen: Format = build(KIND, form, config)
    with open_store(config) as store:
        active = store.active()
        if active is None:
            raise UserError("Nothing is remembered yet. Begin with: instar evolve")
        ids = [g.id for g in store.generations()]
        as_of = by_prefix(generation, ids) if generation else active.id
        items = store.items(as_of)
    write_files(chosen.dump(items), out, chosen.folder)
    found = {"format": form, "generation": as_of, "memories": len(items), "out": str(out)}
    emit(as_json, found, f"Memories of {as_of}: {len(items)}, written to {out} as {form}.")


class _Wish(NamedTuple):
    """What the person asked for."""

    path: Path
    form: str | None
    namespace: str | None
    yes: bool
    promote: bool
    retire_missing: bool
    as_json: bool


def import_memories(
    path: Annotated[Path, typer.Argument(help="A file, or a folder of Markdown files.")],
    form: Annotated[str | None, typer.Option("--format", help="Default: as it looks.")] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Of memories that name none; default: the world's.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Make the changes without asking.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Let them serve at once.")] = False,
    retire_missing: Annotated[
        bool, typer.Option("--retire-missing", help="End memories that are not in the file.")
    ] = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Show how a file differs from what is remembered, and take its memories in."""
    wish = _Wish(path, form, namespace, yes, promote, retire_missing, as_json)
    found = wait_for(_import(load(workspace, seed, None), wish))
    emit(as_json, found, found["told"])


async def _import(config: Config, wish: _Wish) -> dict[str, Any]:
    from instar import _exchange
    from instar._lock import exclusive
    from instar.compose import Workspace
    from memory.exchange.base import compare

    async with Workspace.open(config, create=False) as workspace:
        form, loaded = _exchange.read(workspace, wish.path, wish.form, wish.namespace)
        if wish.retire_missing:
            _must_be_whole(loaded)
        active = workspace.store.active()
        bank = workspace.store.items(active.id) if active else []
        difference = compare(bank, loaded.entries)
        loaded = loaded._replace(problems=(*loaded.problems, *difference.problems))
        _show(difference, loaded, wish)
        result = _after(bank, difference, wish.retire_missing)
        over, warning = _exchange.over_caps(workspace, result)
        if warning:
            typer.echo(warning, err=wish.as_json)
        ops = difference.ops(f"import of {wish.path.name}", wish.retire_missing)
        found = _facts(form, difference, loaded, wish) | {"over_cap": over}
        if not ops:
            return found | {"told": "Nothing to change."}
        if not _agreed(wish):
            return found | {"told": "Nothing was changed. To make these changes, add --yes"}
        with exclusive(workspace.path):
            made = await _exchange.write_candidate(workspace, active, ops)
            if wish.promote:
                made = workspace.store.activate(made.id)
            held = workspace.store.came_over() if wish.promote else []
    return found | _made(made, len(ops), wish.promote, held)


def _after(
    bank: list[MemoryItem], difference: Difference, retire_missing: bool
) -> list[MemoryItem]:
    """What the candidate will see."""
    gone = {i.id for i in difference.missing} if retire_missing else set()
    return list(({i.id: i for i in bank if i.id not in gone} | difference.named()).values())


def _must_be_whole(loaded: Loaded) -> None:
    from instar.errors import UserError

    for place, reason in loaded.problems[:1]:
        raise UserError(
            f"What is missing is not known while something cannot be read: {place}: {reason}. "
            "Mend it, or leave out --retire-missing"
        )


def _made(
    generation: Generation, changes: int, promoted: bool, held: Sequence[Change]
) -> dict[str, Any]:
    from instar._holding import sentence

    id = generation.id
    number = f"{changes} change{'s' * (changes != 1)}"
    told = f"{number} in candidate {id}. Let it serve: instar generations promote {id}"
    if promoted:
        told = f"{number} made. Active: {id} (before: {generation.parent})"
    if held:
        told += f"\n{sentence(held)}"
    return {"written": changes, "generation": id, "promoted": promoted, "told": told}


def _agreed(wish: _Wish) -> bool:
    if wish.yes:
        return True
    return not wish.as_json and sys.stdin.isatty() and typer.confirm("Make these changes?")


# What is shown


def _facts(form: str, difference: Difference, loaded: Loaded, wish: _Wish) -> dict[str, Any]:
    gone = [i.id for i in difference.missing]
    return {
        "format": form,
        "added": [i.id for i in difference.added],
        "changed": {
            c.before.id: {f: [_json(c.before, f), _json(c.after, f)] for f in c.fields}
            for c in difference.changed
        },
        "missing": gone,
        "retired": gone if wish.retire_missing else [],
        "same": difference.same,
        "problems": [p._asdict() for p in loaded.problems],
        "written": 0,
        "generation": None,
        "promoted": False,
    }


def _json(item: MemoryItem, field: str) -> Any:
    return item.model_dump(mode="json")[field]


def _show(difference: Difference, loaded: Loaded, wish: _Wish) -> None:
    """The difference in lines, what was refused last; with --json on stderr."""
    fate = "retired" if wish.retire_missing else "kept"
    added = [f"+ {i.id}  {_short(i)}  (in {i.namespace}{_claimed(i)})" for i in difference.added]
    changed = [
        f"~ {c.before.id}  {f}: {_cut(repr(_json(c.before, f)))} -> {_cut(repr(_json(c.after, f)))}"
        for c in difference.changed
        for f in c.fields
    ]
    missing = [f"- {i.id}  {_short(i)}  (missing, {fate})" for i in difference.missing]
    refused = [f"! {p.place}  {p.reason}" for p in loaded.problems]
    for lines in (added, changed, missing, refused):
        for line in _first_of(lines):
            typer.echo(line, err=wish.as_json or line.startswith("!"))
    counts = (
        f"{len(difference.added)} added, {len(difference.changed)} changed, "
        f"{len(difference.missing)} missing ({fate}), {difference.same} the same, "
        f"{len(refused)} refused."
    )
    typer.echo(counts, err=wish.as_json)


def _first_of(lines: list[str]) -> Iterable[str]:
    more = len(lines) - _SHOWN_LINES
    return lines if more <= 0 else [*lines[:_SHOWN_LINES], f"{lines[0][0]} and {more} more"]


def _claimed(item: MemoryItem) -> str:
    """What a file says of the standing of a new memory, which nobody here has seen proved."""
    support = f", support {item.support}" if item.support else ""
    return f"{support}{', pinned' if item.pinned else ''}"


def _short(item: MemoryItem) -> str:
    return _cut(" ".join(f"{item.when} -> {item.content}".split()))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
