"""The store: tasks, trajectories, generations, adapters and stages come back as they were kept."""

import random

import pytest
from episodes import task, trajectory
from sqlalchemy import update
from stores import generation

from instar import _tables
from instar.errors import UnknownName, WorkspaceError
from instar.store import Store
from instar.types import Adapter, GenerationStatus, Split


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "instar.db", clock=lambda: 7.0) as store:
        store.add_generation(generation("g0", status="active"))
        yield store


# Tasks and trajectories


def test_tasks_come_back_in_order_and_by_what_they_are(store):
    tasks = [
        task("b", Split.PRACTISE),
        task("a", Split.GATE),
        task("c", Split.PRACTISE, namespace="toy/1", origin="neighbours"),
    ]
    store.save_tasks(tasks)
    store.save_tasks(tasks[:1])
    assert store.tasks() == tasks
    assert store.tasks(split=Split.PRACTISE, namespace="toy/0") == tasks[:1]
    assert store.tasks(split="gate") == tasks[1:2]
    assert store.tasks(origin="neighbours") == tasks[2:]
    assert store.task("a") == tasks[1]


def test_a_trajectory_is_kept_once_and_whole(store):
    kept = trajectory(task("a"))
    store.save_trajectory(kept, stage="g1/practise1")
    store.save_trajectory(kept.model_copy(update={"seconds": 99.0}), stage="other")
    assert store.trajectories() == [kept]
    assert store.trajectories(stage="g1/practise1") == [kept]
    assert store.trajectories(stage="other") == []
    assert store.trajectory(kept.id) == kept
    assert store.task("a") == kept.task


def test_trajectories_are_found_by_what_they_are(store):
    one = trajectory(task("a"), purpose="practise")
    two = trajectory(task("b", namespace="toy/1"), purpose="gate", generation="g1")
    for kept in (two, one):
        store.save_trajectory(kept)
    assert store.trajectories() == [one, two]
    assert store.trajectories(purpose="gate") == [two]
    assert store.trajectories(namespace="toy/0") == [one]
    assert store.trajectories(generation="g1", purpose="practise") == []
    assert store.trajectories(ids=[two.id, "none"]) == [two]
    assert store.trajectories(ids=[]) == []


def test_more_ids_than_a_statement_has_parameters(store):
    kept = trajectory(task("a"))
    store.save_trajectory(kept)
    assert store.trajectories(ids=[kept.id, *map(str, range(300_000))]) == [kept]


def test_the_order_does_not_depend_on_who_was_first(tmp_path):
    kept = [trajectory(task(f"t{n}"), seed=seed) for n in range(5) for seed in (0, 1)]
    orders = []
    for seed in (1, 2):
        with Store.open(tmp_path / str(seed)) as store:
            for one in random.Random(seed).sample(kept, len(kept)):
                store.save_trajectory(one)
            orders.append([t.id for t in store.trajectories()])
    assert orders[0] == orders[1]


def test_an_unreadable_trajectory_is_skipped_and_counted(store):
    good, bad = trajectory(task("a")), trajectory(task("b"))
    for kept in (good, bad):
        store.save_trajectory(kept)
    with store.database.write() as connection:
        table = _tables.trajectories
        connection.execute(update(table).where(table.c.id == bad.id).values(body='{"id": 3'))
    assert store.trajectories() == [good] == store.trajectories()
    assert store.damaged == 1
    with pytest.raises(WorkspaceError, match="stored Trajectory cannot be read"):
        store.trajectory(bad.id)


def test_unknown_names_list_what_there_is(store):
    store.save_tasks([task(f"task-{n}") for n in range(100)])
    with pytest.raises(UnknownName, match="'task-7'"):
        store.task("task-7x")
    with pytest.raises(UnknownName, match="Available: g0"):
        store.generation("g9")
    for look in (store.trajectory, store.adapter):
        with pytest.raises(UnknownName, match="Available: none"):
            look("x")


# Generations, adapters, stages


def test_one_generation_only_is_active(store):
    store.add_generation(generation("g1", "g0"))
    assert store.active().id == "g0"
    assert store.activate("g1").status is GenerationStatus.ACTIVE
    assert store.active().id == "g1"
    assert [g.status.value for g in store.generations()] == ["retired", "active"]
    store.activate("g1")
    store.activate("g0")
    assert [g.status.value for g in store.generations()] == ["active", "retired"]
    with pytest.raises(ValueError, match="use activate"):
        store.set_status("g1", GenerationStatus.ACTIVE)
    with pytest.raises(ValueError, match="one generation only"):
        store.add_generation(generation("g2", "g1", status="active"))
    with pytest.raises(UnknownName):
        store.activate("g7")
    assert store.active().id == "g0"


def test_a_generation_is_kept_once_and_needs_its_parent(store):
    one = generation("g1", "g0")
    store.add_generation(one)
    store.set_status("g1", GenerationStatus.REJECTED, {"decision": "reject"})
    store.add_generation(one)
    assert store.generation("g1").status is GenerationStatus.REJECTED
    assert store.generation("g1").verdict == {"decision": "reject"}
    store.set_status("g1", GenerationStatus.CANDIDATE)
    assert store.generation("g1").verdict == {"decision": "reject"}
    with pytest.raises(ValueError, match="known parent"):
        store.add_generation(generation("g5", "g4"))


def test_ancestry_begins_with_itself(store):
    store.add_generation(generation("g1", "g0"))
    store.add_generation(generation("g2", "g1"))
    assert store.ancestry("g2") == ["g2", "g1", "g0"]
    with pytest.raises(UnknownName):
        store.ancestry("g3")


def test_adapters_come_back(store):
    adapter = Adapter(name="ab12", path="adapters/ab12", base="b", dataset="d", metrics={"loss": 1})
    store.add_adapter(adapter)
    store.add_adapter(adapter)
    assert store.adapters() == [adapter]
    assert store.adapter("ab12") == adapter


def test_stages_and_counters_last(tmp_path):
    with Store.open(tmp_path) as store:
        assert store.stage("g1/train") is None
        store.finish_stage("g1/train", {"adapter": None})
        store.finish_stage("g1/train", {"adapter": "ab12"})
        store.finish_stage("g1_/x", {})
        store.finish_stage("g10/train", {"n": [1, 2.5, "x"]})
        assert [store.counter("run"), store.counter("run"), store.counter("seq")] == [1, 2, 1]
    with Store.open(tmp_path, create=False) as store:
        assert store.stage("g1/train") == {"adapter": "ab12"}
        assert store.stages("g1/") == {"g1/train": {"adapter": "ab12"}}
        assert list(store.stages("g1_")) == ["g1_/x"]
        assert len(store.stages("")) == 3
        assert store.counter("run") == 3
