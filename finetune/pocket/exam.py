"""How well pocket does each skill on held-out words: exact match of the whole answer.

Teacher-forced: all tokens of the answer are the most likely ones, which is the same as an exact
greedy answer.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from finetune.pocket.rows import draw_row

__all__ = ["exam_questions", "grade"]

Question = tuple[str, str, str]


def exam_questions(seed: int, count: int) -> list[Question]:
    """Skill, prompt and answer of ``count`` questions with held-out words."""
    rng = random.Random(f"exam {seed}")
    found: list[Question] = []
    while len(found) < count:
        row = draw_row(rng, True, 2)
        found += [(q.skill, row.prefix + q.body + "<|assistant|>", q.answer) for q in row.queries]
    return found[:count]


def grade(
    model: Any, tokenizer: Any, questions: list[Question], batch: int = 32
) -> dict[str, float]:
    """Share of exact answers per skill."""
    import torch

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    rows = sorted((encode(p), encode(a + "<|end|>"), s) for s, p, a in questions)
    rows.sort(key=lambda r: len(r[0]) + len(r[1]))
    right: dict[str, list[bool]] = defaultdict(list)
    training = model.training
    model.eval()
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        longest = max(len(p) + len(a) for p, a, _ in part)
        inputs = torch.zeros(len(part), longest, dtype=torch.long)
        for i, (prompt, answer, _) in enumerate(part):
            inputs[i, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            best = model(input_ids=inputs).logits.argmax(-1)
        for i, (prompt, answer, skill) in enumerate(part):
            said = best[i, len(prompt) - 1 : len(prompt) + len(answer) - 1].tolist()
            right[skill].append(said == answer)
    model.train(training)
    return {s: round(sum(v) / len(v), 3) for s, v in sorted(right.items())}
