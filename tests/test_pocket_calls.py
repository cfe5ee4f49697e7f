"""Generated rows of tools of all kinds, and stories with the memory to write, read a second way."""

import random
import re

import pytest

from finetune.pocket.calls import call_row
from finetune.pocket.office import Words
from finetune.pocket.reflections import reflect_row
from instar._toolparse import parse_reply
from instar.render import call_line
from instar.types import ToolSpec
from memory.distill._slots import Slots

QUOTED = r"(?:\"([^\"]*)\"|'([^']*)')"
MANY = re.compile(r"; |\. |, then | and | then ")
"""What may stand between two calls of a request."""


def words(seed):
    return Words(random.Random(seed), False)


def specs(lines):
    found = {}
    for line in (*lines, "finish answer?"):
        name, *params = line.split(" ")
        schema = {
            "type": "object",
            "properties": {p.rstrip("?"): {"type": "string"} for p in params},
            "required": [p for p in params if not p.endswith("?")],
        }
        found[name] = ToolSpec(name=name, parameters=schema)
    return found


def read(line, tools):
    content, (call,) = parse_reply(f"<|call|>{line}<|end|>", list(tools.values()))
    assert content == ""
    return call


def given(text, params):
    """What some of the wordings say of parameters, where the value is in quotes."""
    frames = ("{p}: {q}", "set {p} to {q}", "with {p} {q}", "{p} = {q}", "{q} as {p}(?=[,.;:]|$)")
    frames += ("{p} is {q}", "{p} should be {q}", "use {q} for {p}(?=[,.;:]|$)", "make the {p} {q}")
    said = []
    for param in params:
        name = f"(?:{re.escape(param)}|{re.escape(param.replace('_', ' '))})"
        for frame in frames:
            pattern = r"(?<![\w_])" + frame.format(p=name, q=QUOTED)
            if frame.startswith("{q}"):
                pattern = frame.format(p=name, q=QUOTED)
            said += [(param, a or b) for a, b in re.findall(pattern, text)]
    return said


@pytest.fixture(scope="module")
def rows():
    return [call_row(words(seed), 6) for seed in range(300)]


@pytest.fixture(scope="module")
def asked(rows):
    return [(specs(lines), seen, one) for lines, seen, pairs in rows for one in pairs]


def test_rows_are_drawn_by_seed_and_hold_what_they_promise(rows, asked):
    assert rows[:20] == [call_row(words(seed), 6) for seed in range(20)]
    assert {one.skill for _, _, one in asked} == {"call", "stop", "error", "answer"}
    lines = [line for lines, _, _ in rows for line in lines]
    assert {len(r[0]) for r in rows} <= set(range(3, 10)) and len(lines) > 600
    assert {line.count(" ") for line in lines} == {0, 1, 2, 3, 4}
    assert not any(re.search(r"\?.* \S+[^? ](?: |$)", line) for line in lines)
    assert any("_" in line.split(" ")[0] for line in lines)
    for names in ([line.split(" ")[0] for line in r[0]] for r in rows):
        assert len(set(names)) == len(names) and "finish" not in names
    assert any(not seen for _, seen, _ in rows) and any("\n" in seen for _, seen, _ in rows)


def test_calls_are_what_render_would_write_and_take_their_values_from_the_request(asked):
    marks = 0
    for tools, _, one in asked:
        call = read(one.call, tools)
        spec = tools[call.name]
        assert call_line(call, spec) == one.call
        assert set(spec.parameters["required"]) <= set(call.arguments)
        if one.skill in ("call", "error"):
            for value in call.arguments.values():
                assert value in one.task or value in ("true", "false")
        marks += " - " in one.call
    assert marks > 10


def test_history_reads_back_as_render_would_write_it(asked):
    for tools, _, one in asked:
        for line in one.done:
            call = read(line.split(" -> ")[0], tools)
            assert call_line(call, tools.get(call.name)) == line.split(" -> ")[0]


def test_a_second_reading_of_the_request_finds_the_same_tool_and_values(asked):
    compared = 0
    for tools, _, one in asked:
        if one.skill not in ("call", "error") or len(one.done) != (one.skill == "error"):
            continue
        call = read(one.call, tools)
        for part in call.name.split("_"):
            assert re.search(rf"(?<![^\W_]){part}(?:s|ed|ing)?(?![^\W_])", one.task, re.I)
        if MANY.search(one.task):
            continue
        for param, value in given(one.task, tools[call.name].argument_names()):
            assert call.arguments[param] == value
            compared += 1
    assert compared > 30


def test_what_a_request_does_not_speak_of_is_left_out(asked):
    left_out = 0
    for tools, _, one in asked:
        call = read(one.call, tools)
        if one.skill == "call" and not MANY.search(one.task) and not one.done:
            for param in set(tools[call.name].argument_names()) - set(call.arguments):
                name = param.replace("_", "[_ ]")
                assert not re.search(rf"(?<![^\W_]){name}(?![^\W_])", one.task)
                left_out += 1
    assert left_out > 40


