"""Step credit: successes whose turns count by what the other attempts at the task show of them.

The advantage of a turn is that of AgentEvolver (ADCA): each turn is flagged good or bad, the flags are
standardised within the attempts at the task, every attempt with the same weight; the outcomes are
standardised apart and belong to the last turn; the advantage is the sum of both from the turn to the
end. Turns of successes with a positive advantage become rows, and the advantage, 1 on average, is
their weight. So a success at a task that mostly fails counts for more, and a way with needless turns
for less. A task whose attempts all ended alike gives nothing: there the flags alone would speak.

The flags need no model: a turn is good whose calls went well and came to what a call of the shortest
success came to, as often as there; a detour, a repetition and an error are bad. ``scorer`` names a
judge of one's own, which may ask a model.
"""

from __future__ import annotations

import importlib
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

from pydantic import Field

from finetune.curate._share import balanced, counted, per_task, quota, recalled
from finetune.curate._trust import Shares, Stateless, fit, foreign
from finetune.curate._turns import Rows, fresh, good, length, rows_of
from finetune.curate.base import Form, RowSet
from instar.errors import ConfigError
from instar.render import call_line
from instar.types import Status, Trajectory

__all__ = ["StepCredit"]

Scorer: TypeAlias = Callable[[Sequence[Trajectory]], Sequence[Sequence[bool]]]
"""From the attempts at a task to one flag for each of their turns."""
Weights: TypeAlias = dict[tuple[str, int], float]

_FAILED = "score fail: it is compared with, and not learnt"
_ALIKE = "all attempts at its task ended alike, which tells nothing of their turns"
_NO_CREDIT = "no turn with credit"


class StepCredit(Stateless):
    """Turns of successes, weighted by their advantage over the other attempts at the task."""

    form: ClassVar[Form] = "answers"
    method: ClassVar[str] = "step_credit"

    class Config(Shares):
        """What may be trained on, and how turns are weighed.

        Attributes:
            alpha: Weight of the flags beside the outcome.
            scorer: Dotted path of a function from the attempts at a task to flags, one for each turn
                of each attempt; empty flags by the shortest success.
            per_task: Successes kept of one task.
            followed: Whether turns at home that followed a memory are also kept as they were served.
        """

        alpha: float = Field(default=0.1, ge=0)
        scorer: str = ""
        per_task: int = Field(default=2, ge=1)
        followed: bool = True

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._scorer = _named(self.config.scorer) if self.config.scorer else along_success

    def curate(self, trajectories: Sequence[Trajectory]) -> RowSet:
        """Weighted rows from the trajectories, and the reason for each that gave none.

        Raises:
            ConfigError: The scorer does not give one flag for each turn.
        """
        dropped: dict[str, str] = {}
        config, seen = self.config, set[str]()
        able = fit(trajectories, config, self.method, dropped, (Status.PASS, Status.FAIL))
        dropped |= {t.id: _FAILED for t in able if t.score.status is Status.FAIL}
        won = [t for t in able if t.id not in dropped]
        home = [t for t in able if not foreign(t, config)]
        weights = self._weights(home, dropped)
        few = per_task([t for t in home if t.id not in dropped], config.per_task, dropped)
        kept = balanced(few, config.balance, dropped)
        plain, served = self._rows(kept, weights, seen, dropped)
        most = quota(len(plain), config.memory_share)
        away = [t for t in won if foreign(t, config)]
        told = [row | {"weight": 1.0} for row in recalled(away, most, config.seed, seen, dropped)]
        return RowSet.of(plain + served + told, dropped, counted(plain, served, told))

    def _weights(self, home: Sequence[Trajectory], dropped: dict[str, str]) -> Weights:
        """Advantage of each turn of each success; ``dropped`` takes successes that none can be told of."""
        tasks: dict[str, list[Trajectory]] = defaultdict(list)
        for trajectory in sorted(home, key=lambda t: t.id):
            tasks[trajectory.task.id].append(trajectory)
        found: Weights = {}
        for attempts in tasks.values():
            if len({t.score.status for t in attempts}) == 1:
                dropped.update((t.id, _ALIKE) for t in attempts if t.id not in dropped)
                continue
            flags = self._scorer(attempts)
            if [len(f) for f in flags] != [len(t.steps) for t in attempts]:
                raise ConfigError(
                    f"methods.step_credit.scorer {self.config.scorer!r} must give one flag for each "
                    "turn of each attempt."
                )
            outcomes = [t.score.status is Status.PASS for t in attempts]
            told = zip(attempts, advantages(flags, outcomes, self.config.alpha), strict=True)
            found |= {(t.id, k): value for t, own in told for k, value in enumerate(own)}
        return found

    def _rows(
        self,
        kept: Sequence[Trajectory],
        weights: Weights,
        seen: set[str],
        dropped: dict[str, str],
    ) -> tuple[Rows, Rows]:
        """Rows without memory and as served, of turns with credit, weighing 1 on average."""
        plain: Rows = []
        for trajectory in kept:
            own = _with_credit(trajectory, weights, memories=False)
            new = fresh(own, seen)
            if not new:
                dropped[trajectory.id] = "only duplicate rows" if own else _NO_CREDIT
            plain += new
        used = {row["trajectory"] for row in plain} if self.config.followed else set()
        told = [row for t in kept if t.id in used for row in _with_credit(t, weights, True)]
        served = fresh(told, seen)
        found = [weights[row["trajectory"], row["step"]] for row in plain]
        mean = statistics.fmean(found) if found else 1.0

        def weighed(rows: Rows) -> Rows:
            own = [weights[row["trajectory"], row["step"]] / mean for row in rows]
            return [r | {"weight": round(w, 4)} for r, w in zip(rows, own, strict=True)]

        return weighed(plain), weighed(served)


