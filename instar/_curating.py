"""What is curated in a workspace: now, out of all practise so far, or in the loop, the last time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instar import plugins
from instar._methods import build
from instar.auditing import trusted
from instar.errors import UnknownName, UserError
from instar.recorded import judged

if TYPE_CHECKING:
    from finetune.curate.base import RowSet
    from instar.compose import Workspace
    from instar.store import Store

__all__ = ["asked_model", "curated", "find", "latest", "origin"]

_FOLDER = "datasets"


def curated(workspace: Workspace, name: str, turn: int | None = None) -> Any:
    """What a curator makes of all practise so far, elsewhere too, and of judged sessions.

    Args:
        workspace: Where it was practised.
        name: The curator.
        turn: The turn of the loop whose practise is new, if there is one.
    """
    config, home = workspace.config, workspace.home.namespace
    settings = asked_model(workspace, name, turn)
    curator = build("finetune.curate", name, config, home=home, **settings)
    purposes = ("practise", "foreign")
    lived = [t for p in purposes for t in workspace.store.trajectories(purpose=p)]
    return curator.curate([*lived, *judged(workspace.store, trusted(workspace.store, config))])


def asked_model(workspace: Workspace, name: str, turn: int | None = None) -> dict[str, Any]:
    """Settings of a curator that asks the model in use; none for any other."""
    if not getattr(plugins.load("finetune.curate", name), "asks_model", False):
        return {}
    lived = [
        t
        for i in (1, 2)
        for t in workspace.store.trajectories(stage=f"g{turn}/practise_{i}")
        if t.purpose == "practise"
    ]
    return {
        "base": workspace.models.folder,
        "adapter": _adapter(workspace),
        "device": workspace.config.model.device,
        "since": min((t.started for t in lived), default=None),
    }


def _adapter(workspace: Workspace) -> Path | None:
    """The adapter that serves, where it is one of the model in use."""
    from finetune.registry import base_hash

    active, folder = workspace.store.active(), workspace.models.folder
    if active is None or active.adapter is None or folder is None:
        return None
    if workspace.store.adapter(active.adapter).base != base_hash(folder):
        return None
    return Path(workspace.registry.get(active.adapter).path)


def latest(store: Store) -> str:
    """Hash of the dataset that the loop curated last.

    Raises:
        UserError: It has curated nothing yet.
    """
    made = [v["dataset"] for k, v in store.stages("g").items() if k.endswith("/curate")]
    if not made:
        raise UserError(
            "Nothing is curated yet. Begin with: instar evolve, or curate what was practised: "
            "instar data export --curator rft --out DIR"
        )
    return str(made[-1])


def find(workspace: Path, hash: str) -> RowSet:
    """A dataset of the workspace by its hash, of which the beginning is enough.

    Raises:
        UnknownName: There is none.
        UserError: There are several that begin so, or its folder cannot be used.
    """
    from finetune.curate.base import RowSet

    known = sorted(path.name for path in (workspace / _FOLDER).glob("*") if path.is_dir())
    found = [name for name in known if name.startswith(hash)]
    if not found:
        remedy = "Curate anew: instar data export --curator rft --out DIR"
        raise UnknownName("dataset", hash, known, remedy)
    if len(found) > 1 and hash not in found:
        raise UserError(f"{hash!r} could be {', '.join(found[:8])}: type more of it.")
    return RowSet.load(workspace / _FOLDER / (hash if hash in found else found[0]))


def origin(store: Store, rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """What stands behind rows: models, providers, who judged, worlds and generations."""
    from finetune.curate.base import behind

    lived = store.trajectories(ids=behind(rows))
    found = {
        "models": {t.model for t in lived},
        "providers": {t.provider for t in lived},
        "judged by": {t.score.source.value for t in lived},
        "namespaces": {t.task.namespace for t in lived},
        "generations": {t.generation for t in lived},
    }
    return {name: sorted(values) for name, values in found.items()}
