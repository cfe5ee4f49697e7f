import pytest

from instar._toolparse import RAW, decode_arguments, parse_reply
from instar.render import call_line
from instar.types import ToolCall, ToolSpec
from memory.distill._slots import Slots


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


REFUND = spec("refund", order="string", code="integer", note="string", reason="string")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"order": "12", "reason": "because"}, 'refund "12" - - "because"'),
        ({"order": "12", "code": 5, "reason": "because"}, 'refund "12" "5" - "because"'),
        ({"reason": "-", "order": "-"}, 'refund "-" - - "-"'),
        ({"code": -5}, 'refund - "-5"'),
        ({"order": "12"}, 'refund "12"'),
        ({}, "refund"),
    ],
)
def test_a_bare_mark_stands_for_an_argument_left_out_before_another(arguments, line):
    call = ToolCall(id="1", name="refund", arguments=arguments)
    assert call_line(call, REFUND) == line
    assert Slots([]).line(call, REFUND) == line
    read = parse_reply(f"<|call|>{line}<|end|>", [REFUND])[1]
    assert [(c.name, c.arguments) for c in read] == [("refund", arguments)]


def test_what_is_volatile_is_left_out_without_a_mark_and_without_a_schema_nothing_is_marked():
    fill = TOOLS[0].model_copy(update={"volatile": ("ref",)})
    call = ToolCall(id="1", name="fill", arguments={"text": "a b", "element": "city", "ref": "e1"})
    assert call_line(call, fill) == 'fill "city" "a b"'
    assert call_line(call) == 'fill "a b" "city" e1'
    nameless = ToolCall(id="1", name="fill", arguments={"ref": "e1", "text": "a b"})
    assert call_line(nameless, fill) == 'fill - "a b"'
    assert call_line(nameless, TOOLS[0]) == 'fill - e1 "a b"'


def test_a_memory_marks_what_is_left_out_and_keeps_its_slots_bare():
    call = ToolCall(id="1", name="refund", arguments={"order": "12", "reason": "for 12"})
    assert Slots(["12"]).line(call, REFUND) == 'refund $1 - - "for $1"'


def test_a_mark_without_a_schema_counts_as_an_argument():
    assert pairs('<|call|>other "a" - "b"') == [("other", {"argument_1": "a", "argument_3": "b"})]
