"""The distillers, on trajectories written by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from instar.types import (
    MemoryItem,
    MemoryKind,
    MemoryOp,
    MemoryStatus,
    OpKind,
    Origin,
    Prompts,
    Result,
    Score,
    ScoreSource,
    Split,
    Status,
    Step,
    StopReason,
    Task,
    ToolCall,
    ToolSpec,
    Trajectory,
)
from memory._life import first_status
from memory.distill.base import after
from memory.distill.rules import Rules
from memory.distill.workflow import Workflow


def spec(name: str, *arguments: str, required: int = 1, **more: Any) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": {a: {"type": "string"} for a in arguments},
        "required": list(arguments[:required]),
    }
    return ToolSpec(name=name, parameters=schema, **{"effects": ("write",), **more})


SHED = (
    spec("polish", "lamp", "grit"),
    spec("oil", "lamp", "kind", required=2),
    spec("stack", "crate", "count", required=2),
    spec("note", "lamp", "words", required=2),
    spec("finish", "answer", required=0),
)
PANEL = (
    spec("click", "element", "ref", required=2, effects=("network",), volatile=("ref",)),
    spec("fill", "element", "ref", "text", required=3, effects=("network",), volatile=("ref",)),
    spec("finish", "answer", required=0),
)

Made = tuple[str, dict[str, Any], str]
"""A tool, its arguments, and what it answered; an answer that begins with ``!`` is an error."""


def lived(
    instruction: str,
    *made: Made,
    passed: bool = True,
    id: str | None = None,
    family: str | None = None,
    tools: tuple[ToolSpec, ...] = SHED,
    namespace: str = "shed/1",
    source: ScoreSource = ScoreSource.ENVIRONMENT,
    split: Split = Split.PRACTISE,
) -> Trajectory:
    family = family or instruction.split()[0]
    door = "panel" if tools is PANEL else "bench"
    task = Task(
        id=f"task {namespace} {instruction}",
        instruction=instruction,
        world="shed",
        namespace=namespace,
        group=f"{family}/{door}",
        family=family,
        split=split,
    )
    steps = tuple(
        Step(
            observation="a shed",
            calls=(ToolCall(id=f"c{i}", name=name, arguments=arguments),),
            results=(Result(text=text.removeprefix("!"), error=text.startswith("!")),),
        )
        for i, (name, arguments, text) in enumerate(made)
    )
    status = Status.PASS if passed else Status.FAIL
    return Trajectory(
        id=id or f"{namespace} {instruction} {[m[:2] for m in made]}",
        task=task,
        seed=0,
        generation="g0",
        model="scripted",
        provider="scripted",
        prompts=Prompts(name="compact", system="work"),
        tools=tools,
        steps=steps,
        stop=StopReason.FINISHED,
        score=Score(status=status, value=float(passed), source=source),
    )


def polished(lamp: str, kind: str = "thick", **more: Any) -> Trajectory:
    return lived(
        f"polish lamp {lamp}",
        ("oil", {"lamp": lamp, "kind": kind}, "oiled"),
        ("polish", {"lamp": lamp}, "polished"),
        ("finish", {}, "done"),
        **more,
    )


def dry(lamp: str, **more: Any) -> Trajectory:
    call: Made = ("polish", {"lamp": lamp}, f'!cracked: oil {lamp} "thick" first')
    return lived(f"polish lamp {lamp}", call, passed=False, **more)


def said(ops: list[MemoryOp]) -> list[str]:
    return [f"{op.item.when} -> {op.item.content}" for op in ops if op.item is not None]


def bank(*rounds: list[MemoryOp]) -> list[MemoryItem]:
    items: dict[str, MemoryItem] = {}
    for ops in rounds:
        items = after(items, ops)
    return list(items.values())


# Workflows


def test_a_clean_success_becomes_its_calls_with_slots() -> None:
    ops = Workflow().distill([polished("417")], [])
    assert said(ops) == ['polish lamp $1 -> oil $1 "thick"; polish $1; finish']
    item = ops[0].item
    assert item is not None
    assert (ops[0].kind, item.kind, item.support) == (OpKind.ADD, MemoryKind.WORKFLOW, 1)
    assert item.tools == ("oil", "polish")
    assert (item.namespace, item.group) == ("shed/1", "polish/bench")


def test_only_verified_practise_successes_without_an_error_count() -> None:
    slip: Made = ("polish", {"lamp": "417"}, "!cracked")
    repaired = lived("polish lamp 417", slip, ("polish", {"lamp": "417"}, "polished"))
    trajectories = [
        repaired,
        polished("418", passed=False),
        polished("419", source=ScoreSource.SELF),
        polished("420", split=Split.HELD_OUT),
        lived("rest", ("finish", {}, "done")),
    ]
    assert Workflow().distill(trajectories, []) == []


def test_the_same_kind_of_task_is_one_item_whose_support_grows_once_a_success() -> None:
    distiller = Workflow()
    first = distiller.distill([polished("417"), polished("562")], [])
    assert [op.item.support for op in first if op.item] == [2]
    again = distiller.distill([polished("417"), polished("562")], bank(first))
    assert again == []
    more = distiller.distill([polished("600")], bank(first))
    assert [(op.kind, op.item.support) for op in more if op.item] == [(OpKind.EDIT, 3)]
    assert [op.target for op in more] == [bank(first)[0].id]


def test_words_are_lifted_once_counting_tells_them_from_the_words_of_the_work() -> None:
    def stacked(crate: str, count: int) -> Trajectory:
        call: Made = ("stack", {"crate": crate, "count": count}, "stacked")
        return lived(f"stack crate {crate} with count {count}", call, ("finish", {}, "done"))

    one = said(Workflow().distill([stacked("ebony", 12)], []))
    assert one == ['stack crate ebony with count $1 -> stack "ebony" $1; finish']
    three = [stacked("ebony", 12), stacked("teak", 3), stacked("ash", 9)]
    assert said(Workflow().distill(three, [])) == [
        "stack crate $1 with count $2 -> stack $1 $2; finish"
    ]


def test_a_value_inside_constant_text_and_one_of_several_words() -> None:
    def noted(lamp: str, words: str) -> Trajectory:
        call: Made = ("note", {"lamp": lamp, "words": f"{words} sirom"}, "noted")
        log: Made = ("note", {"lamp": lamp, "words": words}, "noted")
        return lived(f"note on lamp {lamp} with words {words}", call, log)

    two = [noted("312", "kolu"), noted("313", "mira vesta"), noted("314", "tano")]
    assert set(said(Workflow().distill(two, []))) == {
        'note on lamp $1 with words $2 -> note $1 "$2 sirom"; note $1 $2'
    }


def test_numbers_addresses_and_repetitions() -> None:
    shift = lived(
        "note to a.b@c.example on lamp 41 and then lamp 417 and lamp 41",
        ("note", {"lamp": "417", "words": "for a.b@c.example"}, "noted"),
        ("note", {"lamp": "41", "words": "4171"}, "noted"),
    )
    assert said(Workflow().distill([shift], [])) == [
        'note to $1 on lamp $2 and then lamp $3 and lamp $2 -> note $3 "for $1"; note $2 "4171"'
    ]


def test_behind_a_panel_the_words_on_buttons_stay_and_references_go() -> None:
    def clicked(lamp: str) -> Trajectory:
        return lived(
            f"polish lamp {lamp}",
            ("click", {"element": "lamp list", "ref": "e31"}, "ok"),
            ("click", {"element": lamp, "ref": "e7"}, "ok"),
            ("click", {"element": "polish", "ref": "e90"}, "polished"),
            ("finish", {}, "done"),
            tools=PANEL,
        )

    expected = 'polish lamp $1 -> click "lamp list"; click $1; click "polish"; finish'
    assert said(Workflow().distill([clicked("417")], [])) == [expected]
    many = [clicked(str(n)) for n in range(400, 408)]
    assert said(Workflow().distill(many, [])) == [expected]


def test_both_toolsets_keep_a_workflow_of_their_own() -> None:
    panel = lived("polish lamp 9", ("click", {"element": "polish", "ref": "e1"}, "ok"), tools=PANEL)
    ops = Workflow().distill([polished("417"), panel], [])
    assert {op.kind for op in ops} == {OpKind.ADD}
    assert {op.item.tools for op in ops if op.item} == {("oil", "polish"), ("click",)}


def test_an_answer_without_a_slot_is_left_out() -> None:
    asked = lived(
        "polish lamp 417",
        ("polish", {"lamp": "417"}, "polished"),
        ("finish", {"answer": "all went well"}, "done"),
    )
    told = lived(
        "note on lamp 417",
        ("note", {"lamp": "417", "words": "seen"}, "noted"),
        ("finish", {"answer": "lamp 417"}, "done"),
    )
    assert set(said(Workflow().distill([asked, told], []))) == {
        "polish lamp $1 -> polish $1; finish",
        'note on lamp $1 -> note $1 "seen"; finish "lamp $1"',
    }


def test_the_most_supported_wins_then_the_shortest() -> None:
    def roundabout(lamp: str) -> Trajectory:
        return lived(
            f"polish lamp {lamp}",
            ("oil", {"lamp": lamp, "kind": "thick"}, "oiled"),
            ("oil", {"lamp": lamp, "kind": "thick"}, "oiled"),
            ("polish", {"lamp": lamp}, "polished"),
            ("finish", {}, "done"),
        )

    distiller = Workflow()
    tied = distiller.distill([roundabout("1"), polished("2")], [])
    assert said(tied) == ['polish lamp $1 -> oil $1 "thick"; polish $1; finish']
    long_way = distiller.distill([roundabout("3")], [])
    overtaken = distiller.distill([polished("4"), polished("5")], bank(long_way))
    assert [op.kind for op in overtaken] == [OpKind.SUPERSEDE]
    assert overtaken[0].target == bank(long_way)[0].id
    assert len(bank(long_way, overtaken)) == 1


def test_workflows_that_disagree_in_a_constant_are_dropped_for_good() -> None:
    distiller = Workflow()
    assert distiller.distill([polished("1", "thick"), polished("2", "thin")], []) == []
    other = Workflow()
    kept = other.distill([polished("1", "thick")], [])
    ops = other.distill([polished("2", "thin")], bank(kept))
    assert [(op.kind, op.target) for op in ops] == [(OpKind.RETIRE, bank(kept)[0].id)]
    assert "disagree" in ops[0].reason
    resumed = Workflow()
    resumed.load_state_dict(json.loads(json.dumps(other.state_dict())))
    assert resumed.state_dict() == other.state_dict()
    assert resumed.distill([polished("3", "thick")], []) == []


def test_namespaces_do_not_mix_and_order_of_input_does_not_matter() -> None:
    here, there = polished("1"), polished("1", "thin", namespace="shed/2")
    ops = Workflow().distill([here, there], [])
    assert {op.item.namespace for op in ops if op.item} == {"shed/1", "shed/2"}
    assert Workflow().distill([there, here, here], []) == ops


# Lessons


def test_a_refusal_becomes_a_lesson_for_whatever_tools() -> None:
    ops = Rules().distill([dry("417"), dry("418")], [])
    assert said(ops) == ['polish lamp $1 -> polish $1 -> cracked: oil $1 "thick" first']
    item = ops[0].item
    assert item is not None
    assert (item.polarity, item.tools, item.support, len(item.sources)) == (-1, (), 0, 2)
    assert item.origin is Origin.ENVIRONMENT
    assert Rules().distill([dry("417"), dry("418")], bank(ops)) == []


@pytest.mark.parametrize(
    ("effects", "origin"),
    [(("read",), Origin.ENVIRONMENT), (("read", "network"), Origin.WEB_PAGE), ((), Origin.TOOL)],
)
def test_what_is_refused_is_trusted_as_far_as_the_tool_says_what_it_touches(
    effects: tuple[str, ...], origin: Origin
) -> None:
    tools = (spec("polish", "lamp", "grit", effects=effects), *SHED[1:])
    (op,) = Rules().distill([dry("417", tools=tools)], [])
    assert op.item is not None and op.item.origin is origin
    assert first_status(op.item) is (
        MemoryStatus.CANDIDATE if origin is Origin.ENVIRONMENT else MemoryStatus.QUARANTINED
    )


def test_the_last_word_on_finish_is_a_refusal_too() -> None:
    late = lived(
        "polish lamp 417",
        ("polish", {"lamp": "417"}, "polished"),
        ("finish", {}, "!dull: oil last\nand more"),
        passed=False,
        tools=SHED[:-1],
    )
    assert said(Rules().distill([late], [])) == ["polish lamp $1 -> finish -> dull: oil last"]


def test_refusals_that_say_nothing_of_the_world_are_left_out() -> None:
    slips: list[Made] = [
        ("sweep", {}, "!there is no tool sweep"),
        ("polish", {}, "!lamp is missing"),
        ("polish", {"lamp": "417", "speed": "9"}, "!there is no argument speed"),
        ("polish", {"lamp": "999"}, "!there is no lamp 999"),
        ("polish", {"lamp": "417"}, "!"),
    ]
    run = lived("polish lamp 417", *slips, passed=False)
    wordless = run.model_copy(
        update={
            "id": "w",
            "steps": (
                Step(observation="a shed", results=(Result(text="call a tool", error=True),)),
            ),
        }
    )
    assert Rules().distill([run, wordless], []) == []


def test_a_text_met_in_most_families_is_generic() -> None:
    def stale(verb: str) -> Trajectory:
        call: Made = ("click", {"element": verb, "ref": "e4"}, "!e4 is old: look again")
        return lived(f"{verb} lamp 1", call, passed=False, tools=PANEL)

    verbs = ["polish", "mend", "lift", "turn"]
    assert Rules().distill([stale(v) for v in verbs], []) == []
    assert len(Rules().distill([stale(v) for v in verbs[:3]], [])) == 3


def test_one_lesson_a_refusal_and_where_it_came_from() -> None:
    def rough(lamp: str, grit: str | None) -> Trajectory:
        arguments = {"lamp": lamp} | ({"grit": grit} if grit else {})
        return lived(
            f"polish lamp {lamp}", ("polish", arguments, '!no: with grit "k7"'), passed=False
        )

    ops = Rules().distill([rough("1", None), rough("2", None), rough("3", "k1")], [])
    assert said(ops) == ['polish lamp $1 -> polish $1 -> no: with grit "k7"']
    later = Rules().distill([rough("4", "k2")], bank(ops))
    assert later == []
    panel: Made = ("click", {"element": "polish", "ref": "e4"}, "!no: oil first")
    seen = Rules().distill([lived("polish lamp 1", panel, passed=False, tools=PANEL)], [])
    assert [op.item.origin for op in seen if op.item] == [Origin.WEB_PAGE]


def test_support_counts_where_the_call_went_through() -> None:
    mended = lived(
        "polish lamp 9",
        ("polish", {"lamp": "9"}, '!no: with grit "k7"'),
        ("polish", {"lamp": "9", "grit": "k7"}, "polished"),
        passed=False,
    )
    clean = lived("polish lamp 8", ("polish", {"lamp": "8", "grit": "k7"}, "polished"))
    distiller = Rules()
    first = distiller.distill([mended], [])
    assert [op.item.support for op in first if op.item] == [1]
    second = distiller.distill([mended, clean], bank(first))
    assert [(op.kind, op.item.support) for op in second if op.item] == [(OpKind.EDIT, 2)]
    assert distiller.distill([mended, clean], bank(first, second)) == []


def test_what_avoided_it_is_told_on_request_while_no_workflow_does() -> None:
    mended = lived(
        "polish lamp 9",
        ("polish", {"lamp": "9"}, "!dry: oil first"),
        ("oil", {"lamp": "9", "kind": "thick"}, "oiled"),
        ("polish", {"lamp": "9"}, "polished"),
        passed=False,
    )
    telling = Rules.Config(avoided=True)
    assert said(Rules(telling).distill([mended], [])) == [
        'polish lamp $1 -> polish $1 -> dry: oil first ; avoided by: oil $1 "thick"; polish $1'
    ]
    short = ["polish lamp $1 -> polish $1 -> dry: oil first"]
    assert said(Rules(telling).distill([mended, polished("8")], [])) == short
    assert said(Rules().distill([mended], [])) == short


def test_a_lesson_is_known_again_whatever_the_call_was_made_of() -> None:
    odd: Made = ("polish", {"lamp": "[m2] -> lamp"}, "!dry: oil first")
    rules = Rules()
    first = rules.distill([lived("polish lamp 1", odd, passed=False)], [])
    assert said(first) == ['polish lamp $1 -> polish "[m2] -> lamp" -> dry: oil first']
    again = rules.distill([lived("polish lamp 2", odd, passed=False)], bank(first))
    assert all(op.kind is not OpKind.ADD for op in again)


def test_a_lesson_ends_when_every_toolset_has_a_supported_workflow() -> None:
    rules, workflow = Rules(), Workflow()
    lesson = rules.distill([dry("1")], [])
    once = workflow.distill([polished("2")], [])
    assert rules.distill([], bank(lesson, once)) == []
    twice = workflow.distill([polished("3")], bank(once))
    ended = rules.distill([dry("4")], bank(lesson, once, twice))
    assert [(op.kind, op.target) for op in ended] == [(OpKind.RETIRE, bank(lesson)[0].id)]
    assert ended[0].reason

    elsewhere = lived("mend lamp 7", ("click", {"element": "mend", "ref": "e1"}, "ok"), tools=PANEL)
    two_doors = Rules()
    two_doors.distill([elsewhere], [])
    resumed = Rules()
    resumed.load_state_dict(json.loads(json.dumps(two_doors.state_dict())))
    assert resumed.state_dict() == two_doors.state_dict()
    assert resumed.distill([], bank(lesson, once, twice)) == []
