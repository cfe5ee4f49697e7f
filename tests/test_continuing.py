"""Which adapter a turn's training goes on from, and how a turn goes on without what it cannot use."""

import io
import json
import shutil
from types import SimpleNamespace

import pytest
from episodes import trajectory
from rich.console import Console
from stores import generation
from test_registry import write

from finetune.curate.base import RowSet
from finetune.registry import base_hash
from instar._gating import able, gate_adapter
from instar._loop import Loop
from instar._methods import require
from instar._moulting import gate_moult
from instar._placebo import _times, with_placebos
from instar._subjects import Subject
from instar._training import _in_line, _parent, _trainer, train, trained
from instar.compose import Workspace
from instar.config import load_config
from instar.errors import ConfigError, Stopped, UserError
from instar.progress import Progress
from instar.store import Store
from instar.types import Adapter, Split

ROW = {
    "prompt": [{"role": "user", "content": "task"}],
    "completion": [{"role": "assistant", "content": "done"}],
    "tools": [],
    "trajectory": "t1",
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "base"


# Generations of a turn: what came before them, what became of them, the adapter's name.
TURNS = {
    "nothing trained yet": ([("g0", None, "active", None)], None),
    "promoted": ([("g0", None, "retired", None), ("g1", "g0", "active", "a")], "a"),
    "undecided, the first": ([("g0", None, "active", None), ("g1", "g0", "candidate", "a")], "a"),
    "rejected": ([("g0", None, "active", None), ("g1", "g0", "rejected", "a")], None),
    "undecided after a promoted one": (
        [
            ("g0", None, "retired", None),
            ("g1", "g0", "active", "a"),
            ("g2", "g1", "candidate", "b"),
        ],
        "b",
    ),
    "promoted after an undecided one": (
        [
            ("g0", None, "retired", None),
            ("g1", "g0", "candidate", "a"),
            ("g2", "g0", "active", "b"),
        ],
        "b",
    ),
    "a memory promoted after an undecided adapter": (
        [
            ("g0", None, "retired", None),
            ("g1", "g0", "retired", "a"),
            ("g2", "g1", "candidate", "b"),
            ("g3", "g1", "active", "a"),
        ],
        "b",
    ),
    "rejected after an undecided one": (
        [
            ("g0", None, "active", None),
            ("g1", "g0", "candidate", "a"),
            ("g2", "g0", "rejected", "b"),
        ],
        "a",
    ),
    "rolled back": (
        [
            ("g0", None, "active", None),
            ("g1", "g0", "retired", "a"),
            ("g2", "g1", "candidate", "b"),
        ],
        None,
    ),
    "of another base": ([("g0", None, "active", None), ("g1", "g0", "candidate", "old")], None),
    "of this very turn": ([("g0", None, "active", None), ("g9", "g0", "candidate", "a")], None),
}


@pytest.mark.parametrize("case", TURNS)
def test_the_newest_adapter_that_the_gate_has_not_thrown_away(case, tmp_path, folder):
    made, wanted = TURNS[case]
    with Store.open(tmp_path / "instar.db") as store:
        for name in {row[3] for row in made} - {None}:
            base = "another" if name == "old" else base_hash(folder)
            store.add_adapter(Adapter(name=name, path=name, base=base, dataset="d"))
        for id, parent, status, adapter in made:
            one = generation(id, parent, status).model_copy(update={"adapter": adapter})
            store.add_generation(one)
        models = SimpleNamespace(folder=folder)
        loop = SimpleNamespace(store=store, workspace=SimpleNamespace(models=models))
        assert next(iter(_in_line(loop, store.active(), 9)), None) == wanted


def test_a_placebo_is_trained_as_often_as_the_adapter_that_it_stands_beside(tmp_path):
    made = [("a", None, "parent"), ("b", "a", "parent"), ("c", "b", "parent"), ("d", "c", "base")]
    with Store.open(tmp_path / "instar.db") as store:
        for name, parent, start in made:
            recipe = {"start": start}
            adapter = Adapter(
                name=name, path=name, base="b", parent=parent, dataset="d", recipe=recipe
            )
            store.add_adapter(adapter)
        loop = SimpleNamespace(store=store)
        assert [_times(loop, name) for name in ("a", "b", "c", "d", None)] == [1, 2, 3, 1, 1]


def settings(folder, *more):
    given = ["model.name=rote_policy.Rote", "train.trainer=rote_policy.RoteTrainer", "seed=3"]
    return load_config(None, [*given, f"workspace={json.dumps(str(folder))}", *more])


@pytest.fixture
async def loop(tmp_path, folder, monkeypatch):
    """A turn that has curated one row, over a generation that has learnt nothing."""
    import rote_policy

    monkeypatch.setattr(rote_policy.Rote, "folder", folder)
    async with Workspace.open(settings(tmp_path / "w")) as workspace:
        rows = RowSet.of([ROW], {})
        rows.save(workspace.path / "datasets" / rows.hash)
        workspace.store.add_generation(generation("g0", None, "active"))
        curated = {"dataset": rows.hash, "rows": 1, "state": {}}
        workspace.store.finish_stage("g1/curate", curated)
        told = Console(file=io.StringIO(), width=400, soft_wrap=True)
        yield Loop(workspace, Progress(quiet=True, console=told))


def told(loop):
    return loop.progress.console.file.getvalue()


def trained_before(loop, id, parent, weights):
    """A candidate with an adapter, and the file of its weights."""
    place = loop.workspace
    made = write(place.path / "adapters", weights, base=base_hash(place.models.folder))
    place.registry.record(made)
    one = generation(id, parent, "candidate").model_copy(update={"adapter": made.name})
    loop.store.add_generation(one)
    return made.name, place.path / "adapters" / made.name / "adapter_model.safetensors"


async def test_a_damaged_candidate_comes_to_no_gate_and_the_turn_goes_on(loop):
    name, weights = trained_before(loop, "g1", "g0", b"weights")
    loop.store.finish_stage("g1/train", {"adapter": name, "rows": 1, "state": {}})
    state = {"turn": 1, "winner": "g0", "active": "g0"}
    for damage, why in (
        (lambda: weights.write_bytes(b"wei"), "was changed or is cut short"),
        (lambda: shutil.rmtree(weights.parent), "its folder is gone"),
    ):
        damage()
        done = await gate_adapter(loop, "g1/gate_adapter", state)
        assert done.state == {"adapter": ""} and done.facts["candidate"] is None
        assert why in done.facts["verdict"]["sentence"] and why in told(loop)
        [fault] = loop.workspace.registry.faults()
        assert "goes on without it" in fault.remedy
    assert {g.id for g in loop.store.generations()} == {"g0", "g1"}


async def test_a_winner_that_is_damaged_since_does_not_serve(loop):
    _, weights = trained_before(loop, "g1", "g0", b"weights")
    assert able(loop, "g1/promote", "g1", "g0") == "g1"
    weights.unlink()
    assert able(loop, "g1/promote", "g1", "g0") == "g0"
    assert "g1/promote: g1 is left out: adapter" in told(loop)
    state = {"turn": 1, "winner": "g0", "active": "g0", "moulted": "g1"}
    done = await gate_moult(loop, "g1/gate_moult", state)
    assert done.state["winner"] == "g0" and done.facts["verdict"]["decision"] == "undecided"


async def test_a_damaged_adapter_is_not_gone_on_from_and_not_read_where_it_is_a_name_only(loop):
    store = loop.store
    older, _ = trained_before(loop, "g1", "g0", b"older")
    newer, weights = trained_before(loop, "g2", "g0", b"newer")
    assert _parent(loop, "g9/train", store.active(), 9) == newer
    weights.unlink()
    assert _parent(loop, "g9/train", store.active(), 9) == older
    assert f"does not go on from the newest adapter: adapter {newer} cannot" in told(loop)
    shutil.rmtree(weights.parent.parent)
    assert _parent(loop, "g9/train", store.active(), 9) is None
    config = settings(loop.workspace.path, "train.trainer=sft", "methods.sft.start=base")
    by_name = Loop(Workspace(config, store), loop.progress)
    by_name.workspace.models = loop.workspace.models
    assert _parent(by_name, "g9/train", store.active(), 9) == newer


async def test_damaged_rows_are_curated_again(loop, monkeypatch):
    rows = RowSet.of([ROW | {"trajectory": "t2"}], {})
    monkeypatch.setattr("instar._training.curated", lambda *given: rows)
    kept = loop.store.stage("g1/curate")
    (loop.workspace.path / "datasets" / kept["dataset"] / "rows.json").write_text("{")
    done = await train(loop, "g1/train", {"turn": 1, "active": "g0"})
    assert loop.store.adapter(done.facts["adapter"]).dataset == rows.hash
    assert "damaged or gone: curated again" in told(loop)
    now = loop.store.stage("g1/curate")
    assert (now["dataset"], now["trajectories"], now["state"]) == (rows.hash, ["t2"], {})


async def test_a_training_that_fails_is_thrown_away_with_its_reason(loop, monkeypatch):
    def fails_with(error):
        def fail(*given):
            raise error

        monkeypatch.setattr("rote_policy.RoteTrainer.train", fail)

    state = {"turn": 1, "active": "g0"}
    fails_with(UserError("The training diverged."))
    facts = (await train(loop, "g1/train", state)).facts
    assert facts["adapter"] is None and facts["rows"] == 1
    assert facts["reason"] == "the training gave no adapter: The training diverged."
    assert facts["reason"] in told(loop)
    for error in (Stopped("asked to leave"), ConfigError("no such setting")):
        fails_with(error)
        with pytest.raises(type(error)):
            await train(loop, "g1/train", state)
    loop.store.finish_stage("run1", {"turn": 1, "last": 2})
    loop.store.finish_stage("g1/train", facts)
    assert trained(loop.store, "run1") == [
        {"turn": 1, "adapter": None, "reason": facts["reason"]},
    ]


async def test_a_placebo_of_which_nothing_came_is_left_out_and_trained_once(loop, monkeypatch):
    import rote_policy

    active = loop.store.active()
    subjects = [
        Subject(arm, arm, active, loop.workspace.arm(arm, active))
        for arm in ("base", "placebo_adapter")
    ]
    assert await with_placebos(loop, subjects) == (
        subjects[:1],
        {
            "placebo_adapter": f"there is no verified success in {loop.workspace.foreign.namespace} to train it on"
        },
    )
    for task in loop.workspace.foreign.tasks(Split.PRACTISE, 2, 0):
        loop.store.save_trajectory(trajectory(task), stage=f"g{active.seq}/practise_1")
    tried = []

    def train(self, *given):
        tried.append(given)
        raise UserError("The training moved nothing: raise train.lr.")

    monkeypatch.setattr(rote_policy.RoteTrainer, "train", train)
    loop.store.finish_stage(f"placebo/{active.id}/1", {"adapter": None, "under": "other settings"})
    for _ in range(2):
        found, left_out = await with_placebos(loop, subjects)
        assert found == subjects[:1] and "moved nothing" in left_out["placebo_adapter"]
    assert len(tried) == 1


async def test_a_trainer_that_plays_opens_tasks_of_either_house(loop):
    place = loop.workspace
    worlds = {"t1": place.home, "t2": place.foreign}
    for id, world in worlds.items():
        (task,) = world.tasks(Split.PRACTISE, 1, 0)
        lived = trajectory(task).model_copy(update={"id": id})
        loop.store.save_trajectory(lived, stage="g1/practise_1")
    rows = RowSet.of([ROW, ROW | {"trajectory": "t2"}], {})
    playing = Workspace(settings(place.path, "train.trainer=grpo"), loop.store)
    playing.models = place.models
    trainer, _ = _trainer(Loop(playing, loop.progress), rows, None)
    for row in rows.rows:
        episode = await trainer.open_episode(row, 0)
        assert episode.toolset is not None
        await episode.close()


def test_settings_that_no_training_could_have_are_refused_before_a_turn(tmp_path):
    with pytest.raises(UserError, match="micro must divide"):
        require(load_config(None, ["methods.sft.micro=3", f"workspace={tmp_path}"]))
