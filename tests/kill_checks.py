"""What must hold of a workspace the moment after its process was killed, and where else it may be killed."""

from __future__ import annotations

import random
from pathlib import Path

from instar import _workspace_checks as checks
from instar._findings import State
from instar.compose import Serving, Workspace
from instar.config import Config
from instar.store import Store
from instar.types import Split, Status

LEFT = ("half-written: training ended", "whole, but not recorded: training ended just before")
"""What a kill may leave in the folder of adapters; it is told with its remedy and never served."""


def broken(workspace: Path) -> list[str]:
    """What the doctor finds wrong with a workspace."""
    found = checks.examine(workspace)
    assert all(f.remedy for f in found if f.state is State.BROKEN and f.name == "adapter")
    return [f.detail for f in found if f.state is State.BROKEN]


async def check_killed(config: Config) -> None:
    """The doctor is content, only whole adapters are served, and the active generation answers."""
    path = config.workspace
    if not (path / "instar.db").exists():
        return
    wrong = [w for w in broken(path) if not w.endswith(LEFT)]
    assert not wrong, wrong
    async with Workspace.open(config, create=False) as workspace:
        store = workspace.store
        assert store.check() is None
        recorded = {a.name for a in store.adapters()}
        assert {g.adapter for g in store.generations()} - {None} <= recorded
        for name in recorded:
            assert Path(workspace.registry.get(name).path).is_dir()
        active = store.active()
        serving = Serving(generation="none") if active is None else Serving.of(active)
        (task,) = workspace.home.tasks(Split.HELD_OUT, 1, 5)
        solve = workspace.solver(serving, workspace.home, "live")
        assert (await solve(task, 5)).score.status is not Status.UNKNOWN


def _stages(workspace: Path) -> dict:
    if not (workspace / "instar.db").exists():
        return {}
    with Store.open(workspace, create=False) as store:
        return store.stages("")


def over(workspace: Path) -> bool:
    """Whether the run is finished, so that the same command would begin another turn."""
    return bool(_stages(workspace).get("run1", {}).get("finished"))


def ahead(workspace: Path, draw: random.Random, steps: int, promotes: bool) -> str:
    """A fail-point inside a write or a training step that this run is still sure to come to.

    Args:
        workspace: That of the run.
        draw: Where to choose by chance.
        steps: Of its training.
        promotes: Whether it lets another generation serve in the end.
    """
    done = _stages(workspace)

    def missing(stage: str) -> bool:
        return f"g1/{stage}" not in done

    points = ["store.stage.report"]
    if missing("promote"):
        points = ["store.stage.promote", *["store.activate"] * (promotes or missing("start"))]
    if missing("moult"):
        points.append(f"store.trajectory:{draw.randint(1, 30)}")
    if missing("train"):
        inside = ["train.rename"]
        if steps:
            inside += [f"train.step:{draw.randint(1, steps)}", "train.checkpoint"] * 2
        points += inside
    if missing("reflect_1"):
        points += ["store.apply", "memory.index", "memory.words"]
    return draw.choice(points)
