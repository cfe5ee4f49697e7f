"""Seconds of a LoRA training: our trainer against a plain script with TRL's ``SFTTrainer``.

Both train an adapter of the same rank on the same generated rows of at most so many tokens, once
through, with the same rows a step, rate and precision, from the folder of the model to the adapter
on disk. Ours makes logits of answers only (`finetune.train._loss`) and of pocket's short convolutions
shifted products (`finetune._convolution`); what it does beside, such as rows of an earlier training,
is switched off. The plain script leaves everything else at its default. They take turns, after a
first turn on a few rows that is left out. That the base stays as it was is seen by the hash of its
files, and by our trainer on the weights in memory.

    python -m benchmarks.perf.lora [--model DIR] [--device cuda] [--precision fp32]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from finetune.curate.base import RowSet
from finetune.pocket.words import ROLES, pseudo_word
from finetune.registry import base_hash
from finetune.train import _model
from finetune.train.sft import SupervisedFineTuning
from instar.contracts import Dataset as Data

__all__ = ["Setup", "Trained", "draw", "measure", "ours", "plain"]

_LORA = {"rank": 8, "alpha": 16}
_WARM = 8
_LINES = (2, 40)
_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Setup:
    """What both trainings have in common."""

    model: Path
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    batch: int = 8
    longest: int = 512
    rate: float = 1e-3


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        seconds: From the folder of the model to the adapter on disk.
        loop: Of these, in the steps alone.
        steps: How many.
        loss: Of the last step, nats a token.
        size: Bytes of the adapter's weights.
        memory: Most bytes on the GPU; None without one.
    """

    seconds: float
    loop: float
    steps: int
    loss: float
    size: int
    memory: int | None


Train: TypeAlias = Callable[[Setup, RowSet, Path], Trained]


