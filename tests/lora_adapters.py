"""Real LoRA adapters over a tiny real model, made without training: their weights are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finetune.registry import base_hash, seal, workspace_beside
from finetune.train._model import quiet
from instar.types import Adapter

TARGETS = ("q_proj", "down_proj")


def tiny_base(folder: Path) -> Path:
    """A Llama of a few thousand parameters."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def load(base: Path, adapter: Path | None = None) -> Any:
    """The base in memory, with an adapter on it if there is one."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(base)
        return model if adapter is None else PeftModel.from_pretrained(model, str(adapter)).eval()


def adapter(
    base: Path,
    root: Path,
    draw: int = 1,
    scale: float = 0.5,
    parent: str | None = None,
    **lora: Any,
) -> Adapter:
    """An adapter in the folder of adapters, sealed, with both matrices drawn at random."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(draw)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": list(TARGETS), "task_type": "CAUSAL_LM"}
    model = get_peft_model(load(base), LoraConfig(**{**settings, **lora}))
    for name, weight in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=scale)
    written = workspace_beside(root)
    model.save_pretrained(str(written), save_embedding_layers=False)
    (written / "README.md").unlink(missing_ok=True)
    return seal(
        written,
        root,
        base=base_hash(base),
        parent=parent,
        dataset=f"d{draw}",
        recipe={"trainer": "sft", "draw": draw},
        metrics={"rows_used": 10 * draw, "losses": [[i, 1.0] for i in range(99)]},
    )
