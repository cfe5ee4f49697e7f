"""How well pocket does each skill on held-out words: exact match of the whole answer.

Teacher-forced: all tokens of the answer are the most likely ones, which is the same as an exact
greedy answer.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

from finetune.pocket.rows import Mixture, draw_row
from finetune.train._model import autocast, placement

__all__ = ["SKILLS", "exam_questions", "grade"]

Question = tuple[str, str, str]
_REMEMBERING = ("lesson", "workflow", "ignore")

SKILLS = (
    *("pick", "copy", "form", "table", "stop", "call", "error", "answer", "reflect"),
    *(f"{door}/{skill}" for door in ("tools", "web")
      for skill in ("habit", "error", "lesson", "workflow", "ignore")),
)  # fmt: skip
"""What is examined; ``tools`` and ``web`` are the two doors to a made-up office."""


_ROUND = 64


def exam_questions(seed: int, each: int, mixture: Mixture | None = None) -> list[Question]:
    """Skill, prompt and answer of ``each`` questions a skill, with held-out words."""
    rng = random.Random(f"exam {seed}")
    mixture = mixture or Mixture()
    wanted = [s for s in SKILLS if mixture.memory or s.partition("/")[2] not in _REMEMBERING]
    found: list[Question] = []
    counts: Counter[str] = Counter()
    while any(counts[s] < each for s in wanted):
        row = draw_row(rng, True, 2, mixture=mixture)
        for query in row.queries:
            if query.skill in wanted and counts[query.skill] < each:
                counts[query.skill] += 1
                prompt = row.prefix + query.body + "<|assistant|>"
                found.append((query.skill, prompt, query.answer))
    return found


def grade(
    model: Any, tokenizer: Any, questions: list[Question], batch: int = 32
) -> dict[str, float]:
    """Share of exact answers per skill, in the order of `SKILLS`."""
    right: dict[str, list[bool]] = defaultdict(list)
    training = model.training
    model.eval()
    rows = sorted(
        ((_encode(tokenizer, p), _encode(tokenizer, a + "<|end|>"), s) for s, p, a in questions),
        key=lambda r: len(r[0]) + len(r[1]),
    )
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        for (_, _, skill), exact in zip(part, _exact(model, part), strict=True):
            right[skill].append(exact)
    model.train(training)
    return {s: round(sum(right[s]) / len(right[s]), 3) for s in SKILLS if s in right}


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def _exact(model: Any, part: list[tuple[list[int], list[int], str]]) -> list[bool]:
    """Whether each answer is what the model would say."""
    import torch

    longest = max(len(p) + len(a) for p, a, _ in part)
    # For every new shape the kernels are made anew and kept: without rounding an exam takes gigabytes.
    longest = -(-longest // _ROUND) * _ROUND
    inputs = torch.zeros(len(part), longest, dtype=torch.long)
    for i, (prompt, answer, _) in enumerate(part):
        inputs[i, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
    device = model.device
    with torch.no_grad(), autocast(model, placement(device.type, "auto")[1]):
        best = model(input_ids=inputs.to(device)).logits.argmax(-1).cpu()
    return [
        best[i, len(prompt) - 1 : len(prompt) + len(answer) - 1].tolist() == answer
        for i, (prompt, answer, _) in enumerate(part)
    ]
