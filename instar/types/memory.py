"""What is remembered, how it changes, and what was recalled."""

from __future__ import annotations

from enum import StrEnum

from instar.types.record import Record

__all__ = [
    "BankDraw",
    "MemoryItem",
    "MemoryKind",
    "MemoryOp",
    "MemoryStatus",
    "OpKind",
    "Origin",
    "Recalled",
    "Recollection",
]


class Origin(StrEnum):
    """Class of the text that an item was made from; decides how far it is trusted."""

    ENVIRONMENT = "environment"
    TOOL = "tool"
    WEB_PAGE = "web_page"
    USER = "user"
    SELF = "self"


class MemoryKind(StrEnum):
    """What a memory is."""

    LESSON = "lesson"
    WORKFLOW = "workflow"
    FACT = "fact"
    TOOL_NOTE = "tool_note"
    PRINCIPLE = "principle"


class MemoryStatus(StrEnum):
    """Where an item stands in its life.

    A candidate is served while its worth is still being measured. A quarantined item is kept out of
    serving and evaluation; only practise episodes may show it, so that it can prove itself.
    """

    CANDIDATE = "candidate"
    ACTIVE = "active"
    QUARANTINED = "quarantined"
    RETIRED = "retired"
    INTERNALISED = "internalised"


class MemoryItem(Record):
    """One memory in one version.

    Attributes:
        id: Stable over versions.
        version: Counts from 1.
        when: When to use it; this is what recall compares with the instruction.
        polarity: +1 for what worked, -1 for what went wrong.
        tools: Names of the tools it speaks of; recall skips it where they are not at hand.
        sources: Ids of the trajectories it was distilled from.
        generation: Generation that made this version.
        support: Number of verified successes behind it.
        pinned: Never forgotten and never withheld: a person wants it kept.
        cluster: Id of the first of the items that say the same as it; empty where it is that one. A
            name of its own where an edit has made another rule of it.
    """

    id: str
    version: int = 1
    title: str
    when: str
    content: str
    kind: MemoryKind
    polarity: int = 1
    group: str = ""
    namespace: str
    origin: Origin = Origin.ENVIRONMENT
    tools: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    status: MemoryStatus = MemoryStatus.ACTIVE
    generation: str = ""
    support: int = 0
    pinned: bool = False
    cluster: str = ""

    @property
    def unit(self) -> str:
        """What is withheld, judged and counted as one: all items that say the same."""
        return self.cluster or self.id

    @property
    def standing(self) -> bool:
        """Whether it is shown whatever the task, instead of being compared with the instruction."""
        return self.kind in (MemoryKind.PRINCIPLE, MemoryKind.TOOL_NOTE)

    @property
    def in_use(self) -> bool:
        """Whether it has not ended; in quarantine it is used by practice alone."""
        return self.status not in (MemoryStatus.RETIRED, MemoryStatus.INTERNALISED)


class OpKind(StrEnum):
    """Kinds of change to the bank."""

    ADD = "add"
    EDIT = "edit"
    MERGE = "merge"
    SUPERSEDE = "supersede"
    RETIRE = "retire"


class MemoryOp(Record):
    """One change to the bank, by id.

    Attributes:
        target: Id of the item that is changed; None for ``add``.
        item: The new item or version; None for ``retire``.
        reason: For people.
    """

    kind: OpKind
    target: str | None = None
    item: MemoryItem | None = None
    reason: str = ""


class Recalled(Record):
    """A memory that recall chose for an episode, shown or withheld.

    Attributes:
        label: What the prompt calls it: ``m1``, ``m2``...
        item: Id of the memory item.
        version: Version of the item.
        shown: False where it was withheld at random.
        propensity: Probability with which it was shown, in (0, 1].
        relevance: Score of the recall, higher is nearer.
        unit: What was drawn for as one: the cluster of the item; empty: the item alone.
        since: Turn of the episode from which it could be seen; later than 0 after a second recall.
    """

    label: str
    item: str
    version: int
    title: str
    when: str
    content: str
    kind: MemoryKind
    shown: bool = True
    propensity: float = 1.0
    relevance: float = 0.0
    unit: str = ""
    since: int = 0


class BankDraw(Record):
    """Whether an episode could see the bank at all, drawn before anything was recalled.

    Attributes:
        shown: False where the whole bank was withheld.
        propensity: Probability with which it was shown, in (0, 1].
    """

    shown: bool
    propensity: float


class Recollection(Record):
    """What recall chose for an episode.

    Attributes:
        memories: In the order in which they are shown; often none.
        bank: The draw for the whole bank; None where none was made.
    """

    memories: tuple[Recalled, ...] = ()
    bank: BankDraw | None = None
