"""Reinforcement learning on live episodes: pocket comes to do what is rewarded, on the CPU."""

import statistics
from pathlib import Path

import pytest
from contract_base import make_base
from test_train_preferences import Rows

from finetune.train.grpo import GroupRelative
from instar.errors import UserError
from instar.types import Result, Score, ScoreSource, Status

POCKET = Path(__file__).resolve().parent.parent / "finetune" / "pocket" / "model"
NAMES = ("tag", "note")
QUICK = {"precision": "fp32", "device": "cpu", "seconds": 600.0, "anchors": 0, "calls": 1}


def schema(name):
    record = {"record": {"type": "string", "description": "Which."}}
    parameters = {"type": "object", "properties": record, "required": ["record"]}
    function = {"name": name, "description": f"{name} a record", "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [schema(name) for name in NAMES]


def first_turn(number):
    return {
        "prompt": [
            {"role": "system", "content": "act with one call"},
            {"role": "user", "content": f"task: {number}"},
        ],
        "tools": TOOLS,
        "trajectory": f"t{number}",
        "step": 0,
        "memories": False,
    }


class Office:
    """An episode in which the first call has to name the record, which pocket seldom does here."""

    def __init__(self, log):
        self.toolset, self.called, self.log, self.closed = self, [], log, False

    def done(self):
        return len(self.called) > 1

    async def call(self, name, arguments):
        self.called.append((name, arguments.get("record")))
        return Result(text="ok")

    async def score(self):
        good = bool(self.called) and self.called[0][1] is not None
        self.log.append(good)
        status = Status.PASS if good else Status.FAIL
        return Score(status=status, value=float(good), source=ScoreSource.ENVIRONMENT)

    async def close(self):
        self.closed = True


def test_what_is_rewarded_becomes_what_pocket_does(tmp_path):
    log, opened = [], []

    async def open_episode(row, seed):
        opened.append((row["trajectory"], seed))
        return Office(log)

    steps, batch = 8, 12
    config = GroupRelative.Config(
        **QUICK, batch=batch, group=batch, max_steps=steps, answer=12, epochs=9, lr=2e-3
    )
    trainer = GroupRelative(config)
    trainer.open_episode = open_episode
    other = {**first_turn(9), "tools": TOOLS[:1]}
    late = {**first_turn(9), "step": 1}
    rows = Rows([first_turn(7), other, late])
    adapter = trainer.train(rows, POCKET, None, tmp_path / "adapters", 0)
    found = adapter.metrics
    assert len(log) == len(opened) == steps * batch and {t for t, _ in opened} == {"t7"}
    rewards = [statistics.fmean(log[i : i + batch]) for i in range(0, len(log), batch)]
    assert found["reward"] == pytest.approx(rewards, abs=1e-4)
    assert sum(rewards[-2:]) > sum(rewards[:2]) + 0.5, rewards
    assert found["moved"]["adapter"] > 0 and found["rows_used"] == 1
    assert found["rows_with_other_tools"] == found["rows_masked"] == 1


def test_what_cannot_be_played_is_refused_in_a_line(tmp_path):
    trainer = GroupRelative(GroupRelative.Config(**QUICK))
    with pytest.raises(UserError, match="needs a world"):
        trainer.train(Rows([first_turn(7)]), tmp_path, None, tmp_path / "out", 0)
    with pytest.raises(UserError, match="group must divide"):
        GroupRelative(GroupRelative.Config(batch=8, group=3))
    with pytest.raises(UserError, match="no dry run"):
        trainer.dry_run(Rows([first_turn(7)]), tmp_path, None, 0)


async def test_the_tools_of_an_episode_look_to_trl_as_they_do_to_us():
    from transformers.utils import get_json_schema

    from finetune.train._episodes import environment

    log = []

    async def open_episode(row, seed):
        return Office(log)

    made = environment(TOOLS, open_episode)()
    assert [get_json_schema(getattr(made, name)) for name in NAMES] == TOOLS
    made.reset(seed=1)
    assert await made.note(record="7") == "ok" and await made.tag(record="8") == "ok"
    assert await made.tag(record="9") == "the episode has ended"
    assert await made.get_reward() == 1.0 and log == [True]
    made.reset(seed=2)
    assert await made.get_reward() == 0.0
    with pytest.raises(UserError, match="called reset"):
        environment([schema("reset")], open_episode)


def test_a_base_that_cannot_be_shown_calls_is_refused_in_a_line(tmp_path):
    trainer = GroupRelative(GroupRelative.Config(**QUICK))
    trainer.open_episode = Office
    base = make_base(tmp_path / "base")
    (base / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    with pytest.raises(UserError, match="chat template of this base"):
        trainer.train(Rows([first_turn(7)]), base, None, tmp_path / "out", 0)
    assert not list((tmp_path / "out").iterdir())


def test_groups_that_all_came_to_the_same_teach_nothing_and_say_so(tmp_path):
    class Lost(Office):
        async def score(self):
            return Score(status=Status.FAIL, value=0.0)

    async def open_episode(row, seed):
        return Lost([])

    config = GroupRelative.Config(**QUICK, batch=2, group=2, max_steps=1, answer=8)
    trainer = GroupRelative(config)
    trainer.open_episode = open_episode
    with pytest.raises(UserError, match="in every group all attempts had the same score"):
        trainer.train(Rows([first_turn(7)]), POCKET, None, tmp_path / "adapters", 0)
    assert not list((tmp_path / "adapters").iterdir()) and not (tmp_path / "training").exists()
