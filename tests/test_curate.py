"""The curator: what becomes a training row, what does not, and why."""

import json

import pytest

from finetune.curate.base import Contract, RowSet, content_key
from finetune.curate.rft import RejectionSampling
from instar.errors import WorkspaceError
from instar.types import (
    MemoryKind,
    Prompts,
    Recalled,
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
    Usage,
)

PROMPTS = Prompts(name="compact", system="act with one call")
TEXT = {"type": "string"}
TOOLS = (
    ToolSpec(name="put", parameters={"type": "object", "properties": {"a": TEXT, "b": TEXT}}),
    ToolSpec(name="finish", parameters={"type": "object", "properties": {"answer": TEXT}}),
)
MEMORY = Recalled(
    label="m1",
    item="i1",
    version=1,
    title="t",
    when="put $1",
    content="put $1",
    kind=MemoryKind.WORKFLOW,
)
Config = RejectionSampling.Config


def step(name="put", error=False, cited=(), **arguments):
    call = ToolCall(id=f"drawn-{id(arguments)}", name=name, arguments=arguments or {"a": "x"})
    return Step(
        observation="page: a",
        citation="task: put $1 [m1] -> put $1" if cited else "",
        cited=cited,
        calls=(call,),
        results=(Result(text="no" if error else "ok", error=error),),
    )


def episode(name, task=None, steps=None, **changes):
    task_changes = {k: changes.pop(k) for k in ("namespace", "group", "split") if k in changes}
    asked = Task(
        id=task or f"task-{name}",
        instruction=f"put {task or name}",
        world="w",
        **{"namespace": "home", "group": "put/tools", "family": "put", **task_changes},
    )
    given = {
        "id": name,
        "task": asked,
        "seed": 0,
        "generation": "g0",
        "model": "pocket",
        "provider": "local",
        "prompts": PROMPTS,
        "tools": TOOLS,
        "steps": tuple(steps or [step(a=name), step("finish", answer="done")]),
        "stop": StopReason.FINISHED,
        "score": Score(status=Status.PASS, value=1.0),
    }
    return Trajectory(**{**given, **changes})


def elsewhere(name, n=1, cited=("i1",), **changes):
    steps = [step(a=f"{name}-{k}", cited=cited) for k in range(n)]
    given = {"namespace": "away", "memories": (MEMORY,), "steps": steps, **changes}
    return episode(name, **given)


def curate(trajectories, **config):
    return RejectionSampling(Config(**{"home": "home", **config})).curate(trajectories)


def test_rows_of_a_clean_success_hold_neither_memory_nor_citation():
    told = episode("a", memories=(MEMORY,), steps=[step(a="1", cited=("i1",)), step("finish")])
    rows = curate([told], followed=False).rows
    assert [row["completion"][0]["tool_calls"][0]["function"]["name"] for row in rows] == [
        "put",
        "finish",
    ]
    assert "[m1]" not in json.dumps(rows)
    assert rows[0]["trajectory"] == "a" and rows[1]["step"] == 1 and not rows[0]["memories"]


def test_a_turn_at_home_that_followed_a_memory_is_also_kept_as_it_was_served():
    told = episode("a", memories=(MEMORY,), steps=[step(a="1", cited=("i1",)), step("finish")])
    found = curate([told])
    plain, served = found.rows[:2], found.rows[2:]
    assert [row["memories"] for row in plain] == [False, False]
    assert [(row["step"], row["namespace"]) for row in served] == [(0, "home")]
    assert "[m1]" in served[0]["prompt"][0]["content"] and served[0]["memories"]
    assert "[m1]" in served[0]["completion"][0]["content"]
    assert found.counts["as served"] == 1 and found.counts["without memory"] == 2
    failed = told.model_copy(update={"id": "b", "score": Score(status=Status.FAIL, value=0.0)})
    assert len(curate([told, failed]).rows) == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"score": Score(status=Status.FAIL, value=0.0)}, "score fail"),
        ({"score": Score(status=Status.UNKNOWN)}, "score unknown"),
        ({"score": Score(status=Status.PASS, source=ScoreSource.JUDGE)}, "judged by judge"),
        ({"provider": "somebody"}, "provider 'somebody' is not allowed"),
        ({"split": Split.GATE}, "gate task"),
        ({"split": Split.HELD_OUT}, "held_out task"),
        ({"steps": [step(error=True)]}, "no turn with a good call"),
        ({"namespace": "away"}, "no turn cited a memory"),
    ],
)
def test_every_trajectory_without_a_row_has_a_reason(changes, reason):
    found = curate([episode("a", **changes)])
    assert not found.rows
    assert reason in found.dropped["a"]
    assert found.summary.startswith("Nothing to train on: 1 x ") and "\n" not in found.summary


def test_another_provider_can_be_allowed_by_name():
    assert curate([episode("a", provider="p")], providers=("p",)).rows