def draw(model: Path, count: int, longest: int, seed: int = 0) -> RowSet:
    """Rows of one call on a page, none longer than so many tokens of the model's own."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        row = _row(rng)
        text = tokenizer.apply_chat_template(
            row["prompt"] + row["completion"], tools=row["tools"], tokenize=False
        )
        if len(tokenizer(text, add_special_tokens=False)["input_ids"]) < longest:
            rows.append(row)
    return RowSet.of(rows, {})


def _row(rng: random.Random) -> dict[str, Any]:
    name, record, value = (
        rng.choice(("tag", "note")),
        pseudo_word(rng, False),
        str(rng.randrange(99)),
    )
    lines = [
        f'{rng.choice(ROLES)} "{pseudo_word(rng, False)}" e{n}' for n in range(rng.randint(*_LINES))
    ]
    function = {"name": name, "arguments": {"record": record, "value": value}}
    call = {"id": "call00000", "type": "function", "function": function}
    task = f"task: {name} {record} with {value}"
    return {
        "prompt": [
            {"role": "system", "content": "act with one call"},
            {"role": "user", "content": "\n".join([*lines, task])},
        ],
        "completion": [{"role": "assistant", "content": "", "tool_calls": [call]}],
        "tools": [_tool("tag"), _tool("note")],
    }


def _tool(name: str) -> dict[str, Any]:
    text = {"type": "string"}
    parameters = {
        "type": "object",
        "properties": {"record": text, "value": text},
        "required": ["record", "value"],
    }
    function = {"name": name, "description": f"{name} a record", "parameters": parameters}
    return {"type": "function", "function": function}


def ours(setup: Setup, rows: RowSet, out: Path) -> Trained:
    """By the trainer that ``instar evolve`` uses."""
    config = SupervisedFineTuning.Config(
        **_LORA,
        lr=setup.rate,
        batch=setup.batch,
        epochs=1,
        max_steps=len(rows.rows),
        seconds=None,
        max_length=setup.longest,
        known=None,
        replay=False,
        anchors=0,
        save_seconds=None,
        device=setup.device,
        precision=setup.precision,
    )
    began = _begin()
    data = cast(Data, rows)
    adapter = SupervisedFineTuning(config).train(data, setup.model, None, out, 0)
    found: Mapping[str, Any] = adapter.metrics
    size = (Path(adapter.path) / _WEIGHTS).stat().st_size
    return _trained(began, found["seconds"], found["steps"], found["loss_last"], size)


def plain(setup: Setup, rows: RowSet, out: Path) -> Trained:
    """As the documentation of TRL does it."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    device, precision = _model.placement(setup.device, setup.precision)
    lora = {"r": _LORA["rank"], "lora_alpha": _LORA["alpha"]}
    began = _begin()
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(
            setup.model, dtype="bfloat16" if (device, precision) == ("cuda", "bf16") else "float32"
        ),
        args=SFTConfig(
            output_dir=str(out),
            num_train_epochs=1,
            per_device_train_batch_size=setup.batch,
            learning_rate=setup.rate,
            max_length=setup.longest,
            bf16=precision == "bf16",
            gradient_checkpointing=False,
            use_cpu=device == "cpu",
            dataloader_pin_memory=device != "cpu",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([dict(row) for row in rows.rows]),
        processing_class=AutoTokenizer.from_pretrained(setup.model),
        peft_config=LoraConfig(**lora, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.remove_callback(PrinterCallback)
    done = trainer.train()
    trainer.save_model(str(out))
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    size = (out / _WEIGHTS).stat().st_size
    return _trained(began, done.metrics["train_runtime"], done.global_step, losses[-1], size)


def _begin() -> float:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return time.perf_counter()


def _trained(began: float, loop: float, steps: int, loss: float, size: int) -> Trained:
    import torch

    seconds = time.perf_counter() - began
    memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return Trained(seconds, loop, steps, loss, size, memory)


def measure(
    setup: Setup, count: int, rounds: int, trainers: Mapping[str, Train] | None = None
) -> dict[str, Any]:
    """Train in turns.

    Args:
        setup: What is trained, and where.
        count: Rows.
        rounds: Trainings of each that are counted.
        trainers: By name; the first is the one that the other is compared with.

    Returns:
        For each trainer medians of its figures; the ratio of seconds; whether the base is as before.
    """
    trainers = trainers or {"ours": ours, "plain": plain}
    before = base_hash(setup.model)
    rows = draw(setup.model, count, setup.longest)
    few = RowSet.of(rows.rows[:_WARM], {})
    taken: dict[str, list[Trained]] = {name: [] for name in trainers}
    order = list(trainers)
    for turn in range(rounds + 1):
        order = order[1:] + order[:1]
        for name in order:
            with tempfile.TemporaryDirectory() as out, _model.quiet():
                trained = trainers[name](setup, rows if turn else few, Path(out) / "adapters")
            if turn:
                taken[name].append(trained)
    first, other = taken
    pairs = zip(taken[first], taken[other], strict=True)
    return {
        "model": setup.model.name,
        "rows": len(rows.rows),
        **{name: _medians(them) for name, them in taken.items()},
        f"{other}/{first}": statistics.median(b.seconds / a.seconds for a, b in pairs),
        "base_unchanged": base_hash(setup.model) == before,
    }


def _medians(taken: list[Trained]) -> dict[str, float | None]:
    found: dict[str, float | None] = {
        name: round(statistics.median(getattr(t, name) for t in taken), 4)
        for name in ("seconds", "loop", "steps", "loss", "size")
    }
    memory = [t.memory for t in taken if t.memory is not None]
    return found | {"memory": max(memory) if memory else None}


def main() -> None:
    """Print the figures as one JSON object."""
    from finetune.pocket import MODEL_DIR

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL_DIR, help="A transformers folder.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--longest", type=int, default=512, help="Tokens of a row at most.")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    setup = Setup(given.model, given.device, given.precision, given.batch, given.longest)
    print(json.dumps(measure(setup, given.rows, given.rounds)))


if __name__ == "__main__":
    main()