def test_all_is_done_when_it_stops_and_everything_that_was_said_was_done(asked):
    compared = 0
    for tools, _, one in asked:
        if one.skill != "stop":
            continue
        assert one.call == "finish" and one.done
        calls = [read(line.split(" -> ")[0], tools) for line in one.done]
        params = {p for c in calls if c.name in tools for p in tools[c.name].argument_names()}
        for param, value in given(one.task, params):
            assert any(c.arguments.get(param) == value for c in calls)
            compared += 1
    assert compared > 10


def test_answers_stand_in_the_last_result_or_in_what_is_seen(asked):
    sources = set()
    for tools, seen, one in asked:
        if one.skill == "answer":
            answer = read(one.call, tools).arguments["answer"]
            source = one.done[-1].split(" -> ", 1)[1] if one.done else seen
            assert one.said in source and answer in (one.said or source)
            assert one.said or answer == source
            key = one.said.removeprefix("the ").split(" ")[0].rstrip(":")
            assert key in one.task
            sources.add((bool(one.done), bool(one.said)))
    assert sources == {(True, True), (True, False), (False, True)}


def test_after_a_refusal_for_its_form_the_call_is_put_right(asked):
    kinds = set()
    for tools, _, one in asked:
        if one.skill != "error":
            continue
        line, told = one.done[-1].split(" -> ", 1)
        wrong, right = read(line, tools), read(one.call, tools)
        assert one.said in told
        if one.said.startswith("no tool "):
            assert wrong.name == one.said.removeprefix("no tool ") and wrong.name not in tools
            assert list(wrong.arguments.values()) == list(right.arguments.values())
        elif one.said.endswith(" is missing"):
            missing = one.said.removesuffix(" is missing")
            assert missing not in wrong.arguments and missing in right.arguments
        else:
            assert one.said.split(" ")[-1] not in tools[right.name].argument_names()
        kinds.add(re.sub(r"\S+$|^\S+ is", "", one.said))
    assert len(kinds) == 3


def _story(body):
    done, task, ended = re.fullmatch(
        r"done:\n(.*)\ntask: (.*)\nended: (success|failure)", body, re.DOTALL
    ).groups()
    return [line.split(" -> ", 1) for line in done.split("\n")], task, ended


def _values(when, task):
    """Values by the number of their slots, from the two forms of the task."""
    numbers = list(dict.fromkeys(re.findall(r"\$(\d)", when)))
    pattern = re.escape(when)
    for number in numbers:
        slot = re.escape(f"${number}")
        pattern = pattern.replace(slot, f"(?P<v{number}>.+?)", 1).replace(slot, f"(?P=v{number})")
    found = re.fullmatch(pattern, task)
    return [found[f"v{n}"] for n in numbers]


@pytest.fixture(scope="module")
def stories():
    return [pair for seed in range(60) for pair in reflect_row(words(seed), 5)[1]]


def test_stories_are_drawn_by_seed_and_end_both_ways_through_both_doors(stories):
    assert reflect_row(words(3), 5) == reflect_row(words(3), 5)
    assert reflect_row(words(3), 5)[0] == ""
    bodies = [body for body, _ in stories]
    for ended in ("success", "failure"):
        ends = [b for b in bodies if b.endswith(f"ended: {ended}")]
        assert len(ends) > 80
        assert any("\nclick " in b for b in ends) and any("click " not in b for b in ends)
    assert any(re.search(r"^click \"[^\"]*\" e\d+ ", b, re.M) for b in bodies)


def test_memories_are_what_the_distillers_lift_from_the_story(stories):
    got_round = 0
    for body, memory in stories:
        done, task, ended = _story(body)
        title, when, content = re.fullmatch(
            r"title: (.*)\nwhen: (.*)\ncontent: (.*)", memory
        ).groups()
        slots = Slots(_values(when, task))
        assert slots.put(task) == when and title in when
        assert re.findall(r"\$\d", title) == re.findall(r"\$\d", when)
        assert not re.match(r"please|could you|for ", title) and not re.search(
            r"please$|\.$", title
        )
        calls = [parse_reply(f"<|call|>{re.sub(r' e[0-9]+', '', c)}", [])[1][0] for c, _ in done]
        lifted = [slots.line(c, None) for c in calls]
        if ended == "failure":
            assert content == f"{lifted[-1]} -> {slots.put(done[-1][1])}"
            continue
        made = [line for line in lifted if line != "finish"]
        *kept, last = content.split("; ")
        assert last == "finish" and kept == made[len(made) - len(kept) :]
        got_round += len(made) > len(kept)
    assert got_round