def test_calls_that_failed_are_not_learnt_but_what_came_after_is():
    found = curate([episode("a", steps=[step(error=True, a="1"), step(a="2")])])
    assert [row["step"] for row in found.rows] == [1]
    assert 'put "1" -> no' in found.rows[0]["prompt"][1]["content"]


def test_equal_rows_are_kept_once_though_call_ids_differ():
    steps = [step(a="1")]
    found = curate(
        [episode("a", task="t", steps=steps), episode("b", task="t", steps=[step(a="1")])]
    )
    assert len(found.rows) == 1
    assert list(found.dropped.values()) == ["only duplicate rows"]


def test_the_shortest_successes_of_a_task_are_kept():
    long = [step(a=str(k)) for k in range(4)]
    attempts = [
        episode("long", task="t", steps=long),
        episode("cheap", task="t", usage=Usage(prompt_tokens=10)),
        episode("dear", task="t", usage=Usage(prompt_tokens=20)),
    ]
    found = curate(attempts)
    assert set(found.dropped) == {"long"}
    assert {row["trajectory"] for row in curate(attempts, per_task=1).rows} == {"cheap"}


def test_a_common_group_is_cut_and_keeps_different_tasks():
    common = [episode(f"c{i}", task=f"t{i // 2}", group="easy") for i in range(20)]
    rare = [episode(f"r{i}", group=f"hard{i}") for i in range(4)]
    found = curate(common + rare)
    kept = {row["trajectory"] for row in found.rows if row["group"] == "easy"}
    assert len(kept) == 4 and len({t.task.id for t in common if t.id in kept}) == 4
    assert {row["group"] for row in found.rows} == {"easy", "hard0", "hard1", "hard2", "hard3"}
    assert set(found.dropped.values()) == {"its group is at its cap"}


def test_a_share_of_rows_follows_memories_of_other_namespaces():
    home = [episode(f"h{i}") for i in range(13)]
    away = [elsewhere(f"a{i}", 3, group=f"g{i % 3}") for i in range(12)]
    found = curate(home + away)
    told = [row for row in found.rows if row["memories"]]
    assert len(told) / len(found.rows) == pytest.approx(0.35, abs=0.01)
    assert all("[m1]" in row["prompt"][0]["content"] for row in told)
    assert all(row["completion"][0]["content"] == "task: put $1 [m1] -> put $1" for row in told)
    assert {row["namespace"] for row in told} == {"away"}
    assert {row["group"] for row in told} == {"g0", "g1", "g2"}
    assert found.counts["with memory"] == len(told)
    assert curate(home + away).hash == found.hash
    assert curate(home + away, seed=1).hash != found.hash


@pytest.mark.parametrize(
    "unsuited",
    [
        elsewhere("x", cited=()),
        elsewhere("x", cited=("i9",)),
        elsewhere("x", memories=(MEMORY.model_copy(update={"shown": False}),)),
    ],
)
def test_only_turns_that_cite_a_memory_shown_count_as_following(unsuited):
    found = curate([episode("h"), unsuited])
    assert not any(row["memories"] for row in found.rows)
    assert "x" in found.dropped


def test_rows_from_elsewhere_alone_are_no_dataset():
    found = curate([elsewhere("a")])
    assert not found.rows and "share of rows with memory is full" in found.dropped["a"]


def test_nothing_given_is_said_in_a_line():
    assert curate([]).summary == "Nothing to train on: no trajectory was given."


def test_a_set_survives_its_folder_and_reads_as_a_dataset(tmp_path):
    steps = [step(a="1", b="é\u2028\n"), step("finish", answer="2")]
    found = curate([episode("h", steps=steps), elsewhere("a"), episode("f", provider="no")])
    found.save(tmp_path / "rows")
    assert RowSet.load(tmp_path / "rows") == found
    line = json.loads(
        (tmp_path / "rows/data/train-00000-of-00001.jsonl").read_text().split("\n")[0]
    )
    call = line["completion"][0]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == {"a": "1", "b": "é\u2028\n"}
    assert json.loads(line["tools"])[0]["function"]["name"] == "put"


def test_a_changed_or_half_written_set_is_refused(tmp_path):
    folder = curate([episode("h")]).save(tmp_path / "rows")
    file = folder / "data/train-00000-of-00001.jsonl"
    text = file.read_text()
    for damaged in (text.replace("finish", "refuse"), text[: len(text) // 2]):
        file.write_text(damaged)
        with pytest.raises(WorkspaceError, match="curate again"):
            RowSet.load(folder)
    (folder / "rows.json").unlink()
    with pytest.raises(WorkspaceError, match="curate again"):
        RowSet.load(folder)


def test_it_fulfils_the_contract():
    curator = RejectionSampling()
    assert isinstance(curator, Contract)
    curator.load_state_dict(curator.state_dict())
    rows = curator.curate([episode("a"), episode("b")]).rows
    assert len({content_key(row) for row in rows}) == len(rows) == 4
