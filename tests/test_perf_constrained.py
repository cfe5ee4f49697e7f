"""The measurement of constrained answers: what counts as valid, who answers when. Speed itself is not tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.perf import constrained, serving
from instar.types import Reply, ToolCall, ToolSpec, Usage

TOOL = ToolSpec(
    name="tag",
    parameters={
        "type": "object",
        "properties": {"record": {"type": "string"}, "text": {"type": "string"}},
        "required": ["record"],
    },
)


@pytest.mark.parametrize(
    ("calls", "right"),
    [
        ([("tag", {"record": "1"})], True),
        ([("tag", {"record": "1", "text": "a"}), ("tag", {"record": "2"})], True),
        ([], False),
        ([("log", {"record": "1"})], False),
        ([("tag", {"text": "a"})], False),
        ([("tag", {"record": "1", "argument_3": "a"})], False),
        ([("tag", {"record": "1"}), ("log", {})], False),
    ],
)
def test_what_a_valid_call_is(calls: list[tuple[str, dict[str, str]]], right: bool) -> None:
    made = tuple(ToolCall(id="c", name=name, arguments=given) for name, given in calls)
    reply = Reply(content="", calls=made, usage=Usage(), model="m", provider="p", finish="stop")
    assert constrained.valid(reply, [TOOL]) is right


async def test_rounds_take_turns_and_the_first_is_left_out(monkeypatch: Any) -> None:
    played: list[bool] = []
    seconds = {False: [9.0, 1.0, 2.0], True: [9.0, 2.0, 2.0]}

    async def answered(
        folder: Path, asked: Any, at_once: int, grammar: bool, temperature: float
    ) -> serving.Served:
        played.append(grammar)
        return serving.Served(seconds[grammar].pop(0), 100, [(True,), (grammar,)])

    monkeypatch.setattr(constrained, "answered", answered)
    asked = [serving.Asked((), (TOOL,))] * 2
    found = await constrained.measure(Path(), asked, 2, 2, 0.0)
    assert played == [True, False, False, True, True, False]
    assert found == {
        "free_tokens_per_s": 75.0,
        "free_valid": 0.5,
        "constrained_tokens_per_s": 50.0,
        "constrained_valid": 1.0,
        "constrained/free": 0.75,
    }


async def test_the_grammar_makes_all_answers_valid() -> None:
    from finetune.pocket import MODEL_DIR

    asked = await serving.record(MODEL_DIR, 1, 1)
    served = await constrained.answered(MODEL_DIR, asked, 2, True, 2.0)
    assert served.said == [(True,)] * len(asked) and served.tokens > 0
