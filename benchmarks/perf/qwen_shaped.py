"""Makes a folder that looks to all code like a Qwen model, with weights drawn at random.

Nothing can be downloaded here, and what is to be tried on a large model's code paths (a byte-level
tokenizer, a chat template whose calls are JSON in ``<tool_call>``, grouped attention, tied
embeddings, the size itself) needs no trained weights. What it answers is noise, so it says
something about seconds and memory and nothing about success. Tokenizer and template are made here: the
tokenizer learns from a few generated lines, so its texts come to more tokens than Qwen's own would,
while the large sizes have an embedding as wide as Qwen's.

    python -m benchmarks.perf.qwen_shaped --out DIR [--kind qwen3] [--size 1.5b]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finetune.pocket.words import COMMON, ROLES, pseudo_word

__all__ = ["KINDS", "SIZES", "TEMPLATE", "make"]

KINDS = ("qwen2", "qwen3")
SIZES: dict[str, dict[str, int]] = {
    "test": {"width": 32, "inner": 64, "layers": 2, "heads": 4, "groups": 2},
    "0.5b": {"width": 896, "inner": 4864, "layers": 24, "heads": 14, "groups": 2},
    "1.5b": {"width": 1536, "inner": 8960, "layers": 28, "heads": 12, "groups": 2},
}
_VOCABULARY = 151_936
"""Of all sizes but ``test``, which has that of its tokenizer."""

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
_LINES = 400
_TOKENS = 1024

TEMPLATE = """
{%- macro turn(role) %}{{ '<|im_start|>' + role + '\\n' }}{% endmacro -%}
{%- set head = messages and messages[0].role == 'system' -%}
{%- if tools or head -%}
{{ turn('system') }}{{ messages[0].content if head else '' }}
{%- if tools %}{{ ('\\n\\n' if head else '') + 'You may call these tools, a schema a line:\\n<tools>' }}
{%- for tool in tools %}{{ '\\n' + tool | tojson }}{% endfor %}
{{- '\\n</tools>\\nA call is written so:\\n<tool_call>\\n{"name": "NAME", "arguments": ' }}
{{- '{"KEY": "VALUE"}}\\n</tool_call>' }}
{%- endif %}{{ '<|im_end|>\\n' }}
{%- endif -%}
{%- for message in messages[1 if head else 0:] -%}
{%- if message.role == 'assistant' -%}
{{ turn('assistant') }}{{ message.content or '' }}
{%- for call in message.tool_calls or [] -%}
{{ '' if loop.first and not message.content else '\\n' }}{{ '<tool_call>\\n{"name": "' + call.function.name }}
{{- '", "arguments": ' }}{{ call.function.arguments | tojson }}{{ '}\\n</tool_call>' }}
{%- endfor -%}
{%- elif message.role == 'tool' -%}
{{ turn('user') }}{{ '<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- else -%}
{{ turn(message.role) }}{{ message.content }}
{%- endif -%}{{ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ turn('assistant') }}{% endif -%}
""".strip()
"""Messages between markers, schemas of tools in the system's turn, calls as JSON."""


def make(out: Path, kind: str = "qwen2", size: str = "test", seed: int = 0) -> int:
    """Write model, tokenizer and template into a folder.

    Args:
        out: The folder; what is in it is written over.
        kind: One of `KINDS`.
        size: One of `SIZES`.
        seed: Of the weights and of the lines that the tokenizer learns from.

    Returns:
        Number of parameters.
    """
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = _tokenizer(seed)
    torch.manual_seed(seed)
    dtype = torch.float32 if size == "test" else torch.bfloat16
    model = AutoModelForCausalLM.from_config(_config(kind, size, tokenizer), dtype=dtype)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return int(model.num_parameters())


def _config(kind: str, size: str, tokenizer: Any) -> Any:
    from transformers import Qwen2Config, Qwen3Config

    shape = SIZES[size]
    shared = {
        "vocab_size": len(tokenizer) if size == "test" else _VOCABULARY,
        "hidden_size": shape["width"],
        "intermediate_size": shape["inner"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["groups"],
        "tie_word_embeddings": True,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if kind == "qwen2":
        return Qwen2Config(**shared)
    return Qwen3Config(**shared, head_dim=shape["width"] // shape["heads"])


def _tokenizer(seed: int) -> Any:
    """Bytes and what is often side by side in generated lines."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_TOKENS,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(_lines(random.Random(seed)), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        chat_template=TEMPLATE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _lines(rng: random.Random) -> Iterator[str]:
    """Lines like those of a page, of a request and of a call."""
    for number in range(_LINES):
        role, word, other = rng.choice(ROLES), rng.choice(COMMON), pseudo_word(rng, False)
        yield f'{role} "{word} {other}" e{number % 100}'
        yield f"task: {word} the {other} and {rng.choice(COMMON)} it"
        yield f'{{"name": "{word}", "arguments": {{"record": "{other}", "value": "{number}"}}}}'


def main() -> None:
    """Make a folder and say how large the model is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kind", choices=KINDS, default="qwen2")
    parser.add_argument("--size", choices=sorted(SIZES), default="test")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    parameters = make(given.out, given.kind, given.size, given.seed)
    print(f"{given.out}: {given.kind} of {parameters:,} parameters, drawn at random")


if __name__ == "__main__":
    main()
