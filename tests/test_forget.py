"""The forgetters: what goes, what stays, and that a sweep can be repeated."""

import math
from itertools import pairwise

import pytest
from episodes import task, trajectory

from instar.types import (
    MemoryItem,
    MemoryOp,
    Recalled,
    Score,
    ScoreSource,
    Split,
    Status,
    Trajectory,
)
from memory.forget.base import tokens
from memory.forget.capacity import Capacity
from memory.forget.decay import Decay

DAY = 128.0


def item(id: str, support: int = 0, content: str = "tag first", **more) -> MemoryItem:
    values = {"title": id, "when": "refund $1", "kind": "lesson", "namespace": "shed/1"}
    return MemoryItem(**{**values, "id": id, "support": support, "content": content, **more})


def gone(ops: list[MemoryOp]) -> list[str | None]:
    return [op.target for op in ops]


def test_a_cap_on_items_lets_the_least_supported_go_and_the_oldest_first():
    items = [item("a", 1), item("b"), item("c", 2), item("d"), item("e", 1)]
    assert gone(Capacity(Capacity.Config(items=5)).sweep(items, 0)) == []
    assert gone(Capacity(Capacity.Config(items=3)).sweep(items, 0)) == ["b", "d"]
    assert gone(Capacity(Capacity.Config(items=2)).sweep(items, 0)) == ["b", "d", "a"]


def test_a_cap_on_tokens_counts_what_the_prompt_would_hold():
    items = [item(n, content="x" * 90) for n in "abc"]
    assert [tokens(i) for i in items] == [25, 25, 25]
    assert gone(Capacity(Capacity.Config(tokens=75)).sweep(items, 0)) == []
    (op,) = Capacity(Capacity.Config(tokens=74)).sweep(items, 0)
    assert (op.target, op.reason) == ("a", "no room: 3 items of about 75 tokens")


def test_namespaces_have_caps_of_their_own_and_pinned_items_count_and_stay():
    items = [item("a", pinned=True), item("b", pinned=True), item("c", 9), item("d", namespace="x")]
    assert gone(Capacity(Capacity.Config(items=2)).sweep(items, 0)) == ["c"]
    assert gone(Capacity(Capacity.Config(items=1)).sweep(items, 0)) == ["c"]


def sweeps(decay: Decay, days: int, of, start: int = 0) -> int | None:
    """The day on which the item goes; ``of`` says how it looks on each."""
    for day in range(start, days + 1):
        if decay.sweep([of(day)], day * DAY):
            return day
    return None


def test_what_nothing_confirms_is_gone_when_the_papers_recency_says_so():
    assert math.exp(-8 / 3) > 0.05 > math.exp(-9 / 3)
    assert sweeps(Decay(), 30, lambda _: item("a")) == 9


def test_successes_move_an_item_to_a_slower_layer_a_step_at_a_time():
    decay = Decay()
    layers = []
    for day in range(12):
        assert decay.sweep([item("a", support=4 * day)], day * DAY) == []
        layers.append(decay.state_dict()["traces"]["a"][0])
    assert layers[0] == 0 and layers[-1] == 2
    assert all(b - a in (0, 1) for a, b in pairwise(layers))
    assert sweeps(decay, 400, lambda _: item("a", support=44), start=12) > 4 * 9


def test_importance_never_grows_by_itself_and_a_success_counts_once():
    decay, seen = Decay(), []
    for day in range(8):
        decay.sweep([item("a", support=1)], day * DAY)
        seen.append(decay.state_dict()["traces"]["a"][1])
    assert seen == sorted(seen, reverse=True) and len(set(seen)) == 8
    assert seen[1] == pytest.approx((50 + 5) * 0.92)


def test_an_item_between_the_limits_does_not_swing():
    decay = Decay(Decay.Config(credit=10))
    decay.sweep([item("a", support=1)], 0)
    layers, support = [], 1
    for day in range(1, 40):
        trace = decay.state_dict()["traces"]["a"]
        support += trace[1] < 60
        assert decay.sweep([item("a", support=support)], day * DAY) == []
        layers.append(decay.state_dict()["traces"]["a"][0])
    moves = sum(a != b for a, b in pairwise(layers))
    assert moves <= 1


def test_small_steps_of_the_clock_come_to_the_same_as_large_ones():
    fine, coarse = Decay(), Decay()
    for step in range(21):
        fine.sweep([item("a")], step * DAY / 4)
    for day in (0, 5):
        coarse.sweep([item("a")], day * DAY)
    of = [d.state_dict()["traces"]["a"] for d in (fine, coarse)]
    assert of[0] == pytest.approx(of[1])


def test_a_failure_is_kept_in_higher_regard_and_pinned_items_stay_whatever_happens():
    decay = Decay()
    decay.sweep([item("good"), item("bad", polarity=-1)], 0)
    traces = decay.state_dict()["traces"]
    assert traces["bad"][1] > traces["good"][1]
    assert sweeps(Decay(), 3000, lambda _: item("a", pinned=True)) is None


def test_one_that_is_brought_back_begins_anew_and_the_state_holds_no_others():
    decay = Decay()
    assert sweeps(decay, 30, lambda _: item("a")) == 9
    assert decay.state_dict() == {"traces": {}}
    assert sweeps(decay, 60, lambda _: item("a"), start=20) == 29


def test_a_full_bank_lets_go_what_is_worth_least() -> None:
    def practised(id: str, shown: bool, status: Status, n: int) -> Trajectory:
        told = {"version": 1, "title": "", "when": "", "content": "", "kind": "lesson"}
        memory = Recalled(label="m1", item=id, shown=shown, propensity=0.5, **told)
        score = Score(status=status, source=ScoreSource.PROGRAM)
        of = task(f"{id}{n}", Split.PRACTISE)
        return trajectory(of, purpose="practise", memories=(memory,), score=score)

    lived = []
    for n in range(40):
        lived.append(practised("harms", n < 20, Status.FAIL if n < 20 else Status.PASS, n))
        lived.append(practised("helps", n < 20, Status.PASS if n < 20 else Status.FAIL, n))
    full = Capacity(Capacity.Config(items=2))
    full.observe(lived)
    items = [item("helps", support=0), item("unknown", support=1), item("harms", support=9)]
    assert [op.target for op in full.sweep(items, 0.0)] == ["harms"]
