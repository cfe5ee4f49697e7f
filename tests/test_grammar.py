"""Constrained answers: every one is a call of a tool at hand, whatever the model would rather say."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.pocket import MODEL_DIR
from finetune.pocket.start import build_model
from finetune.pocket.tokenizer import build_tokenizer, load_tokenizer
from instar._grammar import Guides
from instar._toolparse import parse_reply
from instar.errors import UserError
from instar.llm_local import LocalEngine
from instar.types import Sampling, ToolSpec

pytest.importorskip("llguidance")

TEMPLATE = """
{%- if tools %}<tools>{% for t in tools %}{{ t | tojson }}{% endfor %}</tools> answer with
<tool_call>{"name": NAME, "arguments": {}}</tool_call>{% endif %}
{%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"""


def spec(name: str, required: str = "", volatile: str = "", **properties: Any) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": required.split()}
    return ToolSpec(name=name, parameters=schema, volatile=tuple(volatile.split()))


TEXT = {"type": "string"}
TOOLS = [
    spec("click", "element ref", "ref", element=TEXT, ref=TEXT),
    spec("refund", "order", order=TEXT, code=TEXT, reason=TEXT),
    spec("set_level", "level", level={"type": "integer"}, share={"type": "number"}),
    spec("turn", "on", on={"type": "boolean"}, mode={"enum": ["very slow", "e7"]}),
    spec("finish", answer={"anyOf": [TEXT, {"type": "null"}]}),
]


def sound(calls: Any, tools: list[ToolSpec]) -> bool:
    """Whether there are calls, of these tools, with what they require in its type."""
    types = {"string": str, "integer": int, "number": int | float, "boolean": bool}
    specs = {t.name: t for t in tools}
    for call in calls:
        if call.name not in specs:
            return False
        schema = specs[call.name].parameters
        if not set(schema["required"]) <= set(call.arguments) <= set(schema["properties"]):
            return False
        for name, value in call.arguments.items():
            told = schema["properties"][name]
            if value not in told.get("enum", [value]):
                return False
            if not isinstance(value, types.get(told.get("type", ""), object)):
                return False
    return bool(calls)


async def answers(folder: Path, tools: list[ToolSpec], n: int, **sampling: Any) -> list[Any]:
    engine = LocalEngine(folder, "cpu", constrained=True)
    model = engine.client()
    asked = [
        [{"role": "user", "content": f'button "Save {i}" e{i}\ntask: do {i}'}] for i in range(n)
    ]
    replies = await asyncio.gather(
        *(model.complete(a, tools, Sampling(seed=i, **sampling)) for i, a in enumerate(asked))
    )
    await engine.close()
    return replies


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer()


@pytest.fixture(scope="module")
def pocket_like(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    build_model(len(tokenizer) + 3, width=32, layers=2, seed=1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def qwen_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("qwen")
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(['{"name": "refund", "arguments": {"order": "12"}}'] * 9, trainer)
    raw.add_tokens(["<tool_call>", "</tool_call>", "<think>", "</think>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
    )
    tokenizer.save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=len(tokenizer) + 5,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def follows(guides: Guides, tokenizer: Any, text: str, tools: list[ToolSpec] = TOOLS) -> bool:
    """Whether each token of a text, and then the end, was allowed after those before."""
    ids = tokenizer(text)["input_ids"]
    guide = guides.start(tools)
    return all(guide.allowed(ids[:i], 500)[token] for i, token in enumerate(ids))


LINES = {
    '<|call|>click "Save all" e7<|end|>': True,
    'As m1 says: "x" <- y.<|call|>click "Save all" e7<|end|>': True,
    '<|call|>refund "1-2 \\"b\\" C:\\é"<|end|>': True,
    "<|call|>refund e7<|end|>": True,
    '<|call|>refund "1" - "because"<|end|>': True,
    '<|call|>refund "1" "-" e12<|end|>': True,
    '<|call|>set_level "-12" "3.05"<|end|>': True,
    '<|call|>turn "true" "very slow"<|end|>': True,
    '<|call|>turn "true" e7<|end|>': True,
    "<|call|>finish<|end|>": True,
    '<|call|>finish ""<|end|>': True,
    '<|call|>finish "a"<|call|>finish<|end|>': True,
    "I do not know.<|end|>": False,
    "two\nlines<|call|>finish<|end|>": False,
    "<|call|>fetch<|end|>": False,
    '<|call|>click "Save all"<|end|>': False,
    '<|call|>click "Save all" "e7"<|end|>': False,
    '<|call|>refund "1" -<|end|>': False,
    '<|call|>refund - "1"<|end|>': False,
    '<|call|>refund "1" "2" "3" "4"<|end|>': False,
    '<|call|>refund "1<|end|>': False,
    '<|call|>refund "</think>"<|end|>': False,
    '<|call|>set_level "012"<|end|>': False,
    '<|call|>set_level "1.5"<|end|>': False,
    '<|call|>turn "yes"<|end|>': False,
    '<|call|>turn "true" "fast"<|end|>': False,
}


@pytest.mark.parametrize("shipped", [True, False])
def test_compact_lines_that_follow_the_grammar_and_lines_that_do_not(
    tokenizer: Any, shipped: bool
) -> None:
    tokenizer = load_tokenizer(MODEL_DIR) if shipped else tokenizer
    guides = Guides(tokenizer, len(tokenizer), [tokenizer.eos_token_id])
    assert {line: follows(guides, tokenizer, line) for line in LINES} == LINES
    assert all(sound(parse_reply(line, TOOLS)[1], TOOLS) for line, right in LINES.items() if right)


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
async def test_the_shipped_pocket_always_calls_a_tool(temperature: float) -> None:
    replies = await answers(MODEL_DIR, TOOLS, 12, temperature=temperature, max_tokens=160)
    assert all(sound(r.calls, TOOLS) for r in replies)


@pytest.mark.parametrize("most", [60, 200])
async def test_a_model_that_knows_nothing_is_led_to_the_end(pocket_like: Path, most: int) -> None:
    for temperature in (0.0, 2.0):
        replies = await answers(pocket_like, TOOLS, 12, temperature=temperature, max_tokens=most)
        assert all(sound(r.calls, TOOLS) and r.finish == "stop" for r in replies)
    assert len({r.model_dump_json(include={"content", "calls"}) for r in replies}) > 6


@pytest.mark.parametrize("temperature", [0.0, 2.0])
async def test_json_follows_the_schemas(qwen_like: Path, temperature: float) -> None:
    replies = await answers(qwen_like, TOOLS, 8, temperature=temperature, max_tokens=250)
    assert all(sound(r.calls, TOOLS) and r.finish == "stop" for r in replies)


def test_json_in_the_form_that_qwen_writes(qwen_like: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(qwen_like)
    guides = Guides(tokenizer, len(tokenizer) + 5, [tokenizer.eos_token_id])

    def call(name: str, **arguments: Any) -> str:
        body = json.dumps({"name": name, "arguments": arguments})
        return f"<tool_call>\n{body}\n</tool_call>"

    nested = spec("plan", "at", at={"$ref": "#/$defs/place"})
    nested.parameters["$defs"] = {"place": {"type": "object", "properties": {"x": TEXT}}}
    tools = [*TOOLS, nested]
    texts = {
        call("refund", order='a "b" é', reason="c") + "<|im_end|>": True,
        call("refund", order="€").replace("\\u20ac", "€") + "<|im_end|>": True,
        "<think>\nSo.\n</think>\n\n" + call("finish") + "<|im_end|>": True,
        f"Hm.\n{call('finish')}\n{call('set_level', level=3)}<|im_end|>": True,
        call("plan", at={"x": "y"}) + "<|im_end|>": True,
        "Hm.<|im_end|>": False,
        call("refund", reason="c") + "<|im_end|>": False,
        call("refund", order=1) + "<|im_end|>": False,
        call("refund", order="1", colour="red") + "<|im_end|>": False,
        call("fetch") + "<|im_end|>": False,
    }
    assert {t: follows(guides, tokenizer, t, tools) for t in texts} == texts


async def test_what_was_a_call_already_stays_as_it_was_and_plain_questions_stay_free() -> None:
    text = 'button "Save" e3\nbutton "Back" e4\ntask: please click Save'
    asked, said = [{"role": "user", "content": text}], []
    for constrained in (False, True):
        engine = LocalEngine(MODEL_DIR, "cpu", constrained=constrained)
        model = engine.client()
        free, call = await asyncio.gather(
            model.complete(asked, (), Sampling(max_tokens=30)),
            model.complete(asked, TOOLS, Sampling(max_tokens=100)),
        )
        said.append([(r.content, [(c.name, c.arguments) for c in r.calls]) for r in (free, call)])
        assert (engine._guides is None) is not constrained
        await engine.close()
    assert said[0] == said[1] and sound(call.calls, TOOLS)


async def test_rows_that_are_answered_in_step_end_where_they_end(
    tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer.save_pretrained(tmp_path)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        sliding_window=8,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    MistralForCausalLM(config).save_pretrained(tmp_path)
    replies = await answers(tmp_path, TOOLS, 6, temperature=1.0, max_tokens=80)
    assert all(sound(r.calls, TOOLS) for r in replies)
    assert len({r.usage.completion_tokens for r in replies}) > 1


def test_other_formats_are_refused_with_the_way_out() -> None:
    tokenizer = load_tokenizer(MODEL_DIR)
    for template in (None, "{{ messages }}", TEMPLATE):
        tokenizer.chat_template = template
        with pytest.raises(UserError, match=r"-o model\.constrained=false"):
            Guides(tokenizer, len(tokenizer), [6])
    tokenizer.add_tokens(["<tool_call>", "</tool_call>"])
    tokenizer.chat_template = TEMPLATE + "<function=NAME>"
    with pytest.raises(UserError, match="no grammar here"):
        Guides(tokenizer, len(tokenizer), [6])


def test_masks_are_as_wide_as_the_logits(tokenizer: Any) -> None:
    guide = Guides(tokenizer, 2048, [tokenizer.eos_token_id]).start(TOOLS)
    mask = guide.allowed([], 500)
    assert mask.shape == (2048,) and mask.dtype == np.bool_
    assert mask.any() and not mask[len(tokenizer) :].any() and not mask[tokenizer.eos_token_id]
