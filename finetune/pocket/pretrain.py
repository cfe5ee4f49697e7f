"""Pocket from nothing: generated rows, Muon and AdamW, a flat rate that falls at the end.

Only answers are in the loss. Simple rows come first: a page of a few elements teaches within minutes
what pages of all sorts, met from the start, do not. The schedule follows tokens seen, so the same
seed and number of tokens give the same stream of data wherever the run is interrupted; a checkpoint
is written every few minutes and found again on the next start.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from finetune.pocket._run import Recipe, Run
from finetune.pocket.exam import exam_questions, grade
from finetune.pocket.replay import replay_rows
from finetune.train._replay import write_replay

__all__ = ["Recipe", "finished", "measured", "pretrain", "speed"]

_REPLAY = 240
_SPEED_STEPS = 15
_TOLD_SECONDS = 20.0

Log = Callable[[dict[str, Any]], None]


def measured(recipe: Recipe, minutes: float) -> Recipe:
    """The recipe with as many tokens as this machine trains on in some minutes."""
    return replace(recipe, tokens=max(1, round(speed(recipe) * minutes * 60)))


def speed(recipe: Recipe) -> float:
    """Tokens a second at which this machine trains a recipe, the compilation left out."""
    run = Run(replace(recipe, tokens=10**12))
    run.train_step()
    run.seconds = 0.0
    for _ in range(_SPEED_STEPS):
        run.train_step()
    return _SPEED_STEPS * recipe.rows * recipe.length / run.seconds


def finished(out: Path) -> dict[str, Any] | None:
    """The report of a training that is complete; None where there is none."""
    report = out / "training.json"
    if not report.exists() or (out / "checkpoint.pt").exists():
        return None
    return dict(json.loads(report.read_text(encoding="utf-8")))


def pretrain(
    recipe: Recipe, out: Path, log: Log, stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Train pocket and write model, tokenizer, ``training.json`` and ``curves.png`` into ``out``.

    Args:
        log: Is given a dictionary of figures now and then, at times with an exam.
        stop: Asked after each step; where it says so, a checkpoint is written.

    Returns:
        The final figures, the exam among them.

    Raises:
        KeyboardInterrupt: It was stopped; the same call goes on.
        UserError: The checkpoint in ``out`` is damaged.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    run = Run(recipe)
    run.resume(checkpoint)
    questions = exam_questions(0, recipe.exam_each, recipe.mixture)
    saved = examined = told = time.monotonic()
    losses: list[float] = []
    while run.tokens < recipe.tokens:
        losses.append(run.train_step())
        now = time.monotonic()
        if stop():
            run.save(checkpoint)
            raise KeyboardInterrupt
        if now - told > _TOLD_SECONDS:
            log(_figures(run, losses, {}))
            told = now
        if now - examined > recipe.exam_seconds:
            run.history.append(_figures(run, losses, grade(run.model, run.tokenizer, questions)))
            log(run.history[-1])
            losses, examined = [], time.monotonic()
        if now - saved > recipe.checkpoint_seconds:
            run.save(checkpoint)
            saved = time.monotonic()
    final_questions = exam_questions(1, recipe.final_each, recipe.mixture)
    final = _figures(run, losses, grade(run.model, run.tokenizer, final_questions))
    run.history.append(final)
    _write(run, out)
    checkpoint.unlink(missing_ok=True)
    log(final)
    return final


def _figures(run: Run, losses: list[float], exam: dict[str, float]) -> dict[str, Any]:
    return {
        "step": run.step,
        "tokens": run.tokens,
        "seconds": round(run.seconds),
        "loss": round(sum(losses) / len(losses), 4) if losses else None,
        "exam": exam,
    }


def _write(run: Run, out: Path) -> None:
    import torch

    from finetune.pocket.curves import draw_curves

    run.model.to(torch.bfloat16).save_pretrained(out)
    run.tokenizer.save_pretrained(out)
    write_replay(out, replay_rows(run.recipe.seed, _REPLAY))
    report = {
        "recipe": asdict(run.recipe),
        "parameters": run.model.num_parameters(),
        "history": run.history,
    }
    (out / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    draw_curves(run.history, out / "curves.png")
