"""The sessions of a gateway, used where all work on the workspace is done."""

from __future__ import annotations

import asyncio
from functools import partial

from instar._serving import Serving
from instar.compose import Workspace
from instar.gateway._lane import Lane
from instar.service import shapes
from instar.service._recording import NONE
from instar.service.sessions import Sessions
from instar.types import Trajectory

__all__ = ["LanedSessions"]


class LanedSessions(Sessions):
    """Sessions that recall in a lane, for those who ask outside of it; all else is called in it."""

    def __init__(self, workspace: Workspace, lane: Lane) -> None:
        super().__init__(workspace)
        self._lane = lane

    async def recall(self, session: str, asked: shapes.Asked) -> shapes.Recalled:
        """The memories for a session's task, or for what it is stuck at; often none."""
        work = partial(super().recall, session, asked)
        return await asyncio.wrap_future(self._lane.put(work, urgent=True))

    def know(self, lived: Trajectory) -> bool:
        """Whether the generation of a session has any memory where it looks for some."""
        if lived.generation == NONE:
            return False
        serving = Serving.of(self._workspace.store.generation(lived.generation))
        if serving.memory is None:
            return False
        return self._workspace.bank.knows((lived.task.namespace,), serving.memory)
