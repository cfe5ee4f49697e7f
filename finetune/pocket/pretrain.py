"""Pocket from nothing: generated rows, Muon and AdamW, a flat rate that falls at the end.

Only answers are in the loss. The schedule follows tokens seen, so the same seed and number of
tokens give the same stream of data wherever the run is interrupted; a checkpoint is written every
few minutes and found again on the next start.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune._convolution import shift_convolutions
from finetune.pocket.batches import Batch, Stream
from finetune.pocket.exam import exam_questions, grade
from finetune.pocket.muon import Muon
from finetune.pocket.replay import replay_rows
from finetune.pocket.start import build_model
from finetune.pocket.tokenizer import build_tokenizer, load_tokenizer
from finetune.train._replay import write_replay

__all__ = ["Recipe", "pretrain"]


@dataclass(frozen=True)
class Recipe:
    """Settings of a pre-training run; ``tokens`` is its length."""

    tokens: int = 14_000_000
    seed: int = 0
    width: int = 192
    layers: int = 6
    rows: int = 6
    length: int = 704
    rate: float = 3e-3
    warm: int = 20
    decay: float = 0.4
    compile: bool = True
    checkpoint_seconds: float = 240.0
    exam_seconds: float = 120.0
    exam_size: int = 500


_REPLAY = 240
_FIXED = ("tokens", "seed", "width", "layers", "rows", "length", "rate", "warm", "decay")
"""What a checkpoint must agree in to be gone on with; the rest does not touch the weights."""

Log = Callable[[dict[str, Any]], None]


class _Run:
    """Model, optimisers and counters of a run."""

    def __init__(self, recipe: Recipe, start: Path | None = None) -> None:
        import torch

        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.tokenizer, self.model = _begin(recipe, start)
        self.model.train()
        shift_convolutions(self.model)
        named = list(self.model.named_parameters())
        matrices = [p for n, p in named if p.dim() == 2 and "embed" not in n]
        chosen = {id(p) for p in matrices}
        self.rest = [p for _, p in named if id(p) not in chosen]
        self.muon = Muon(matrices)
        self.adamw = torch.optim.AdamW(self.rest, betas=(0.9, 0.98), weight_decay=0.0)
        self.stream = Stream(self.tokenizer, recipe.seed, recipe.rows, recipe.length)
        self.step = 0
        self.seconds = 0.0
        forward = self._hidden
        self.forward = torch.compile(forward, dynamic=False) if recipe.compile else forward

    def _hidden(self, inputs: Any, mask: Any, positions: Any) -> Any:
        masks = {"full_attention": mask, "conv": None}
        return self.model.model(
            input_ids=inputs, attention_mask=masks, position_ids=positions
        ).last_hidden_state

    @property
    def tokens(self) -> int:
        """Tokens seen, padding included."""
        return self.step * self.recipe.rows * self.recipe.length

    def rate(self) -> float:
        """Learning rate now."""
        recipe, done = self.recipe, self.tokens / self.recipe.tokens
        warm = min(1.0, (self.step + 1) / recipe.warm)
        fall = 1.0 if done < 1 - recipe.decay else max(0.02, (1 - done) / recipe.decay)
        return recipe.rate * warm * fall

    def train_step(self) -> float:
        """One step; the mean loss of its answers in nats a token."""
        import torch

        begun = time.monotonic()
        loss = self._loss(self.stream.batch(self.step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        rate = self.rate()
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        self.muon.step(rate)
        self.model.zero_grad(set_to_none=True)
        self.step += 1
        self.seconds += time.monotonic() - begun
        return float(loss.detach())

    def _loss(self, batch: Batch) -> Any:
        import torch

        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self.forward(batch.inputs, batch.mask, batch.positions)
            logits = self.model.lm_head(hidden[batch.counts])
        return torch.nn.functional.cross_entropy(logits.float(), batch.targets[batch.counts])

    def save(self, path: Path) -> None:
        """Write a checkpoint beside and rename it into place."""
        import torch

        state = {
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "adamw": self.adamw.state_dict(),
            "muon": self.muon.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        beside = path.with_suffix(".tmp")
        torch.save(state, beside)
        beside.replace(path)

    def resume(self, path: Path) -> bool:
        """Go on from a checkpoint of the same recipe, if there is one."""
        import torch

        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        if any(state["recipe"][k] != v for k, v in asdict(self.recipe).items() if k in _FIXED):
            return False
        self.model.load_state_dict(state["model"])
        self.adamw.load_state_dict(state["adamw"])
        self.muon.load_state_dict(state["muon"])
        self.step, self.seconds = state["step"], state["seconds"]
        return True


def _begin(recipe: Recipe, start: Path | None) -> tuple[Any, Any]:
    """Tokenizer and model: fresh, or those of an earlier run."""
    from transformers import Lfm2ForCausalLM

    if start is not None:
        model = Lfm2ForCausalLM.from_pretrained(start, dtype="float32")
        return load_tokenizer(start), model
    tokenizer = build_tokenizer()
    vocabulary = -(-len(tokenizer) // 64) * 64
    return tokenizer, build_model(vocabulary, recipe.width, recipe.layers, recipe.seed)


def pretrain(recipe: Recipe, out: Path, log: Log, start: Path | None = None) -> dict[str, Any]:
    """Train pocket and write model, tokenizer and ``training.json`` into ``out``.

    Args:
        log: Is given a dictionary of figures now and then.
        start: Folder of a pocket model to go on from, with its tokenizer.

    Returns:
        The final figures, the exam among them.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(recipe, start)
    checkpoint = out / "checkpoint.pt"
    run.resume(checkpoint)
    questions = exam_questions(0, recipe.exam_size)
    history: list[dict[str, Any]] = []
    saved = examined = time.monotonic()
    losses: list[float] = []
    while run.tokens < recipe.tokens:
        losses.append(run.train_step())
        now = time.monotonic()
        if now - examined > recipe.exam_seconds:
            history.append(_figures(run, losses, grade(run.model, run.tokenizer, questions)))
            log(history[-1])
            losses, examined = [], time.monotonic()
        if now - saved > recipe.checkpoint_seconds:
            run.save(checkpoint)
            saved = time.monotonic()
    final = _figures(run, losses, grade(run.model, run.tokenizer, exam_questions(1, 3000)))
    _write(run, out, [*history, final])
    checkpoint.unlink(missing_ok=True)
    log(final)
    return final


def _figures(run: _Run, losses: list[float], exam: dict[str, float]) -> dict[str, Any]:
    return {
        "step": run.step,
        "tokens": run.tokens,
        "seconds": round(run.seconds),
        "loss": round(sum(losses) / len(losses), 4) if losses else None,
        "exam": exam,
    }


def _write(run: _Run, out: Path, history: list[dict[str, Any]]) -> None:
    import torch

    run.model.to(torch.bfloat16).save_pretrained(out)
    run.tokenizer.save_pretrained(out)
    write_replay(out, replay_rows(run.recipe.seed, _REPLAY))
    report = {"recipe": asdict(run.recipe), "history": history}
    (out / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