def _with_credit(trajectory: Trajectory, weights: Weights, memories: bool) -> Rows:
    rows = rows_of(trajectory, memories)
    return [row for row in rows if weights[row["trajectory"], row["step"]] > 0]


def advantages(
    flags: Sequence[Sequence[bool]], outcomes: Sequence[bool], alpha: float
) -> list[list[float]]:
    """Advantage of each turn of the attempts at a task (AgentEvolver, Zhai et al. 2025).

    Args:
        flags: Whether a turn was good, for each attempt.
        outcomes: Whether the attempt succeeded.
        alpha: Weight of the flags.
    """
    turns = _standardised([[float(flag) for flag in own] for own in flags])
    ends = [own[0] for own in _standardised([[float(outcome)] for outcome in outcomes])]
    found = []
    for own, end in zip(turns, ends, strict=True):
        sums: list[float] = []
        total = end
        for turn in reversed(own):
            total += alpha * turn
            sums.append(total)
        found.append(sums[::-1])
    return found


def _standardised(attempts: Sequence[Sequence[float]]) -> list[list[float]]:
    """Values less their mean over their deviation, in which every attempt weighs the same."""
    some = [own for own in attempts if own]
    mean = statistics.fmean(statistics.fmean(own) for own in some) if some else 0.0
    squares = [statistics.fmean((value - mean) ** 2 for value in own) for own in some]
    spread = statistics.fmean(squares) ** 0.5 if squares else 0.0
    return [[(value - mean) / spread if spread else 0.0 for value in own] for own in attempts]


def along_success(attempts: Sequence[Trajectory]) -> list[list[bool]]:
    """Flag a turn that went well and came to what the shortest success came to, as often as there."""
    model = min((t for t in attempts if t.score.status is Status.PASS), key=length)
    wanted = Counter(effect for own in _effects(model) for effect in own)
    flags = []
    for attempt in attempts:
        left, own = wanted.copy(), []
        for step, effects in zip(attempt.steps, _effects(attempt), strict=True):
            made = Counter(effects)
            own.append(good(step) and made <= left)
            left -= made if own[-1] else Counter()
        flags.append(own)
    return flags


def _effects(trajectory: Trajectory) -> list[list[tuple[str, str, str]]]:
    """For each turn its calls with what came back; what was seen then, where arguments are volatile."""
    specs = {spec.name: spec for spec in trajectory.tools}
    following = [step.observation for step in trajectory.steps[1:]] + [""]
    found = []
    for step, then in zip(trajectory.steps, following, strict=True):
        own = []
        for call, result in zip(step.calls, step.results, strict=False):
            spec = specs.get(call.name)
            seen = (result.observation or then) if spec and spec.volatile else ""
            own.append((call_line(call, spec), result.text, seen))
        found.append(own)
    return found


def _named(path: str) -> Scorer:
    module, _, attribute = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute, None) if module else None
    except ModuleNotFoundError:
        found = None
    if not callable(found):
        raise ConfigError(
            f"methods.step_credit.scorer {path!r} is no function. Type package.module.function"
        )
    scorer: Scorer = found
    return scorer
