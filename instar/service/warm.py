"""What the first recall would else wait for, done before anybody asks."""

from __future__ import annotations

from instar.compose import Workspace

__all__ = ["warm"]


def warm(workspace: Workspace) -> None:
    """Load the prompts, the embedder, the index and what the active generation remembers.

    Raises:
        InstarError: One of them cannot be used.
    """
    from agent.prompts import load_prompts

    load_prompts(workspace.config.agent.prompts)
    active = workspace.store.active()
    workspace.bank.search("", 1, active.id if active else None)
