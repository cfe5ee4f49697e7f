"""What the report of a run tells of the loop, out of what its stages have left in the store.

Stages of an older workspace lack some of it; what is not there is left out and never taken for none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from instar.store import Store
from instar.types import MemoryStatus, Status

__all__ = [
    "FIGURES",
    "curriculum",
    "ledger",
    "measured_before",
    "moults",
    "trainings",
    "verdicts",
]

Stages: TypeAlias = Mapping[str, dict[str, Any]]

FIGURES = ("success", "interval", "n")
"""What a report keeps of each generation that served."""
_ROUNDS = ("practise_1", "practise_2")
_GATES = ("gate_memory", "gate_prompts", "gate_adapter", "gate_moult")
_KEPT = ("sentence", "margin", "group_margin", "planned", "looks", "test", "unknown")
_TOLD = ("groups", "probes", "life", "reuse", "cost", "forecast")
_TRAINED = (
    "rows_used",
    "rows_cut",
    "rows_masked",
    "rows_new",
    "rows_replayed",
    "steps",
    "steps_planned",
    "tokens",
    "tokens_per_second",
)
_ANCHORS = "anchors_"


def _turn(key: str) -> str:
    return key.partition("/")[0].removeprefix("g")


def _of(stages: Stages, names: Sequence[str]) -> list[tuple[str, str, dict[str, Any]]]:
    """Turn, name and value of the stages of these names."""
    return [
        (_turn(k), k.partition("/")[2], v)
        for k, v in stages.items()
        if k.partition("/")[2] in names
    ]


# What is measured


def measured_before(store: Store, under: str) -> dict[str, dict[str, Any]]:
    """Figures of generations that reports have measured under these conditions, by id."""
    reports = [v for k, v in store.stages("run").items() if k.endswith("/report")]
    return {
        id: figures
        for kept in reports
        if kept.get("under") == under
        for id, figures in kept["points"].items()
        if figures["n"]
    }


# The gate


def verdicts(stages: Stages) -> list[dict[str, Any]]:
    """One a candidate, in the order in which they were measured."""
    found = []
    for turn, name, value in _of(stages, _GATES):
        verdict = value["verdict"]
        success = verdict.get("success") or {}
        one = {
            "turn": turn,
            "generation": value["candidate"] or "none",
            "kind": name.removeprefix("gate_"),
            "decision": verdict["decision"],
            "difference": success.get("difference"),
            "interval": success.get("interval"),
            "n": verdict["n"],
            "reasons": list(verdict["reasons"]),
        }
        found.append(one | {name: verdict[name] for name in (*_KEPT, *_TOLD) if name in verdict})
    return found


# The curriculum


def curriculum(store: Store, stages: Stages) -> list[dict[str, Any]]:
    """One a round of practice: what was proposed, refused, practised, and how each group went."""
    found = []
    for turn, name, value in _of(stages, _ROUNDS):
        if not value["home"]:
            continue
        origins = Counter(value.get("origins") or {})
        del origins["world"]
        found.append(
            {
                "turn": turn,
                "round": name.removeprefix("practise_"),
                "tasks": value["tasks"],
                "proposed": value["proposed"],
                "proposers": dict(origins),
                "refused": value["refused"],
                "refusals": value.get("refusals", {}),
                "groups": _groups(store, f"g{turn}/{name}"),
                "selector": _by_group(value.get("selector", {})),
            }
        )
    return found


def _groups(store: Store, stage: str) -> dict[str, dict[str, int]]:
    """Attempts at home that are known, and how many of them went clean, by group."""
    found: dict[str, list[bool]] = defaultdict(list)
    for one in store.trajectories(stage=stage, purpose="practise"):
        if one.score.status is not Status.UNKNOWN:
            found[one.task.group].append(one.score.status is Status.PASS)
    return {g: {"clean": sum(went), "known": len(went)} for g, went in sorted(found.items())}


def _by_group(state: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The parts of a selector's state that hold one figure a group, by their names."""

    def figures(part: object) -> bool:
        return isinstance(part, dict) and all(isinstance(v, int | float) for v in part.values())

    return {name: dict(part) for name, part in state.items() if part and figures(part)}


# The training


def trainings(stages: Stages) -> list[dict[str, Any]]:
    """One a turn: the adapter, what became of trajectories and rows, and how it went."""
    found = []
    for turn, _, value in _of(stages, ("train",)):
        curated = stages.get(f"g{turn}/curate", {})
        metrics = value.get("metrics") or {}
        anchors = {
            k.removeprefix(_ANCHORS): v for k, v in metrics.items() if k.startswith(_ANCHORS)
        }
        found.append(
            {
                "turn": turn,
                "adapter": value["adapter"],
                "reason": value.get("reason", ""),
                "rows": value["rows"],
                "counts": curated.get("counts", {}),
                "used": len(curated.get("trajectories", ())),
                "dropped": curated.get("dropped", {}),
                "loss": metrics.get("losses", []),
                "seconds": value.get("seconds"),
                "anchors": anchors,
                "course": {name: metrics[name] for name in _TRAINED if name in metrics},
            }
        )
    return found


# The moult


def moults(stages: Stages) -> list[dict[str, Any]]:
    """One a turn: groups of memories with what became of them, tokens, what came back and went."""
    found = []
    for turn, _, value in _of(stages, ("moult",)):
        clusters = value.get("clusters", [])
        sizes: Counter[str] = Counter()
        for cluster in clusters:
            sizes[cluster["decision"]] += len(cluster["items"])
        rounds = [stages.get(f"g{turn}/reflect_{i}", {}) for i in (1, 2)]
        gate = stages.get(f"g{turn}/gate_moult", {}).get("verdict") or {}
        tokens = value.get("tokens_an_episode") or {}
        found.append(
            {
                "turn": turn,
                "reason": value.get("reason", ""),
                "clusters": [{k: v for k, v in c.items() if k != "items"} for c in clusters],
                "kept": sizes["kept"],
                "internalised": sizes["internalised"],
                "forgotten": sum(r.get("forgotten", 0) for r in rounds),
                "back": sum(r.get("back", 0) for r in rounds),
                "tokens": tokens,
                "lighter": _lighter(gate),
                "decision": gate.get("decision", "") if value.get("candidate") else "",
            }
        )
    return found


def _lighter(verdict: Mapping[str, Any]) -> list[float]:
    """Mean tokens of an episode before and after, where both succeeded at the gate."""
    found = verdict.get("tokens") or {}
    sides = [found.get("active"), found.get("candidate")]
    return [side for side in sides if side is not None] if all(sides) else []


def ledger(store: Store, generation: str) -> dict[str, int]:
    """Memories of a generation: shown, shed because an adapter does without them, retired."""
    line = set(store.ancestry(generation))
    last = store.items(None)
    retired = sum(i.status is MemoryStatus.RETIRED and i.generation in line for i in last)
    shed = len(store.internalised(generation))
    return {"shown": len(store.items(generation)), "internalised": shed, "retired": retired}
