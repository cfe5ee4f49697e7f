"""One pre-training run: model, optimisers, data and counters, and how they are kept and found again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune._convolution import shift_convolutions
from finetune.pocket._attention import attention_in_blocks
from finetune.pocket.batches import Batch, Stream
from finetune.pocket.muon import Muon
from finetune.pocket.rows import Mixture
from finetune.pocket.start import build_model
from finetune.pocket.tokenizer import build_tokenizer
from finetune.train._model import autocast, placement
from instar.errors import UserError

__all__ = ["DEVICES", "Recipe", "Run", "kept_recipe", "recipe_of", "weighty"]

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Recipe:
    """Settings of a pre-training run; ``tokens`` is its length.

    Attributes:
        simple: Tokens of simple rows that come first, at most a third of all.
        without: Ingredients left out, of `finetune.pocket.INGREDIENTS`.
        device: ``cpu``, ``cuda``, or ``auto`` for the latter where there is one.
        exam_each: Questions a skill in the exams on the way, ``final_each`` in the last one.
    """

    tokens: int = 45_000_000
    seed: int = 0
    form: str = "lfm2"
    width: int = 192
    layers: int = 6
    rows: int = 3
    length: int = 704
    rate: float = 3e-3
    warm: int = 40
    simple: int = 1_500_000
    decay: float = 0.5
    without: tuple[str, ...] = ()
    compile: bool = True
    device: str = "auto"
    checkpoint_seconds: float = 240.0
    exam_seconds: float = 240.0
    exam_each: int = 20
    final_each: int = 500

    @property
    def mixture(self) -> Mixture:
        """What its rows are made of."""
        return Mixture("memory" not in self.without, "recital" not in self.without)


_FREE = ("compile", "device", "checkpoint_seconds", "exam_seconds", "exam_each", "final_each")
"""Settings that do not touch the weights; in all others a checkpoint must agree to be gone on with."""


class Run:
    """Model, optimisers, data and counters."""

    def __init__(self, recipe: Recipe) -> None:
        import torch

        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.tokenizer = build_tokenizer()
        self.device, self.precision = placement(recipe.device, "auto")
        self.model = _model(recipe, len(self.tokenizer)).to(self.device)
        self.model.train()
        shift_convolutions(self.model)
        named = list(self.model.named_parameters())
        muon = "muon" not in recipe.without
        matrices = [p for n, p in named if p.dim() == 2 and "embed" not in n and muon]
        chosen = {id(p) for p in matrices}
        self.rest = [p for _, p in named if id(p) not in chosen]
        self.muon = Muon(matrices)
        self.adamw = torch.optim.AdamW(self.rest, betas=(0.9, 0.98), weight_decay=0.0)
        self.stream = _stream(recipe, self.tokenizer)
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self.forward = _compiled(self._hidden) if recipe.compile else self._hidden

    def _hidden(self, inputs: Any, seen: Any, positions: Any) -> Any:
        lfm2 = self.recipe.form == "lfm2"
        masks = {"full_attention": seen, "conv": None} if lfm2 else seen
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
        loss = self._loss(self.stream.batch(self.step).to(self.device))
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

        with autocast(self.model, self.precision):
            hidden = self.forward(batch.inputs, batch.seen, batch.positions)
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
            "history": self.history,
        }
        beside = path.with_suffix(".tmp")
        torch.save(state, beside)
        beside.replace(path)

    def resume(self, path: Path) -> bool:
        """Go on from a checkpoint of the same recipe, if there is one."""
        import torch

        kept = kept_recipe(path)
        if kept is None or weighty(kept) != weighty(self.recipe):
            return False
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.adamw.load_state_dict(state["adamw"])
        self.muon.load_state_dict(state["muon"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.history = state["history"]
        return True


def _compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    # What was compiled for an earlier run would count against the limit of versions of one function,
    # beyond which the compiler gives up and a run becomes slower than it need be.
    torch.compiler.reset()
    return torch.compile(forward, dynamic=False)


def kept_recipe(path: Path) -> Recipe | None:
    """The recipe of a checkpoint, if there is one.

    Raises:
        UserError: The checkpoint is damaged.
    """
    import torch

    if not path.exists():
        return None
    try:
        return recipe_of(torch.load(path, weights_only=True, mmap=True)["recipe"])
    except Exception as error:
        raise UserError(
            f"{path} is damaged and cannot be gone on from. Delete it, or choose another --out."
        ) from error


def recipe_of(kept: Mapping[str, Any]) -> Recipe:
    """A recipe as it was written down."""
    return Recipe(**{**kept, "without": tuple(kept["without"])})


def weighty(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides the weights."""
    return {k: v for k, v in asdict(recipe).items() if k not in _FREE}


def _model(recipe: Recipe, tokens: int) -> Any:
    vocabulary = -(-tokens // 64) * 64
    wired = "start" not in recipe.without
    model = build_model(vocabulary, recipe.width, recipe.layers, recipe.seed, recipe.form, wired)
    model.set_attn_implementation(attention_in_blocks())
    return model


def _stream(recipe: Recipe, tokenizer: Any) -> Stream:
    simple = 0 if "simple" in recipe.without else min(recipe.simple, recipe.tokens // 3)
    masked = "masking" not in recipe.without
    return Stream(
        tokenizer, recipe.seed, recipe.rows, recipe.length, recipe.mixture, simple, masked
    )
