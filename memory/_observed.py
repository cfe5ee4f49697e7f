"""The data behind `memory.worth`: what practise episodes tell of the memories drawn for in them.

Only verified outcomes count, and an unknown one never does. Whether the whole bank was there is drawn
first; whether a unit of it was, given that the bank was. So the bank is judged over all episodes that
drew for it, and a unit over those in which the bank was there and the unit was eligible.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from instar.types import BankDraw, Recalled, ScoreSource, Status, Trajectory

__all__ = ["VERIFIED", "Case", "Draw", "Level", "Observation", "cases", "observations"]

_ANYWHERE = "*"
VERIFIED = frozenset({ScoreSource.ENVIRONMENT, ScoreSource.PROGRAM})


class Level(StrEnum):
    """What an effect is of: the bank, the bank in one group of tasks, a cluster, an item."""

    BANK = "bank"
    GROUP = "group"
    CLUSTER = "cluster"
    ITEM = "item"


@dataclass(frozen=True)
class Draw:
    """One draw of an episode: the items that it decided on, and how it fell."""

    unit: str
    items: tuple[str, ...]
    shown: bool
    propensity: float


@dataclass(frozen=True)
class Observation:
    """What one practise episode tells.

    Attributes:
        draws: One a unit that recall chose.
        bank: The draw for the whole bank, if one was made.
        success: None where it is not known, or nobody verified it.
        group: Of its task.
    """

    draws: tuple[Draw, ...]
    bank: BankDraw | None
    success: bool | None
    steps: int
    model: str
    group: str
    namespace: str
    generation: str

    @property
    def shown(self) -> frozenset[str]:
        """The units that the prompt held."""
        return frozenset(d.unit for d in self.draws if d.shown)


def observations(
    trajectories: Iterable[Trajectory], sources: Collection[ScoreSource] = VERIFIED
) -> list[Observation]:
    """What episodes tell in which something may have been withheld, in their order.

    Those are practise episodes, and sessions that were drawn for; others withhold nothing.

    Args:
        sources: Whose verdicts count as verified.
    """
    return [
        Observation(
            draws=_draws(t.memories),
            bank=t.bank,
            success=None if _unknown(t, sources) else t.score.status is Status.PASS,
            steps=len(t.steps),
            model=t.model,
            group=t.task.group,
            namespace=t.task.namespace,
            generation=t.generation,
        )
        for t in trajectories
        if t.purpose == "practise" or (t.purpose == "live" and t.bank is not None)
    ]


def _unknown(trajectory: Trajectory, sources: Collection[ScoreSource]) -> bool:
    score = trajectory.score
    return score.status is Status.UNKNOWN or score.source not in sources


def _draws(memories: Sequence[Recalled]) -> tuple[Draw, ...]:
    units: dict[str, list[Recalled]] = defaultdict(list)
    for memory in memories:
        units[memory.unit or memory.item].append(memory)
    return tuple(
        Draw(unit, tuple(m.item for m in of), of[0].shown, of[0].propensity)
        for unit, of in units.items()
        # Of a unit that was torn apart nobody can say whether it was shown.
        if len({(m.shown, m.propensity) for m in of}) == 1
    )


class Case(NamedTuple):
    """An episode in which something was drawn for, whether it was shown, and how likely that was."""

    observation: Observation
    shown: bool
    propensity: float


def cases(
    observed: Iterable[Observation], level: Level, without: Collection[str] = ()
) -> dict[tuple[str, str], list[Case]]:
    """The episodes that tell what each thing is worth, by namespace and name.

    A cluster or an item is one thing wherever it was recalled, such as in the sessions of many
    subjects; its namespace is then the one in which it was most often.

    Args:
        without: Units that are gone. An episode that showed one of them says nothing of a bank that
            lacks it, and is left out; whether it showed one was drawn apart from all other draws, so
            leaving it out favours nobody.
    """
    gone = frozenset(without)
    found: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for observation in observed:
        if observation.success is None or gone & observation.shown:
            continue
        for key, shown, propensity in _drawn(observation, level):
            if 0 < propensity < 1:
                found[key].append(Case(observation, shown, propensity))
    return {(_home(of) if key[0] == _ANYWHERE else key[0], key[1]): of for key, of in found.items()}


def _home(of: Sequence[Case]) -> str:
    return Counter(c.observation.namespace for c in of).most_common(1)[0][0]


def _drawn(observation: Observation, level: Level) -> list[tuple[tuple[str, str], bool, float]]:
    bank, draws, namespace = observation.bank, observation.draws, observation.namespace
    if level in (Level.BANK, Level.GROUP):
        key = ("", "") if level is Level.BANK else (namespace, observation.group)
        return [] if bank is None else [(key, bank.shown, bank.propensity)]
    if bank is not None and not bank.shown:
        return []
    if level is Level.CLUSTER:
        return [((_ANYWHERE, d.unit), d.shown, d.propensity) for d in draws]
    return [((_ANYWHERE, i), d.shown, d.propensity) for d in draws for i in d.items]
