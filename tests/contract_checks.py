"""The contract suite for what learns offline: a check a kind, which fails on what breaks its contract."""

import inspect
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from contract_cases import (
    FIRST,
    HELD_OUT,
    JUDGED,
    POOL,
    SECOND,
    UNJUDGED,
    context,
    refused,
    walk,
)
from pydantic import BaseModel, ValidationError
from stores import generation

from instar.contracts import (
    ChatModel,
    Curator,
    Distiller,
    ExploringProposer,
    ModelDistiller,
    ModelProposer,
    Proposer,
    Selector,
    Stateful,
)
from instar.errors import ConfigError, ModelFault
from instar.llm import Scripted
from instar.store import Store
from instar.types import (
    MemoryItem,
    MemoryOp,
    OpKind,
    Score,
    Split,
    Status,
    TaskDraft,
    Trajectory,
)

Distil = Callable[..., Awaitable[list[MemoryOp]]]


def check_made(cls: type[Any], contract: type[Any]) -> None:
    """It can be made without settings, and its settings are frozen and go through JSON."""
    assert inspect.getdoc(cls), "no docstring"
    config = getattr(cls, "Config", None)
    assert inspect.isclass(config) and issubclass(config, BaseModel), "no nested Config"
    assert config.model_config.get("frozen") is True, "its Config is not frozen"
    default = config()
    assert config.model_validate_json(default.model_dump_json()) == default, "Config and JSON"
    with pytest.raises(ValidationError):
        config(no_such_setting=1)
    for made in (cls(), cls(default)):
        assert isinstance(made, contract), f"it does not fulfil {contract.__name__}"


def saved(method: Stateful) -> dict[str, Any]:
    state = method.state_dict()
    assert json.loads(json.dumps(state, allow_nan=False)) == state, "its state is not JSON"
    return state


def continued(make: Callable[[], Any], method: Any) -> Any:
    """Another one that goes on from the state of this one."""
    other = make()
    other.load_state_dict(saved(method))
    assert saved(other) == saved(method), "its state changes by loading"
    return other


def twin(rng: random.Random) -> random.Random:
    other = random.Random()
    other.setstate(rng.getstate())
    return other


def results(pattern: str) -> list[Score]:
    status = {"1": Status.PASS, "0": Status.FAIL, "?": Status.UNKNOWN}
    value = {"1": 1.0, "0": 0.0, "?": None}
    return [Score(status=status[c], value=value[c]) for c in pattern]


def check_selector(cls: type[Any]) -> None:
    check_made(cls, Selector)
    groups = {t.id: t.group for t in POOL}

    def practise(selector: Selector, rng: random.Random, turns: Sequence[int]) -> list[list[str]]:
        drawn = []
        for turn in turns:
            chosen = selector.select(POOL, 5, rng)
            assert len(chosen) == 5 and len({t.id for t in chosen}) == 5, "repeats or too few"
            assert all(t in POOL for t in chosen), "not of the pool"
            patterns = ["11", "00", "10", "01"]
            attempts = {t.id: results(patterns[(turn + len(t.group)) % 4]) for t in chosen}
            selector.update(attempts, groups)
            drawn.append([t.id for t in chosen])
        return drawn

    first, rng = cls(), random.Random(3)
    begun = practise(first, rng, range(4))
    assert practise(cls(), random.Random(3), range(4)) == begun, "draws from somewhere else"
    second, other = continued(cls, first), twin(rng)
    assert practise(first, rng, range(4, 12)) == practise(second, other, range(4, 12)), (
        "goes on with other draws"
    )
    assert first.select([], 3, rng) == [], "draws from nothing"
    few = first.select(POOL[:2], 5, rng)
    assert sorted(t.id for t in few) == sorted(t.id for t in POOL[:2]), "not all of a small pool"
    with pytest.raises(ConfigError):
        first.update({POOL[0].id: results("1")}, groups)
        pytest.fail("learns from a single attempt")
    with_unknown, without = continued(cls, second), continued(cls, second)
    with_unknown.update({POOL[0].id: results("10?")}, groups)
    without.update({POOL[0].id: results("10")}, groups)
    assert saved(with_unknown) == saved(without), "learns from unknown scores"


async def check_proposer(cls: type[Any]) -> None:
    asks, walks = hasattr(cls, "propose_with"), hasattr(cls, "explore")
    contract = ExploringProposer if walks else ModelProposer if asks else Proposer
    check_made(cls, contract)
    seen = context(FIRST)
    parents = {t.task.id for t in FIRST}

    async def ask(proposer: Any, given: Any, n: int, rng: random.Random) -> Sequence[TaskDraft]:
        if asks:
            model = Scripted([cls.example], repeat=True)
            return list(await proposer.propose_with(model, given, n, rng))
        if walks:
            return list(await proposer.explore(walk, given, n, rng))
        return list(proposer.propose(given, n, rng))

    async def propose(proposer: Any, rng: random.Random, n: int) -> Sequence[TaskDraft]:
        drafts = await ask(proposer, seen, n, rng)
        assert len(drafts) <= n, "more drafts than asked for"
        for draft in drafts:
            assert isinstance(draft, TaskDraft), "not a draft"
            assert draft.world == "house_rules", "another world"
            assert draft.family and draft.proposer, "family or proposer missing"
            assert draft.parents and set(draft.parents) <= parents, "parents it was not shown"
        return drafts

    first, rng = cls(), random.Random(3)
    begun = [await propose(first, rng, 4) for _ in range(3)]
    assert any(begun), "proposes nothing from failures"
    again, same = cls(), random.Random(3)
    assert [await propose(again, same, 4) for _ in range(3)] == begun, "draws from somewhere else"
    second, other = continued(cls, first), twin(rng)
    for _ in range(3):
        assert await propose(first, rng, 4) == await propose(second, other, 4), (
            "goes on with other draws"
        )
    assert await propose(first, rng, 0) == [], "more drafts than asked for"
    assert await ask(first, context([]), 4, rng) == [], "proposes from nothing"
    later = [t for t in HELD_OUT if t.task.split is Split.HELD_OUT]
    with pytest.raises(ValueError, match="practise"):
        await ask(cls(), context([*later, refused(POOL[0])]), 4, rng)
        pytest.fail("looks at held-out tasks")


