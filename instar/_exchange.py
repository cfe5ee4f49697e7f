"""Memories from files into a candidate generation, and from a generation into files.

What an import changes are deltas by id, written in one transaction into a candidate under the active
generation: what a generation shows never changes. The candidate serves once it is promoted; the loop
does not look at it before.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from instar import plugins
from instar._lock import exclusive
from instar._loop import Loop, State
from instar._methods import build
from instar._stages import start
from instar.compose import Workspace
from instar.errors import UserError
from instar.progress import Progress
from instar.types import Generation, MemoryItem, MemoryOp, content_hash

if TYPE_CHECKING:
    from memory.exchange.base import Format, Loaded

__all__ = ["KIND", "first_generation", "over_caps", "read", "write_candidate", "write_files"]

KIND = "memory.exchange"
_AUTHOR = "import"
_CAPS = "capacity"
"""The forgetter that knows how much a namespace may hold."""


def write_files(files: Mapping[str, str], out: Path, folder: bool) -> None:
    """Write beside the place and rename, so that an export is there whole or not at all.

    Args:
        files: Texts by name; exactly one where it is no folder.
        out: Where; must not exist.
        folder: Whether ``out`` is made a folder.

    Raises:
        UserError: It cannot be written.
    """
    beside = out.with_name(out.name + ".part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if folder:
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
        for name, text in files.items():
            file = beside / name if folder else beside
            file.write_text(text, encoding="utf-8", newline="\n")
        beside.rename(out)
    except OSError as error:
        raise UserError(
            f"{out} cannot be written: {error.strerror}. Choose another: --out PATH"
        ) from error


def read(
    workspace: Workspace, path: Path, form: str | None, namespace: str | None
) -> tuple[str, Loaded]:
    """The format of a file or folder, and the memories in it.

    Args:
        workspace: Where they are to go.
        path: What to read.
        form: Id of the format; None: the one that it looks like.
        namespace: Of memories that name none; None: the one of the workspace.

    Raises:
        UserError: There is nothing in it that can be used.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist. Make one: instar memory export --out PATH")
    name = form or _guess(path)
    space = namespace or _namespace(workspace)
    chosen: Format = build(KIND, name, workspace.config, namespace=space)
    loaded = chosen.load(path)
    if not loaded.entries and not loaded.problems:
        kind = "folder without a memory file" if path.is_dir() else "file without a memory"
        raise UserError(f"{path} is a {kind} (as {name}). Name another, or say: --format FORMAT")
    if loaded.problems and not loaded.entries:
        first, *more = loaded.problems
        tail = f" ({len(more)} more)" if more else ""
        raise UserError(f"No memory in {path} as {name}: {first.place}: {first.reason}{tail}")
    return name, loaded


def _guess(path: Path) -> str:
    names = plugins.methods(KIND)
    fitting = [name for name in names if plugins.load(KIND, name)().recognises(path)]
    if len(fitting) != 1:
        raise UserError(
            f"{path} looks like no format. Say which: --format {'|'.join(names)}; "
            "memory/exchange/README.md shows each"
        )
    return fitting[0]


def _namespace(workspace: Workspace) -> str:
    """Where the workspace learns; empty where its world cannot say, as without a file of tasks."""
    kept = workspace.store.stage("workspace")
    if kept is not None:
        return str(kept["namespace"])
    try:
        return workspace.home.namespace
    except UserError:
        return ""


def over_caps(workspace: Workspace, items: Sequence[MemoryItem]) -> tuple[int, str]:
    """How many memories a generation has too many, and what becomes of them, for people.

    Args:
        workspace: Whose settings say how much a namespace may hold.
        items: All that it will see.
    """
    if _CAPS not in workspace.config.memory.forget:
        return 0, ""
    caps = build("memory.forget", _CAPS, workspace.config)
    over = len(caps.sweep([i for i in items if i.in_use], 0.0))
    told = (
        f"{over} over the cap of a namespace ({caps.config.items} memories, about "
        f"{caps.config.tokens} tokens): all serve until the next reflection ends the least valued."
    )
    return over, told if over else ""


async def write_candidate(
    workspace: Workspace, before: Generation | None, ops: Sequence[MemoryOp]
) -> Generation:
    """Write changes into a candidate under the active generation, once.

    Args:
        workspace: Locked by the caller.
        before: The generation that the changes were made for; None: nothing has served yet.
        ops: At least one.

    Returns:
        The candidate; the same for the same changes.

    Raises:
        UserError: Another generation is active by now.
        WorkspaceError: The memories there were embedded by another embedder.
    """
    store = workspace.store
    workspace.bank.check_embedder()  # before a generation is made for it
    if store.active() != before:
        raise UserError("Another generation became active meanwhile: type the command again")
    if before is None:
        before = await _begin(workspace)
    made = _candidate(before, ops)
    store.add_generation(made)
    # Its id is a hash of the changes: the same import again, or one that was killed here, finds it.
    if store.items(made.id) == store.items(before.id):
        try:
            workspace.bank.write(ops, made.id, _AUTHOR)
        except BaseException:
            store.withdraw(made.id)  # as where the embedder does not answer
            raise
    return store.generation(made.id)


async def first_generation(workspace: Workspace) -> Generation:
    """The generation that has learnt nothing, which serves from now on.

    Raises:
        Busy: Another process is at work in the workspace.
    """
    with exclusive(workspace.path):
        return await _begin(workspace)


async def _begin(workspace: Workspace) -> Generation:
    began = await start(Loop(workspace, Progress()), "start", State())
    return workspace.store.generation(began.state["active"])


def _candidate(active: Generation, ops: Sequence[MemoryOp]) -> Generation:
    key = content_hash([active.id, [op.model_dump(mode="json") for op in ops]], 6)
    return active.child(f"import-{key}", memory=True)
