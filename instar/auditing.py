"""Whether a judge can be believed: its verdicts beside the truth, where a program knows the truth.

A judge is asked about episodes that a world or a program has scored, as if nobody had, and each answer
is kept. What counts is the precision of its passes: a wrong pass becomes a memory or a row to train on,
a wrong fail is only lost. It is trusted while the lower end of the 95 % interval of its precision is not
below `audit.precision`; until then, and again when it falls below, its verdicts teach nothing.

Passes and failures are asked about in equal numbers, so precision is not their share: it is what Bayes'
rule makes of the two rates at which it passes them where passes are as frequent as in practice. A judge
that passes one failure in twenty is right in 95 % of its passes where half of the episodes succeed, and in
two of three where one in ten does. Its interval is from Wilson's of both rates, each at 97.5 %.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from instar._metering import Metered
from instar._methods import build
from instar.compose import Workspace
from instar.config import Config
from instar.contracts import Verifier
from instar.limits import Limits
from instar.progress import Progress
from instar.recorded import judge as write
from instar.recorded import unscored
from instar.stats import Interval, wilson
from instar.store import Store
from instar.types import Score, ScoreSource, Status, Trajectory, content_hash

__all__ = ["audit", "confusion", "judge_sessions", "make_judge", "trusted"]

_KNOWN = (ScoreSource.ENVIRONMENT, ScoreSource.PROGRAM)
_AGAIN = 6


def make_judge(workspace: Workspace, limits: Limits | None = None) -> Verifier | None:
    """The verifier of the settings, with the model that distillers ask; None where there is none.

    Args:
        limits: Of a run; what the judge uses counts against them.
    """
    config = workspace.config
    if config.memory.judge is None:
        return None
    made = build("agent.verify", config.memory.judge, config)
    model = workspace.model(config.memory.model).client()
    asked = model if limits is None else Metered(model, limits)
    judge: Verifier = type(made)(made.config, asked)
    return judge


def _prefix(config: Config) -> str:
    """Where the answers of a judge are kept: another model or other settings are another judge."""
    name = config.memory.judge or ""
    settings = config.methods.get(name.rpartition(".")[2], {})
    return f"audit/{content_hash([name, config.memory.model or config.model.name, settings])}/"


async def audit(
    workspace: Workspace, progress: Progress, limits: Limits | None = None
) -> dict[str, Any]:
    """Ask the judge about episodes whose outcome is known, as far as `audit.episodes` is not reached.

    Passes and failures are asked about in equal numbers as far as there are both. Of what was practised
    since, a sixth of that number is asked about each time: what it acts on changes, and it may, too.

    Args:
        limits: Looked at before each question, and told of its use.

    Returns:
        As `confusion`.

    Raises:
        Stopped: A limit was reached; what was said is kept.
    """
    judge, store, config = make_judge(workspace, limits), workspace.store, workspace.config
    if judge is not None:
        prefix = _prefix(config)
        known = [t for t in store.trajectories(purpose="practise") if _is_known(t)]
        sample = _sample(known, store.stages(prefix), prefix, config.audit.episodes)
        passes = sum(t.score.status is Status.PASS for t in known)
        with progress.stage("audit of the judge", len(sample)) as tally:
            for one in sample:
                _may_ask(limits)
                (score,) = await judge.score(one.task, [_unjudged(one)])
                told: dict[str, Any] = {"truth": one.score.status.value, "said": score.status.value}
                told |= {"started": one.started, "share": passes / len(known)}
                store.finish_stage(f"{prefix}{one.id}", told)
                tally.add()
    return confusion(store, config)


def _may_ask(limits: Limits | None) -> None:
    if limits is not None:
        limits.check()


def _is_known(lived: Trajectory) -> bool:
    return lived.score.source in _KNOWN and lived.score.status is not Status.UNKNOWN


def _sample(
    known: Sequence[Trajectory], asked: Mapping[str, Mapping[str, Any]], prefix: str, n: int
) -> list[Trajectory]:
    """Episodes to ask about, passes and failures in turn: up to ``n``, then some of those lived since."""
    left = [t for t in known if f"{prefix}{t.id}" not in asked]
    room = n - len(asked)
    if room <= 0:
        last = max(one.get("started", 0.0) for one in asked.values())
        left, room = [t for t in left if t.started > last], max(1, n // _AGAIN)
    left.sort(key=lambda t: content_hash(t.id))
    sides = [[t for t in left if t.score.status is s] for s in (Status.PASS, Status.FAIL)]
    turns = [t for pair in zip(*sides, strict=False) for t in pair]
    rest = [t for t in left if t not in turns]
    return [*turns, *rest][:room]


def _unjudged(lived: Trajectory) -> Trajectory:
    """The episode as it looks where nobody knows how it went."""
    return lived.model_copy(update={"score": Score(status=Status.UNKNOWN)})


def confusion(store: Store, config: Config) -> dict[str, Any]:
    """What the judge said beside what was so.

    Returns:
        ``judge``; ``asked``; ``matrix``, counts by what was so and what was said, of the last
        `audit.episodes`; ``share`` of passes in practice; ``precision`` of its passes with its
        ``interval``, None where it passed nothing; ``wanted``; ``trusted``.
    """
    kept = list(store.stages(_prefix(config)).values()) if config.memory.judge else []
    found = kept[-config.audit.episodes :]
    counts = Counter((f["truth"], f["said"]) for f in found)
    words = [status.value for status in Status]
    matrix = {truth: {said: counts[truth, said] for said in words} for truth in words[:2]}
    passes, failures = (matrix[truth] for truth in words[:2])
    share = float(found[-1].get("share", 0.5)) if found else 0.5
    precision = interval = None
    if passes["pass"] + failures["pass"]:
        precision, interval = _precision(passes, failures, share)
    return {
        "judge": config.memory.judge,
        "asked": len(found),
        "matrix": matrix,
        "share": share,
        "precision": precision,
        "interval": interval,
        "wanted": config.audit.precision,
        "trusted": interval is not None and interval[0] >= config.audit.precision,
    }


def _precision(
    passes: Mapping[str, int], failures: Mapping[str, int], share: float
) -> tuple[float, Interval]:
    """How many of its passes are passes, with the interval.

    Args:
        passes: Of true passes, how many it said what of.
        failures: Of true failures.
        share: Of passes where it judges.
    """

    def right(of_passes: float, of_failures: float) -> float:
        true, false = share * of_passes, (1 - share) * of_failures
        return true / (true + false) if true + false else 0.0

    (of_passes, low, high), (of_failures, least, most) = (
        _rate(side) for side in (passes, failures)
    )
    return right(of_passes, of_failures), Interval(right(low, most), right(high, least))


def _rate(side: Mapping[str, int]) -> tuple[float, float, float]:
    """How often it passes one side, with its interval at 97.5 %."""
    n = sum(side.values())
    low, high = wilson(side["pass"], n, 0.975)
    return side["pass"] / n if n else 0.0, low, high


def trusted(store: Store, config: Config) -> bool:
    """Whether the verdicts of the judge may teach."""
    return bool(confusion(store, config)["trusted"])


async def judge_sessions(
    workspace: Workspace, progress: Progress, limits: Limits | None = None
) -> dict[str, Any] | None:
    """Let the judge say how recorded sessions went of which nobody else has, if it can be believed.

    Args:
        limits: As of `audit`.

    Returns:
        The audit, with ``judged``, the number of sessions; None where no judge is set or nothing waits.

    Raises:
        Stopped: A limit was reached; what was said is kept.
    """
    waiting: Sequence[Trajectory] = unscored(workspace.store)
    judge = make_judge(workspace, limits)
    if judge is None or not waiting:
        return None
    found = await audit(workspace, progress, limits)
    if not found["trusted"]:
        return found | {"judged": 0}
    count = 0
    for one in waiting:
        _may_ask(limits)
        (score,) = await judge.score(one.task, [one])
        if score.status is not Status.UNKNOWN:
            write(workspace.store, one, score)
            count += 1
    return found | {"judged": count}