def _check_ops(ops: Sequence[MemoryOp]) -> None:
    allowed = {t.id for t in FIRST + SECOND}
    for op in ops:
        assert isinstance(op, MemoryOp), "not a memory change"
        assert (op.item is None) == (op.kind is OpKind.RETIRE), f"{op.kind.value} and its item"
        assert (op.target is None) == (op.kind is OpKind.ADD), f"{op.kind.value} and its target"
        if op.item is not None:
            assert op.item.namespace == "house_rules/7", "another namespace"
            assert op.item.sources, "no sources"
            assert set(op.item.sources) <= allowed, "learns from what it must not"
            assert op.item.when and op.item.content, "nothing to recall"


async def check_distiller(cls: type[Any], folder: Path) -> None:
    asks = hasattr(cls, "distill_with")
    check_made(cls, ModelDistiller if asks else Distiller)
    said = [cls.example] if asks else []

    async def distill(
        method: Any,
        lived: Sequence[Trajectory],
        bank: Sequence[MemoryItem],
        model: ChatModel | None = None,
    ) -> list[MemoryOp]:
        if not asks:
            return method.distill(lived, bank)
        return await method.distill_with(model or Scripted(said, repeat=True), lived, bank)

    first = cls()
    with Store.open(folder) as store:
        store.add_generation(generation("g0"))

        def learn(ops: list[MemoryOp]) -> None:
            _check_ops(ops)
            try:
                store.apply(ops, "g0", {})
            except ValueError as error:
                pytest.fail(f"a change that does not fit the bank: {error}")

        assert await distill(first, [], []) == [], "learns from nothing"
        assert await distill(first, HELD_OUT + UNJUDGED, []) == [], "learns from what it must not"
        begun = await distill(cls(), FIRST + HELD_OUT, [])
        assert begun, "learns nothing"
        assert await distill(cls(), FIRST + HELD_OUT, []) == begun, "draws from somewhere else"
        learn(await distill(first, FIRST + HELD_OUT, []))
        second, bank = continued(cls, first), store.items("g0")
        ops = await distill(first, SECOND, bank)
        assert await distill(second, SECOND, bank) == ops, "goes on with other draws"
        learn(ops)
        settled = {(i.id, i.content) for i in store.items("g0")}
        learn(await distill(first, SECOND, store.items("g0")))
        assert {(i.id, i.content) for i in store.items("g0")} == settled, "never settles"
    if asks:
        await _check_answers(cls, distill)


async def _check_answers(cls: type[Any], distill: Distil) -> None:
    """Of what cannot be read nothing is kept; it is counted, and a model that is gone is no answer."""
    for garbage in ("", "I would rather not.", f"{cls.example}\n{cls.example}", cls.example[:-9]):
        method = cls()
        assert await distill(method, FIRST, [], Scripted([garbage], repeat=True)) == [], (
            f"keeps {garbage!r}"
        )
        counts = saved(method)["answers"]
        assert counts["asked"] == sum(counts["refused"].values()) > 0, "does not count it"
    with pytest.raises(ModelFault):
        await distill(cls(), FIRST, [], Scripted([]))
        pytest.fail("takes a model that is gone for an answer")


def check_curator(cls: type[Any], **settings: Any) -> None:
    """Run the suite.

    Args:
        settings: What it cannot work without.
    """

    def made() -> Any:
        return cls(cls.Config(**settings))

    check_made(cls, Curator)
    given = FIRST + HELD_OUT + JUDGED
    first = made()
    data = first.curate(given)
    json.dumps([dict(row) for row in data.rows], allow_nan=False)
    assert data.rows, "curates nothing"
    for row in data.rows:
        _check_row(row)
    used = {row[key] for row in data.rows for key in ("trajectory", "against") if key in row}
    assert used | set(data.dropped) == {t.id for t in given}, "some were dropped without a reason"
    assert not used & set(data.dropped) and all(data.dropped.values()), "used and dropped"
    same = made().curate(given)
    assert (same.rows, same.hash) == (data.rows, data.hash), "draws from somewhere else"
    second = continued(made, first)
    later, other = first.curate(SECOND), second.curate(SECOND)
    assert (later.rows, later.hash) == (other.rows, other.hash), "goes on with other draws"
    assert later.hash != data.hash, "different rows, one hash"
    nothing = made().curate(HELD_OUT)
    assert not nothing.rows and nothing.dropped, "trains on what it must not"


def _check_row(row: Any) -> None:
    clean = {t.id for t in FIRST if t.score.status is Status.PASS}
    answers = ["chosen", "rejected"] if "chosen" in row else ["completion"]
    assert {"prompt", "tools", "trajectory", *answers} <= set(row), "a row lacks a field"
    for name in answers:
        assert [m["role"] for m in row[name]] == ["assistant"], "no answer to learn"
    assert row["prompt"] and row["prompt"][-1]["role"] != "assistant", "no prompt"
    assert row["trajectory"] in clean, "trains on what it must not"
    assert row.get("against") in {None, *(t.id for t in FIRST)}, "trains on what it must not"
    assert row.get("weight", 1) > 0, "a weight that teaches nothing"
    if "chosen" in row:
        assert row["chosen"] != row["rejected"], "prefers an answer to itself"
