"""The contract suite for what trains, judges and opens episodes: a check a kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from contract_cases import FIRST, TOOLS
from contract_checks import check_made
from episodes import task as made_task
from episodes import trajectory as made_trajectory

from instar.contracts import Scaler, Trainer, Verifier, World
from instar.errors import UserError
from instar.types import Result, Score, ScoreSource, Split, Status, Task, ToolSpec, content_hash


class Rows:
    """A dataset of one turn, or of none."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows
        self.dropped: dict[str, str] = {}
        self.hash = content_hash(list(rows))


_FIELDS = ("prompt", "completion", "tools")


def _files(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(f.relative_to(folder)): content_hash(f.read_bytes().hex()) for f in files}


class _Chance:
    """An episode that is worth more every time it is judged, so that there is something to learn."""

    judged = 0

    def done(self) -> bool:
        return False

    async def score(self) -> Score:
        _Chance.judged += 1
        return Score(status=Status.FAIL, value=1 - 1 / _Chance.judged)

    async def close(self) -> None:
        pass


def _playing(cls: type[Any]) -> Any:
    """A trainer with somewhere to play, and little of it."""

    async def open_episode(row: Any, seed: int) -> Any:
        return _Chance()

    trainer = cls(cls.Config(batch=2, group=2, answer=8, max_steps=1))
    trainer.open_episode = open_episode
    return trainer


def check_trainer(cls: type[Any], base: Path, folder: Path) -> None:
    check_made(cls, Trainer)
    out = folder / "adapters"
    with pytest.raises(UserError):
        cls().train(Rows([]), base, None, out, 0)
        pytest.fail("trains on nothing")
    assert not out.exists() or not any(out.iterdir()), "leaves something behind"
    call = {"id": "call00000", "type": "function"}
    function = {"name": "tag", "arguments": {"record": "417", "text": "red"}}
    answer = {"role": "assistant", "content": "", "tool_calls": [{**call, "function": function}]}
    prompt = [
        {"role": "system", "content": "work"},
        {"role": "user", "content": "back office\ntask: refund order 417"},
    ]
    plays = hasattr(cls(), "open_episode")
    tools = [t.schema_openai() for t in TOOLS]
    other = {**answer, "content": "done", "tool_calls": []}
    row = {"prompt": prompt, "completion": [answer], "tools": tools}
    row |= {"chosen": [answer], "rejected": [other], "trajectory": "t1", "step": 0}
    rows = Rows([{name: row[name] for name in getattr(cls, "fields", _FIELDS)}])
    trainer = _playing(cls) if plays else cls()
    before = _files(base)
    adapter = trainer.train(rows, base, None, out, 0)
    assert _files(base) == before, "changes the base"
    assert adapter.dataset == rows.hash, "another dataset"
    assert adapter.parent is None and adapter.base and adapter.recipe, "lineage is missing"
    place = out / adapter.name
    assert (place / "adapter_config.json").is_file(), "no adapter in its place"
    assert (place / "adapter_model.safetensors").is_file(), "no adapter in its place"
    assert {p.name for p in out.iterdir()} == {adapter.name}, "leaves something behind"


async def check_verifier(cls: type[Any]) -> None:
    check_made(cls, Verifier)
    given = FIRST[:2]
    scores = await cls().score(given[0].task, given)
    assert len(scores) == len(given), "not one score a trajectory"
    for score in scores:
        check_score(score)
        assert score.source is not ScoreSource.ENVIRONMENT, "speaks for the environment"
    assert await cls().score(given[0].task, []) == [], "scores nothing"


def check_score(score: Score) -> None:
    assert isinstance(score, Score), "not a score"
    if score.status is Status.UNKNOWN:
        assert score.value is None, "a value for what is unknown"
    else:
        assert score.value is not None and 0 <= score.value <= 1, "no value in [0, 1]"


async def check_scaler(cls: type[Any]) -> None:
    check_made(cls, Scaler)
    asked = made_task("100")

    async def choice(verdicts: Sequence[Status]) -> tuple[Any, int]:
        made = []

        async def attempt(task: Task, seed: int) -> Any:
            made.append(seed)
            verdict = verdicts[(len(made) - 1) % len(verdicts)]
            return made_trajectory(task, verdict, seed, answer=str(len(made)))

        return await cls().solve(attempt, asked, 7), len(made)

    first, attempts = await choice([Status.PASS, Status.FAIL])
    other, _ = await choice([Status.FAIL, Status.PASS])
    assert (first.task, first.seed) == (asked, 7), "answers another task or seed"
    assert first.usage.calls == attempts > 1, "does not count every attempt"
    assert first.answer == other.answer, "chooses by the score"
    unknown, _ = await choice([Status.UNKNOWN])
    assert unknown.score.status is Status.UNKNOWN, "a verdict on what is unknown"


async def check_world(cls: type[Any]) -> None:
    check_made(cls, World)
    world = cls()
    try:
        listed = {split: world.tasks(split, 4, 1) for split in Split}
        for split, tasks in listed.items():
            _check_tasks(world, split, tasks)
        ids = [t.id for tasks in listed.values() for t in tasks]
        assert len(set(ids)) == len(ids), "a task twice, or in two splits"
        again = cls().tasks(Split.GATE, 4, 1)
        assert [t.id for t in again] == [t.id for t in listed[Split.GATE]], (
            "draws from somewhere else"
        )
        await _check_episode(world, listed[Split.PRACTISE][0])
    finally:
        if hasattr(world, "close"):
            await world.close()


def _check_tasks(world: World, split: Split, tasks: Sequence[Task]) -> None:
    assert 0 < len(tasks) <= 4, "no tasks, or more than asked for"
    for task in tasks:
        assert task.split is split and task.world == world.id, "split or world"
        assert task.namespace == world.namespace, "another namespace"
        assert Task.model_validate_json(task.model_dump_json()) == task, "not JSON"


async def _check_episode(world: World, task: Task) -> None:
    episode = await world.open(task, 5)
    try:
        assert isinstance(await episode.observe(), str) and not episode.done(), "ends at once"
        specs = episode.toolset.tools()
        assert all(isinstance(s, ToolSpec) for s in specs), "not a tool"
        assert specs and len({s.name for s in specs}) == len(specs), "tools of one name"
        assert all(s.parameters.get("type") == "object" for s in specs), "no schema"
        assert "finish" not in {s.name for s in specs}, "offers finish, which is the agent's"
        for name, arguments in (("no_such_tool", {}), (specs[0].name, {"no_such_argument": 1})):
            wrong = await episode.toolset.call(name, arguments)
            assert isinstance(wrong, Result) and wrong.error and wrong.text, "a mistake is no error"
        assert isinstance(await episode.finish(""), Result), "finish says nothing"
        score = await episode.score()
        check_score(score)
        assert score.status is not Status.PASS, "doing nothing passes"
    finally:
        await episode.close()
        await episode.close()
