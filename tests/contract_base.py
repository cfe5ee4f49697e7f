"""A causal language model of a few kilobytes with a chat template, for trainers to train over."""

from pathlib import Path

import pytest

_TEMPLATE = """\
{% for tool in tools or [] %}{{ tool.function.name }} {% endfor %}
{%- for message in messages %}{{ message.role }}: {{ message.content }}
{%- for call in message.tool_calls or [] %} {{ call.function.name }}
{%- for name, value in call.function.arguments.items() %} {{ name }}="{{ value }}"{% endfor %}{% endfor %}
{%- if message.role == "assistant" %}<|end|>{% endif %}
{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"""


def make_base(folder: Path) -> Path:
    """Write the model and its tokenizer, one token a byte, into a folder."""
    pytest.importorskip("transformers", reason="pip install 'instar[local]'")
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={c: n for n, c in enumerate(letters)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        chat_template=_TEMPLATE,
    )
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=2048,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    LlamaForCausalLM(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
