"""What a policy lets go, and above all what it must not."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from stores import generation

from finetune.registry import Registry, seal, workspace_beside
from instar import cli
from instar.config import Prune
from instar.errors import UserError
from instar.pruning import find, prune
from instar.store import Store
from instar.types import GenerationStatus

ROOT = Path(__file__).resolve().parent.parent
ALL = Prune(turns=0, rejected=0)


class Place:
    """A workspace of made-up adapters, by the name of what was made of them."""

    def __init__(self, path, store):
        self.path, self.store = path, store
        self.registry = Registry(path / "adapters", store)
        self.names = {}

    def adapter(self, of):
        folder = workspace_beside(self.registry.root)
        (folder / "adapter_config.json").write_text("{}")
        (folder / "adapter_model.safetensors").write_bytes(of.encode() * 500)
        lineage = {"base": "b", "parent": None, "dataset": f"d-{of}", "recipe": {}, "metrics": {}}
        made = self.registry.record(seal(folder, self.registry.root, **lineage))
        self.names[of] = made.name
        self.rows(made.dataset)
        return made

    def rows(self, name):
        (self.path / "datasets" / name).mkdir(parents=True)
        (self.path / "datasets" / name / "rows.jsonl").write_text("{}\n" * 9)

    def turn(self, id, parent, status, finished=True):
        """A generation with an adapter of its own, as a turn of the loop leaves it."""
        made = self.adapter(id)
        one = generation(id, parent).model_copy(update={"adapter": made.name})
        self.store.add_generation(one)
        self.store.finish_stage(f"{id}/curate", {"dataset": made.dataset})
        self.store.finish_stage(f"{id}/train", {"adapter": made.name})
        if finished:
            self.store.finish_stage(f"{id}/promote", {})
        if status is GenerationStatus.ACTIVE:
            self.store.activate(id)
        else:
            self.store.set_status(id, status)

    def bench(self, name, complete=True):
        folder = self.path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "settings.json").write_text("{}")
        if complete is not None:
            (folder / "summary.json").write_text(json.dumps({"complete": complete}))

    def left(self, kind):
        return sorted(p.name for p in (self.path / kind).iterdir())

    def gone(self, policy=ALL):
        found = find(self.store, self.path, policy)
        named = {name: of for of, name in self.names.items()}
        return {named.get(g.name, g.name) for g in found.gone}


@pytest.fixture
def place(tmp_path):
    with Store.open(tmp_path / "instar.db") as store:
        store.add_generation(generation("g0", status="active"))
        yield Place(tmp_path, store)


REJECTED, CANDIDATE = GenerationStatus.REJECTED, GenerationStatus.CANDIDATE


def tree(place):
    """g1 and g3 served, g5 serves; g2, g6 and g7 were rejected; g4 is undecided."""
    place.turn("g1", "g0", GenerationStatus.ACTIVE)
    place.turn("g2", "g1", REJECTED)
    place.turn("g3", "g1", GenerationStatus.ACTIVE)
    place.turn("g4", "g3", CANDIDATE)
    place.turn("g5", "g3", GenerationStatus.ACTIVE)
    place.turn("g6", "g5", REJECTED)
    place.turn("g7", "g5", REJECTED)


def test_only_rejected_adapters_go_with_their_rows(place):
    tree(place)
    found = prune(place.store, place.path, ALL)
    gone = {place.names[id] for id in ("g2", "g6", "g7")}
    assert {g.name for g in found.gone} == gone | {"d-g2", "d-g6", "d-g7"}
    assert set(place.left("adapters")) == set(place.names.values()) - gone
    assert place.left("datasets") == ["d-g1", "d-g3", "d-g4", "d-g5"]
    assert "g5 serves" in found.kept[place.names["g5"]]
    assert find(place.store, place.path, ALL).gone == ()


def test_what_a_rollback_needs_stays(place):
    tree(place)
    prune(place.store, place.path, ALL)
    while back := place.store.go_back():
        if back.adapter:
            assert place.registry.get(back.adapter).name == back.adapter
    assert back is None and place.store.active().id == "g0"
    assert place.gone() == set(), "what was rolled back from may be promoted again"


def test_what_served_stays_whatever_a_gate_said_of_it_later(place):
    tree(place)
    place.store.add_generation(generation("g9"))
    place.store.activate("g9")  # which came after none of them
    for id in ("g3", "g4", "g5"):
        place.store.set_status(id, REJECTED)
    assert place.gone() == {of + id for id in ("g2", "g4", "g6", "g7") for of in ("", "d-")}


def test_rejected_ones_go_by_age_and_by_number(place):
    tree(place)
    assert place.gone(Prune(turns=3, rejected=9)) == {"g2", "d-g2"}
    assert place.gone(Prune(turns=1, rejected=9)) == {"g2", "d-g2", "g6", "d-g6"}
    assert place.gone(Prune(turns=9, rejected=1)) == {"g2", "g6"}
    assert place.gone(Prune(turns=9, rejected=9)) == set()


def test_those_left_undecided_go_by_age_but_never_the_newest(place):
    tree(place)
    place.turn("g8", "g5", CANDIDATE)
    place.turn("g9", "g5", CANDIDATE)
    kept = find(place.store, place.path, Prune(turns=5, rejected=0)).kept
    assert "not rejected" in kept[place.names["g8"]] and "not rejected" in kept[place.names["g9"]]
    found = find(place.store, place.path, Prune(turns=5, rejected=0))
    assert {g.name: g.reason for g in found.gone}[place.names["g4"]] == "left undecided 5 turns ago"
    assert place.names["g4"] in {g.name for g in found.gone} and "g9" not in place.gone()
    assert "g8" in place.gone()


def test_an_ancestor_of_a_candidate_stays_though_it_was_rejected(place):
    tree(place)
    place.store.add_generation(generation("g8", "g7"))
    assert place.gone() == {"g2", "g6", "d-g2", "d-g6"}


def test_an_adapter_that_two_generations_share_stays_with_the_better_one(place):
    tree(place)
    twin = generation("g8", "g5").model_copy(update={"adapter": place.names["g6"]})
    place.store.add_generation(twin)
    assert "g6" not in place.gone()
    place.store.set_status("g8", REJECTED)
    assert "g6" in place.gone()


def test_a_promotion_by_hand_saves_a_rejected_one(place):
    tree(place)
    place.store.activate("g6")
    assert "g6" not in place.gone()
    place.store.go_back()
    assert "g6" not in place.gone()


def test_what_is_pinned_or_not_used_yet_stays(place):
    tree(place)
    place.adapter("fresh")
    pinned = place.store.adapter(place.names["g2"]).model_copy(update={"pinned": True})
    place.store.change_adapter(pinned)
    assert place.gone() == {"g6", "g7", "d-g6", "d-g7"}


def test_a_placebo_goes_with_the_generation_that_it_stands_beside(place):
    tree(place)
    for of in ("g5", "g6"):
        made = place.adapter(f"placebo of {of}")
        value = {"adapter": made.name, "dataset": made.dataset}
        place.store.finish_stage(f"placebo/{of}/1", value)
    gone = place.gone()
    assert {"placebo of g6", "d-placebo of g6"} <= gone
    assert not {"placebo of g5", "d-placebo of g5"} & gone


def test_the_rows_of_a_turn_that_is_not_finished_stay_and_so_do_unknown_ones(place):
    place.turn("g1", "g0", REJECTED, finished=False)
    place.rows("yours")
    place.rows("plain")
    place.store.finish_stage("g2/curate", {"dataset": "plain"})
    place.store.finish_stage("g2/promote", {})
    place.store.add_generation(generation("g5", "g0"))
    assert place.gone() == {"g1", "plain"}


def test_old_finished_bench_runs_go_if_asked_for(place):
    for number in (2, 9, 10, 11):
        place.bench(f"bench{number}")
    place.bench("bench1", complete=None)
    place.bench("bench3", complete=False)
    place.bench("run1")
    place.bench("mine")
    for number in (1, 9, 10):
        place.bench(f"run{number}-report")
    assert place.gone() == set()
    assert place.gone(Prune(runs=2)) == {"bench2", "bench9", "run1-report"}
    prune(place.store, place.path, Prune(runs=2))
    left = ["bench1", "bench10", "bench11", "bench3", "mine", "run1", "run10-report", "run9-report"]
    assert place.left("runs") == left


def test_what_is_said_of_a_pruned_adapter_stays_and_it_is_no_fault(place):
    tree(place)
    prune(place.store, place.path, ALL)
    record = place.store.adapter(place.names["g2"])
    assert record.pruned and record.dataset == "d-g2"
    assert place.registry.faults() == []
    with pytest.raises(UserError, match=r"was pruned on \d{4}-"):
        place.registry.get(record.name)


def test_a_pruned_adapter_that_is_trained_again_is_served_again(place):
    tree(place)
    prune(place.store, place.path, ALL)
    name = place.names["g2"]
    again = place.adapter("g2")
    assert again.name == name and again.pruned is None
    assert place.registry.get(name).name == name


def test_a_pruning_that_was_killed_is_finished_by_the_next(place):
    tree(place)
    record = place.store.adapter(place.names["g2"]).model_copy(update={"pruned": 1.0})
    place.store.change_adapter(record)
    (place.registry.root / record.name / "adapter_config.json").unlink()
    assert place.registry.faults() == [], "nobody serves it"
    [left] = [g for g in find(place.store, place.path, Prune()).gone if g.name == record.name]
    assert "left over" in left.reason
    prune(place.store, place.path, Prune())
    assert record.name not in place.left("adapters")
    assert place.store.adapter(record.name).pruned == 1.0


def test_killed_between_record_and_folder_it_goes_on(place):
    tree(place)
    command = [sys.executable, "-m", "instar.cli", "adapters", "prune", "--turns", "0"]
    command += ["--workspace", str(place.path), "--json"]
    dying = {**os.environ, "INSTAR_FAILPOINT": "prune.record:2"}
    killed = subprocess.run(command, env=dying, capture_output=True, timeout=60, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL and killed.stdout == b""
    assert place.registry.faults() == []
    again = subprocess.run(command, capture_output=True, timeout=60, cwd=ROOT, check=True)
    reasons = {g["name"]: g["reason"] for g in json.loads(again.stdout)["gone"]}
    assert len([name for name, why in reasons.items() if "left over" in why]) == 1
    kept = {place.names[id] for id in ("g1", "g3", "g4", "g5")}
    assert set(place.left("adapters")) == kept


def test_the_command_shows_what_would_go_and_then_does_it(place, capsys, monkeypatch):
    tree(place)
    monkeypatch.setenv("INSTAR_WORKSPACE", str(place.path))

    def instar(*arguments):
        with pytest.raises(SystemExit) as exited:
            cli.main(["adapters", "prune", *arguments])
        assert exited.value.code == 0
        return capsys.readouterr().out

    before = place.left("adapters")
    shown = json.loads(instar("--turns", "0", "--dry-run", "--json"))
    assert shown["pruned"] is False and place.left("adapters") == before
    names = {g["name"] for g in shown["gone"]}
    assert {place.names[id] for id in ("g2", "g6", "g7")} < names
    assert shown["bytes"] == sum(g["bytes"] for g in shown["gone"]) > 3 * 1000
    told = instar("--turns", "0")
    assert "freed" in told and "g5 serves" in told
    assert set(place.left("adapters")) == set(before) - names
    (place.path / "instar.toml").write_text("[prune]\nturns = 0\n")
    assert "Nothing is to be pruned" in instar("--rejected", "0")


async def test_a_run_prunes_by_itself_where_it_is_told_to(tmp_path):
    from test_evolve import config

    from instar.compose import Workspace
    from instar.evolve import evolve
    from instar.progress import Progress

    tiny = ["practise.tasks=8", "gate.tasks=8", "report.tasks=4", "prune.turns=0"]
    async with Workspace.open(config(tmp_path, *tiny, "prune.auto=true")) as workspace:
        await evolve(workspace, 2, Progress(quiet=True))
        curated = [workspace.store.stage(f"g{turn}/curate")["dataset"] for turn in (1, 2)]
        assert workspace.store.active() is not None
    assert curated[0] != curated[1]
    assert [p.name for p in (tmp_path / "datasets").iterdir()] == curated[1:]


def test_a_damaged_adapter_is_not_promoted_and_going_back_to_one_says_so(place, capsys):
    place.turn("g1", None, GenerationStatus.ACTIVE)
    place.turn("g2", "g1", GenerationStatus.ACTIVE)
    place.turn("g3", "g2", GenerationStatus.CANDIDATE)
    for of in ("g1", "g3"):
        (place.path / "adapters" / place.names[of] / "adapter_model.safetensors").write_bytes(b"?")
    folder = ["--workspace", str(place.path)]
    with pytest.raises(SystemExit) as ended:
        cli.main(["generations", "promote", "g3", *folder])
    assert ended.value.code == 2 and place.store.active().id == "g2"
    assert "was changed or is cut short" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        cli.main(["generations", "rollback", *folder])
    assert ended.value.code == 0 and place.store.active().id == "g1"
    told = capsys.readouterr().err
    assert "cannot be served" in told and "generations rollback" in told
    damaged = {Path(f.path).name: f.remedy for f in place.registry.faults()}
    assert "generations rollback" in damaged[place.names["g1"]]
    assert "Delete it" in damaged[place.names["g3"]]
