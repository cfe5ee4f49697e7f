"""What the gate says before and after: what it will come to, what it came to, how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from instar._gate_cost import Cost, forecast
from instar._probing import probe_episodes

if TYPE_CHECKING:
    from finetune.safety import Probed
    from instar._loop import Loop

__all__ = ["Foreseen", "expected", "life", "lines", "with_probes"]


class Foreseen(NamedTuple):
    """What a gate comes to at most.

    Attributes:
        cost: Of all its episodes, if they are like those of an earlier stage.
        told: The same for people.
    """

    cost: Cost
    told: str


def expected(loop: Loop, episodes: int) -> Foreseen | None:
    """What a gate comes to at most, by what episodes came to before; None where that is not known.

    Args:
        loop: Whose gate it is.
        episodes: That are to be run, the probes left out.
    """
    probes = probe_episodes(loop)
    found = forecast(loop.store.stages("g"), episodes + probes)
    if found is None:
        return None
    cost, like = found
    told = f"at most {cost}, if they are like those of {like}; {probes} of them probes"
    return Foreseen(cost, told)


def life(before: Sequence[bool], decision: str, rate: float, alpha: float) -> dict[str, Any]:
    """Where a gate stands in the life of its workspace, this one included."""
    promoted = decision == "promote"
    return {
        "gates": len(before) + 1,
        "promotions": sum(before) + promoted,
        "rate": rate,
        "alpha": alpha,
    }


def with_probes(value: dict[str, Any], probes: Sequence[Probed]) -> dict[str, Any]:
    """A verdict with what the probes found; one that blocks turns a promotion into a rejection."""
    blocking = [str(one) for one in probes if one.blocks]
    value = value | {"probes": [one.model_dump(mode="json") for one in probes]}
    if not blocking:
        return value
    was = value["sentence"].partition(": ")[2]
    told = "; ".join(blocking)
    return value | {
        "decision": "reject",
        "reasons": blocking,
        "sentence": f"Rejected: {told}, though it is better otherwise: {was}",
    }


def lines(verdict: Mapping[str, Any]) -> list[str]:
    """What a verdict says beside its sentence; of one from before this was kept, nothing."""
    if "life" not in verdict:
        return []
    found, reused = verdict["life"], verdict["reuse"]
    told = [
        f"it took {verdict['n']} of {verdict['planned']} pairs: {Cost.model_validate(verdict['cost'])}"
    ]
    if reused["episodes"]:
        told[0] += f"; {reused['episodes']} results were there already"
    counted = f"gate {found['gates']} of this workspace, {found['promotions']} promoted"
    if found["promotions"]:
        counted += f", of which at most {found['rate']:.0%} are expected to be false"
    was = "this one is" if verdict["decision"] == "promote" else "a promotion here would be"
    told.append(f"{counted}; {was} false with a chance of at most {found['alpha']:.2%}")
    again = reused["tasks_of_this_turn"], reused["tasks_of_earlier_turns"]
    if any(again):
        told.append(
            f"of its tasks {again[0]} were asked at an earlier gate of the turn and {again[1]} in "
            "earlier turns, which makes it less sure than that"
        )
    told += [_probe(one) for one in verdict.get("probes", ())]
    return told


def _probe(found: Mapping[str, Any]) -> str:
    from finetune.safety import Probed

    return str(Probed.model_validate(found))
