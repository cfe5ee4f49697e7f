"""A policy whose weights are what it learnt by heart, and its trainer: a whole turn without a language model.

The adapter is a list of workflows drawn from the rows; with it the policy does without memories what
it did with them. It is sealed, gated and served as any adapter is.
"""

import json
import os
import re
from pathlib import Path

from oracle_policy import Obedient

from benchmarks.studies._clerk_policy import bare
from finetune.registry import base_hash, seal, workspace_beside
from instar.errors import UserError

_VALUE = re.compile(r"\S*\d\S*")


class Rote(Obedient):
    """Habit, memories, and what the adapter knows by heart."""

    folder = Path(os.environ.get("TINY_MODEL", ""))
    provider = "local"

    def __init__(self, adapter: Path | None = None) -> None:
        self.known: list[list[str]] = []
        if adapter is not None:
            self.known = json.loads((adapter / "adapter_config.json").read_text())

    def _plan(self, system: str, instruction: str) -> tuple[list[str], str]:
        plan, label = super()._plan(system, instruction)
        if label:
            return plan, label
        lines = [f"task: {when} [m99] -> {content}" for when, content in self.known]
        return super()._plan("\n".join(lines), instruction)[0], ""


class RoteTrainer:
    """Learns by heart what the rows do, with numbers left open."""

    def __init__(self, config: object = None) -> None:
        pass

    def train(self, dataset, base, parent, out, seed):
        if not dataset.rows:
            raise UserError("Nothing to train on.")
        told: dict[str, list[str]] = {}
        asked: dict[str, str] = {}
        for row in dataset.rows:
            (message,) = row["completion"]
            for call in message.get("tool_calls") or ():
                told.setdefault(row["trajectory"], []).append(_written(call["function"]))
            asked[row["trajectory"]] = bare(row["prompt"][-1]["content"].split("\n")[-1])
        known = sorted(
            {tuple(_open(asked[t], calls)) for t, calls in told.items() if calls[-1] != "finish"}
            | {tuple(_open(asked[t], calls[:-1])) for t, calls in told.items() if len(calls) > 1}
        )
        place = workspace_beside(out)
        (place / "adapter_config.json").write_text(json.dumps(known))
        (place / "adapter_model.safetensors").write_text("{}")
        lineage = {"base": base_hash(base), "parent": None, "dataset": dataset.hash}
        return seal(place, out, **lineage, recipe={"seed": seed}, metrics={"loss": 0.0})


def _written(call: dict) -> str:
    arguments = call["arguments"]
    values = json.loads(arguments) if isinstance(arguments, str) else arguments
    return " ".join(
        [call["name"], *(f'"{v}"' if " " in str(v) else str(v) for v in values.values())]
    )


def _open(instruction: str, calls: list[str]) -> tuple[str, str]:
    when, content = instruction, "; ".join(calls)
    for number, value in enumerate(dict.fromkeys(_VALUE.findall(instruction)), 1):
        whole = re.compile(rf"(?<!\S){re.escape(value)}(?![^\s;])")
        when, content = (whole.sub(f"${number}", text) for text in (when, content))
    return when, content
