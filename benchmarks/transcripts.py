"""The episodes of a run as OpenAI chat messages, one JSON line each, for people and other tools.

An episode is told as one conversation: the system message as served in its first turn, the task
with the first observation, then each answer with its calls and each result with what there was to
see afterwards. That is the whole of what the model saw, though not turn by turn as it saw it: the
prompt of a turn keeps only the latest observation (`instar.render`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.runner import Line
from instar.render import assistant_message, messages
from instar.types import Message, Trajectory

__all__ = ["conversation", "write"]


def conversation(trajectory: Trajectory) -> list[Message]:
    """The episode as messages; ``arguments`` are JSON text, as OpenAI has them."""
    first = trajectory.steps[0].observation if trajectory.steps else ""
    told = messages(
        trajectory.prompts, trajectory.memories, trajectory.task, (), first, trajectory.tools
    )
    for step in trajectory.steps:
        said = assistant_message(step)
        for call in said.get("tool_calls", []):
            arguments = call["function"]["arguments"]
            call["function"]["arguments"] = json.dumps(arguments, ensure_ascii=False)
        told.append(said)
        for call, result in zip(step.calls, step.results, strict=False):
            seen = [result.text, result.observation or ""]
            content = "\n".join(part for part in seen if part)
            told.append({"role": "tool", "tool_call_id": call.id, "content": content})
    return told


def _row(line: Line) -> dict[str, Any]:
    trajectory = line.trajectory
    return {
        "id": trajectory.id,
        "arm": line.arm,
        "attempt": line.attempt,
        "task": trajectory.task.id,
        "seed": trajectory.seed,
        "model": trajectory.model,
        "generation": trajectory.generation,
        "stop": trajectory.stop,
        "score": trajectory.score.model_dump(mode="json"),
        "messages": conversation(trajectory),
        "tools": [t.schema_openai() for t in trajectory.tools],
    }


def write(path: Path, lines: Iterable[Line]) -> None:
    """Write the file beside its place and rename it."""
    beside = path.with_name(path.name + ".part")
    with beside.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(_row(line), ensure_ascii=False) + "\n")
    beside.replace(path)
