"""How an episode recalls: from which generation, with what withheld, with what planted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from instar._planting import HasFalseAdvice, planted
from instar.contracts import Recall, World
from instar.types import Recalled, Recollection, Task, ToolSpec

if TYPE_CHECKING:
    from instar._serving import Serving
    from instar.config import Memory
    from memory.bank import Bank, Withholding

__all__ = ["recaller", "withheld"]


def withheld(memory: Memory, purpose: str) -> Withholding | None:
    """What is withheld at random: something in practice, in a session if asked for, else nothing.

    What is in quarantine is tried in practice alone.
    """
    from memory.bank import Withholding

    if purpose != "practise" and not (purpose == "live" and memory.withhold_live):
        return None
    return Withholding(
        bank=memory.withhold_bank,
        candidate=memory.withhold_candidate,
        active=memory.withhold_active,
        tries=purpose == "practise",
    )


def recaller(
    bank: Bank,
    serving: Serving,
    guard: frozenset[str],
    shares: Withholding | None,
    home: World,
) -> Recall:
    """What the agent recalls with.

    Args:
        serving: Whose memories are seen; it has some.
        guard: What is left out, for evaluation; options of `memory.bank.GUARDS`.
        shares: What is withheld.
        home: May know something false to plant.
    """
    as_of = serving.memory
    assert as_of is not None
    namespaces = [serving.namespace] if serving.namespace else None

    async def recall(
        task: Task,
        tools: Sequence[ToolSpec],
        seed: int,
        about: str = "",
        before: Sequence[Recalled] = (),
    ) -> Recollection:
        return await bank.recall(
            task,
            tools,
            as_of=as_of,
            seed=seed,
            namespaces=namespaces,
            guard=guard,
            withholding=shares,
            about=about,
            before=before,
            shed=serving.shed,
        )

    if serving.planted and isinstance(home, HasFalseAdvice):
        return planted(recall, home)
    return recall
