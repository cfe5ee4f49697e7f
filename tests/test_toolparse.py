import pytest

from instar._toolparse import RAW, decode_arguments, parse_reply
from instar.render import call_line
from instar.types import ToolCall, ToolSpec


def spec(name, **properties):
    return ToolSpec(
        name=name,
        parameters={
            "type": "object",
            "properties": {k: {"type": v} for k, v in properties.items()},
        },
    )


TOOLS = [
    spec("fill", element="string", ref="string", text="string"),
    spec("restock", item="string", quantity="integer"),
    spec("check", ref="string", checked="boolean"),
    spec("price", amount="number"),
    spec("look"),
]
ONE = [("restock", {"item": "plum", "quantity": 12})]
TWO = [*ONE, ("look", {})]
JSON = '{"name": "restock", "arguments": {"item": "plum", "quantity": 12}}'
LLAMA = '{"name": "restock", "parameters": {"item": "plum", "quantity": 12}}'
LOOK = '{"name": "look", "arguments": {}}'


def pairs(text):
    return [(c.name, c.arguments) for c in parse_reply(text, TOOLS)[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"<tool_call>\n{JSON}\n</tool_call>", ONE),
        (f"<tool_call>{JSON}</tool_call>\n<tool_call>{LOOK}</tool_call><|im_end|>", TWO),
        (f"<tool_call>{JSON}", ONE),
        (f"<tool_call>{JSON}\n<tool_call>{LOOK}", TWO),
        (LLAMA, ONE),
        (f"{LLAMA}; {LOOK}<|eot_id|>", TWO),
        (f"<|python_tag|>{LLAMA}<|eom_id|>", ONE),
        ('<|python_tag|>restock("plum", 12)', ONE),
        (f"```json\n{LLAMA}\n```", ONE),
        (f'{{"type": "function", "function": {JSON}}}', ONE),
        (f"[TOOL_CALLS] [{JSON}, {LOOK}]</s>", TWO),
        ('[TOOL_CALLS]restock[ARGS]{"item": "plum", "quantity": 12}', ONE),
        ('[TOOL_CALLS]restock{"item": "plum", "quantity": 12}[TOOL_CALLS]look{}', TWO),
        ('[restock(item="plum", quantity=12)]', ONE),
        ('[restock("plum", 12), look()]', TWO),
        ('<|tool_call_start|>[restock(item="plum", quantity=12)]<|tool_call_end|>', ONE),
        ("<|python_start|>[look()]<|python_end|>", [("look", {})]),
        ("[look((1, 2))]", [("look", {"argument_1": [1, 2]})]),
        ("[check(ref='e1', checked=true)]", [("check", {"ref": "e1", "checked": True})]),
        ('<|call|>restock "plum" "12"<|end|>', ONE),
        ('<|call|>restock "plum" "12"<|call|>look<|end|><|pad|><|pad|>', TWO),
        (
            '<|call|>fill "a \\"b\\" c" e12 "x"',
            [("fill", {"element": 'a "b" c', "ref": "e12", "text": "x"})],
        ),
        ('<|call|>check e7 "True"', [("check", {"ref": "e7", "checked": True})]),
        ('<|call|>price "2.5"', [("price", {"amount": 2.5})]),
        ('<|call|>restock "plum" "many"', [("restock", {"item": "plum", "quantity": "many"})]),
        ('<|call|>restock "plum" "true"', [("restock", {"item": "plum", "quantity": "true"})]),
        ('<|call|>look "x"', [("look", {"argument_1": "x"})]),
        ('<|call|>fly "x"', [("fly", {"argument_1": "x"})]),
        ('<|call|>restock "plu', [("restock", {"item": "plu"})]),
    ],
)
def test_formats(text, expected):
    assert pairs(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<|end|>",
        "I would restock [plum] next.",
        '{"answer": 3}',
        '{"name": "plum", "colour": "red"}',
        "[1, 2, 3]",
        '[unknown(a="b")]',
        "<tool_call>nonsense</tool_call>",
        "[TOOL_CALLS] nothing",
        "<|call|>",
        "[restock(item=__import__('os'))]",
        "[look({1, 2})]",
        "[look(b'x')]",
        "[" * 5000,
        "{" * 5000,
    ],
)
def test_text_that_is_no_call(text):
    assert pairs(text) == []


def test_content_is_what_stands_around_the_calls():
    assert parse_reply(f"first this <tool_call>{LOOK}</tool_call>", TOOLS)[0] == "first this"
    assert parse_reply("task: a -> b [m1]<|call|>look<|end|>", TOOLS)[0] == "task: a -> b [m1]"
    assert parse_reply("[look()] done", TOOLS)[0] == "done"
    assert parse_reply("just words<|im_end|>", TOOLS) == ("just words", ())


def test_a_call_inside_a_thought_is_not_meant():
    text = f"<think>perhaps <tool_call>{JSON}</tool_call></think><tool_call>{LOOK}</tool_call>"
    content, calls = parse_reply(text, TOOLS)
    assert [c.name for c in calls] == ["look"]
    assert content.startswith("<think>")


def test_broken_json_with_a_name_becomes_a_call_with_the_raw_text():
    ((name, arguments),) = pairs('<tool_call>{"name": "look", "arguments": {"a": }</tool_call>')
    assert name == "look"
    assert list(arguments) == [RAW]


def test_ids_are_distinct():
    calls = parse_reply(f"[TOOL_CALLS] [{JSON}, {JSON}]", TOOLS)[1]
    assert len({c.id for c in calls}) == 2


def test_decode_arguments():
    assert decode_arguments('{"a": 1}') == {"a": 1}
    assert decode_arguments({"a": 1}) == {"a": 1}
    assert decode_arguments("") == {}
    assert decode_arguments(None) == {}
    assert decode_arguments("[1]") == {RAW: "[1]"}
    assert decode_arguments("{oops") == {RAW: "{oops"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"element": 'say "hi"', "ref": "e12", "text": "two words"},
        {"element": "", "ref": "e1", "text": "back\\slash inside"},
    ],
)
def test_the_compact_form_reads_back_what_render_wrote(arguments):
    line = call_line(ToolCall(id="1", name="fill", arguments=arguments), TOOLS[0])
    assert pairs(f"<|call|>{line}<|end|>") == [("fill", arguments)]
