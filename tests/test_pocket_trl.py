"""Pocket's tokenizer in TRL: its template and its calls as `GRPOTrainer` with tools asks for them.

TRL wants three things of a tokenizer. Its template has to show the arguments' names also where no
tools are given, which lines with positional values do not; so there, and only there, names are
written. A ``response_template`` has to be set, or TRL looks for one of its own. And calls have to be
read with the tools at hand, for only these tell which argument a position is; transformers' templates
of responses cannot do that, so reading goes through `parse_reply`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune.pocket.start import build_model
from finetune.pocket.tokenizer import build_tokenizer

pytest.importorskip("trl")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer()


def refund(order: str, code: str = "", amount: int = 0) -> str:
    """Give money back.

    Args:
        order: The order.
        code: Its code.
        amount: How much.
    """
    return f"refunded {order} {code} {amount}"


def test_the_template_is_taken_as_it_is(tokenizer: Any) -> None:
    from trl.chat_template_utils import (
        get_training_chat_template,
        is_chat_template_prefix_preserving,
        is_chat_template_stop_token_trained,
        supports_tool_calling,
    )

    assert supports_tool_calling(tokenizer)
    assert is_chat_template_prefix_preserving(tokenizer)
    assert is_chat_template_stop_token_trained(tokenizer)
    assert get_training_chat_template(tokenizer) is None


def test_names_are_written_only_where_no_tools_are_given(tokenizer: Any) -> None:
    from transformers.utils import get_json_schema

    call = {"name": "refund", "arguments": {"order": "7", "amount": 3}}
    messages = [
        {"role": "user", "content": "task"},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": call}]},
    ]
    shown = tokenizer.apply_chat_template(messages, tools=[get_json_schema(refund)], tokenize=False)
    assert shown.endswith('<|call|>refund "7" - "3"<|end|>')
    bare = tokenizer.apply_chat_template(messages, tokenize=False)
    assert bare.endswith('<|call|>refund order "7" amount "3"<|end|>')


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ('Now.<|call|>refund "7" - "3"<|end|>', [{"order": "7", "amount": 3}]),
        (
            '<|call|>refund "7"<|call|>refund "8" "c"<|end|>',
            [{"order": "7"}, {"order": "8", "code": "c"}],
        ),
        ("I will not.<|end|>", []),
    ],
)
def test_calls_are_read_with_the_tools(
    tokenizer: Any, said: str, calls: list[dict[str, Any]]
) -> None:
    from trl.chat_template_utils import parse_response

    prompt = tokenizer("<|user|>task<|assistant|>")["input_ids"]
    ids = tokenizer(said)["input_ids"]
    found = parse_response(tokenizer, ids, prefix=prompt, tools=[refund])
    assert [c["function"]["arguments"] for c in found.get("tool_calls", [])] == calls
    assert "<|" not in found["content"]


def test_without_the_tools_values_stay_one_text(tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    found = loaded.parse_response('Now.<|call|>refund "7" "c"<|end|>', prefix="<|assistant|>")
    assert found["content"] == "Now."
    assert found["tool_calls"][0]["function"] == {
        "name": "refund",
        "arguments": {"values": '"7" "c"'},
    }


def test_a_trainer_takes_one_step_with_tools(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    called: list[str] = []

    def tag(record: str) -> str:
        """Tag a record.

        Args:
            record: Which.
        """
        called.append(record)
        return "ok"

    model = build_model(len(tokenizer), width=32, layers=2, seed=1, form="llama")
    settings = GRPOConfig(
        str(tmp_path),
        max_steps=1,
        per_device_train_batch_size=2,
        num_generations=2,
        max_completion_length=24,
        max_tool_calling_iterations=1,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = GRPOTrainer(
        model,
        reward_funcs=lambda completions, **_: [float(len(c)) for c in completions],
        args=settings,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": "tag 7"}]}] * 2),
        processing_class=tokenizer,
        tools=[tag],
    )
    # An untrained model does not call; its first answer is written for it.
    first = tokenizer('<|call|>tag "7"<|end|>')["input_ids"]
    generate, turns = trainer._generate_single_turn, []

    def answered(prompts: Any, *args: Any, **kwargs: Any) -> Any:
        turns.append(prompts)
        ids, probabilities = generate(prompts, *args, **kwargs)
        return ([first] * len(ids), probabilities) if len(turns) == 1 else (ids, probabilities)

    monkeypatch.setattr(trainer, "_generate_single_turn", answered)
    trainer.train()
    assert called == ["7", "7"]
    assert tokenizer.decode(turns[1][0]).endswith(
        '<|assistant|><|call|>tag "7"<|end|><|user|>ok<|assistant|>'
    )
